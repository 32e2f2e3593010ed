"""How long a model trains or answers on a GPU: its operations, and starting them.

The products of ``bench.costs`` at the share of a GPU's peak that is usual; but small
micro-batches, and a decoding step, are bound by how fast a processor starts operations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from bench import costs
from bench.costs import Fit, Shape

#: Operations that transformers and PEFT start per layer in forward and in backward: counted
#: on a CPU with torch's dispatcher, views left out (its test counts them again).
OPERATIONS: Mapping[bool, tuple[int, int]] = {True: (115, 132), False: (38, 69)}
DECODE_OPERATIONS: Mapping[bool, int] = {True: 93, False: 44}
#: What NF4 adds to either: dequantising each projection, and its scales first.
_DEQUANTISING = 2 * 7
#: Seconds that starting one operation takes: an estimate. With it an H200 trains QLoRA with
#: micro-batches of 2 rows of 512 at 5 to 10 thousand tokens a second, whatever the size.
LAUNCH_S = 20e-6
#: The share of a GPU's peak that large products reach in training: peers report 43 to 46 %.
UTILISATION = 0.4


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """An accelerator's limits: bf16 operations a second and bytes a second of its memory."""

    flops: float
    bandwidth: float


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """Estimated seconds, and the share of the device's peak that they stand for."""

    seconds: float
    utilisation: float


def training_time(
    shape: Shape,
    fit: Fit,
    tokens: float,
    device: Device,
    *,
    utilisation: float = UTILISATION,
    launch_s: float = LAUNCH_S,
) -> Duration:
    """How long ``tokens`` take: the longer of computing them and starting the operations.

    ``utilisation`` is the share of the device's peak that its large products reach, ``launch_s``
    what starting one operation takes: the usual ones, unless they were measured.
    """
    flops = tokens * costs.training_flops(shape, fit)
    seconds = max(flops / (device.flops * utilisation), tokens * launches(shape, fit) * launch_s)
    return Duration(seconds, flops / (seconds * device.flops))


def launches(shape: Shape, fit: Fit) -> float:
    """Operations that a training starts per token."""
    forward, backward = OPERATIONS[fit.lora is not None]
    passes = 2 if fit.checkpointing else 1
    started = forward * passes + backward
    if fit.lora is not None and not fit.dequantised:
        started += _DEQUANTISING * (passes + 1)
    return shape.layers * started / fit.micro_tokens


def generation_time(
    shape: Shape,
    device: Device,
    *,
    quantised: bool,
    lora: bool,
    batches: Sequence[tuple[int, int, int]],
) -> Duration:
    """How long batches of (rows, prompt tokens, new tokens) take at most.

    Every batch is taken to write up to its limit. A step reads all weights once.
    """
    started = DECODE_OPERATIONS[lora] + (_DEQUANTISING if quantised else 0)
    start_s = shape.layers * started * LAUNCH_S
    read_s = costs.weight_bytes(shape, quantised=quantised) / device.bandwidth
    flops = seconds = 0.0
    for rows, prompt, new in batches:
        prefill = rows * prompt * costs.forward_flops(shape, prompt)
        step = rows * (costs.forward_flops(shape, 2 * prompt + new) + 2 * shape.head)
        seconds += max(prefill / (device.flops * UTILISATION), start_s)
        seconds += new * max(step / (device.flops * UTILISATION), start_s, read_s)
        flops += prefill + new * step
    return Duration(seconds, flops / (seconds * device.flops) if seconds else 0.0)


def batches(counts: Mapping[int, int], rows: int, prompt_tokens: int) -> list[tuple[int, int, int]]:
    """The batches of prompts counted by their limit of new tokens, at most ``rows`` in each."""
    found = []
    for new, count in counts.items():
        full, rest = divmod(count, rows)
        found += [(rows, prompt_tokens, new)] * full
        found += [(rest, prompt_tokens, new)] * math.ceil(rest / rows)
    return found
