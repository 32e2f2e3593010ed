"""A model's decoder layers as one CUDA graph: the same kernels, started by one call.

A QLoRA step of a small model starts hundreds of operations a layer, and a processor takes
longer to start them than a GPU to compute them. A graph records forward and backward once, at
the first batch of a training, and replays them for every batch of that shape. Dropout draws
new masks in each replay: the generator's state belongs to the graph.

The layers keep their activations in the graph's own memory between batches. What has another
shape, or needs no gradient, runs as before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.grid.batching import Setting
from bench.grid.study import Training


class _Stack(torch.nn.Module):
    """The layers, one after the other, with tensors alone as arguments."""

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(layers)
        self.forwards: list[Callable[..., Any]] = [layer.forward for layer in layers]

    def forward(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Hidden states behind the last layer, ``[rows, tokens, width]``."""
        for run in self.forwards:
            found = run(
                hidden, attention_mask=None, position_embeddings=(cos, sin), use_cache=False
            )
            hidden = found[0] if isinstance(found, tuple) else found
        return hidden


class Graphed:
    """A model's layers behind a graph; ``replays`` and ``eager`` count their forward passes."""

    def __init__(self, layers: Any, device_type: str = "cuda") -> None:
        self.replays = self.eager = 0
        self._device_type = device_type
        self._stack = _Stack(layers)
        self._replay: Callable[..., Tensor] | None = None
        self._shape: tuple[Any, ...] = ()
        self._passed = False
        for place, layer in enumerate(layers):
            layer.forward = functools.partial(self._forward, place)

    def _forward(self, place: int, hidden_states: Tensor, **options: Any) -> Any:
        """A layer: the first one stands for all where the graph serves, the others do nothing."""
        if place == 0:
            self._passed = self._serves(hidden_states, options)
            if self._passed:
                self.replays += 1
                return self._run(hidden_states, *options["position_embeddings"])
            self.eager += 1
        elif self._passed:
            return hidden_states
        return self._stack.forwards[place](hidden_states, **options)

    def _serves(self, hidden: Tensor, options: dict[str, Any]) -> bool:
        """Whether a batch is like those that the graph was made of, or the first one."""
        trains = torch.is_grad_enabled() and self._stack.members[0].training
        if not trains or hidden.device.type != self._device_type:
            return False
        if options.get("attention_mask") is not None or options.get("past_key_values") is not None:
            return False
        shape = (hidden.shape, hidden.dtype, hidden.requires_grad)
        if self._replay is None:
            self._shape = shape
        return shape == self._shape

    def _run(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if self._replay is None:
            self._replay = self._capture(hidden, cos, sin)
        return self._replay(hidden, cos, sin)

    def _capture(self, *inputs: Tensor) -> Callable[..., Tensor]:
        """The graph of forward and backward, made with copies of a batch's own tensors."""
        samples = tuple(one.detach().clone().requires_grad_(one.requires_grad) for one in inputs)
        state = torch.cuda.get_rng_state()  # the warm-up draws masks that no step uses
        with torch.autocast(
            "cuda",
            dtype=torch.get_autocast_dtype("cuda"),
            enabled=torch.is_autocast_enabled("cuda"),
            cache_enabled=False,
        ):
            found: Any = torch.cuda.make_graphed_callables(self._stack, samples)
        torch.cuda.set_rng_state(state)
        replay: Callable[..., Tensor] = found
        return replay


def serve(training: Training, setting: Setting, device: torch.device, *, quantizes: bool) -> bool:
    """Whether a training's layers are run as a graph: rows of one shape, QLoRA, on a GPU.

    Full fine-tuning starts fewer operations and would keep its gradients twice; activation
    checkpointing and compiled layers have ways of their own.
    """
    return (
        training.graphs
        and training.plan == "tuned"
        and training.packing == "published"
        and quantizes
        and device.type == "cuda"
        and not setting.checkpointing
        and "compile" not in training.kernels
    )


def install(model: Any) -> Graphed:
    """Let the decoder layers of a causal language model run as a graph while it trains."""
    return Graphed(model.model.layers)
