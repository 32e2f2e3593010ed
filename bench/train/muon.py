"""Muon in fp32, for CPUs that emulate bf16.

``torch.optim.Muon`` orthogonalises its updates in bf16. Where that is emulated a product of
matrices takes some thirty times as long, and making a tiny base ten times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

#: The quintic iteration's coefficients, its steps, and Nesterov's momentum: torch's defaults.
_A, _B, _C = 3.4445, -4.775, 2.0315
_STEPS = 5
_MOMENTUM = 0.95
_EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are orthogonalised, for matrices, without weight decay.

    As ``torch.optim.Muon`` with ``adjust_lr_fn="original"`` and ``weight_decay=0``, up to the
    rounding of bf16.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; a ``closure`` is not called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"])

    def _update(self, weight: Tensor, gradient: Tensor, rate: float) -> None:
        state: dict[str, Any] = self.state[weight]
        momentum = state.setdefault("momentum", torch.zeros_like(weight))
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, _MOMENTUM))
        rows, columns = weight.shape
        weight.add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal matrix that is nearest: singular values between 0.5 and 1.5."""
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    found: Tensor = wide / wide.norm().clamp(min=_EPSILON)
    for _ in range(_STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), found, beta=_A)
    return found.T if wide is not matrix else found
