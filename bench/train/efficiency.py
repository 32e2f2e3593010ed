"""How a training was set, what its weights take, and how well it used its device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bench import costs
from bench.costs import Fit, Lora, Shape
from bench.grid import devices
from bench.grid.study import Training
from bench.train import methods
from bench.train.clock import Timing


def cost(
    model: Any, shape: Shape | str, training: Training, method: str, timing: Timing
) -> dict[str, Any]:
    """What a training's record says of its cost, and the setting that it holds for.

    ``shape`` is the base's, or why it is not known.
    """
    device = model.get_input_embeddings().weight.device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    share, reason = mfu(shape, training, method, timing.steady, gpu)
    return {
        "setting": setting(training, method, timing.micro_rows),
        "weight_bytes": weight_bytes(model),
        "steady": timing.steady,
        "steady_reason": timing.reason,
        "mfu": share,
        "mfu_reason": reason,
        "train_s": timing.spent_s,
    }


def setting(training: Training, method: str, micro_rows: int) -> dict[str, Any]:
    """What the cost of a training turns on, beside its method.

    ``base`` is how the weights lie in memory: ``4-bit``, ``dequantised`` (a copy of them in the
    type in which they are computed with) or ``full`` (trained themselves).
    """
    base = "full"
    if methods.quantizes(method):
        base = "dequantised" if training.dequantises else "4-bit"
    return {"plan": training.plan, "micro_rows": micro_rows, "base": base}


def weight_bytes(model: Any) -> int:
    """Bytes of a model's weights as they lie in memory, with what 4-bit weights are scaled by.

    A tensor that two layers share counts once.
    """
    tensors = [tensor for weight in model.parameters() for tensor in _tensors(weight)]
    return sum({one.data_ptr(): one.nbytes for one in tensors}.values())


def _tensors(weight: Any) -> list[torch.Tensor]:
    found = [weight.data]
    state = getattr(weight, "quant_state", None)
    while state is not None:
        found += [one for one in (state.absmax, state.code) if one is not None]
        state = state.state2
    return found


def mfu(
    shape: Shape | str,
    training: Training,
    method: str,
    steady: Mapping[str, Any] | None,
    device_name: str | None,
) -> tuple[float | None, str | None]:
    """Model FLOPs utilisation of steady steps as a share of the device's peak, or why none.

    Operations of forward and backward alone (Chowdhery et al. 2022, appendix B): what gradient
    checkpointing computes again is no gain. Slots that padding fills count: they are computed.

    Args:
        shape: of the base, or why it is not known.
        training: the protocol.
        method: ``st-qlora``, ``mt-qlora`` or ``mt-fft``.
        steady: see ``bench.train.clock.Timing``.
        device_name: as the driver gives it; None on a CPU.
    """
    if device_name is None:
        return None, "no GPU"
    if steady is None:
        return None, "no steady steps"
    if isinstance(shape, str):
        return None, shape
    limits = devices.limits(device_name)
    if limits is None:
        return None, f"the peak of {device_name} is not in datasets/gpus.toml"
    lora = None
    if methods.quantizes(method):
        lora = Lora(training.lora.rank, training.lora.targets)
    fit = Fit(1, training.row_tokens, methods.optimization(training, method).optimizer, lora)
    flops = costs.training_flops(shape, fit) * float(steady["tokens_per_s"]["processed"])
    return flops / limits.flops, None
