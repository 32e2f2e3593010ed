"""How long a model trains or answers on a GPU: its operations, and starting them.

A training's products run at a share of the GPU's peak, and what lies between them (norms,
dropout, casts, gates, sums) at a share of its memory's bandwidth; but small micro-batches, and
a decoding step, are bound by how fast a processor starts operations.
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
#: Seconds that starting one of these operations takes, with what Python does around it: a step
#: of 1.5B as published (16 micro-batches of 2 rows) took 6.94 s on an H200, of which its kernels
#: computed for 0.95 s, and 8.19 s on another (reports/reference/gpu). Another host may be faster.
LAUNCH_S = 56e-6
#: The share of a GPU's peak that large products reach in training, the share of its memory's
#: bandwidth that the operations between them reach, and how many times those of a layer read or
#: write a value as wide as the residual stream and the gate together, with LoRA and without.
#: Fitted to six trainings of 1.5B, 3B and 7B on an H200 (reports/reference/gpu): each of them
#: within 3 %.
PRODUCTS, STREAMED = 0.67, 0.88
PASSES: Mapping[bool, float] = {True: 112.0, False: 70.0}
#: What of these a forward pass does, which checkpointing does again.
_AGAIN = 0.36
#: Bytes that the chunked loss moves per logit.
_LOGIT_BYTES = 40
#: The share of a GPU's peak at which prompts are read.
UTILISATION = 0.4


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """An accelerator's limits: bf16 operations a second and bytes a second of its memory."""

    flops: float
    bandwidth: float


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """Estimated seconds, the share of the device's peak that they stand for, what binds them."""

    seconds: float
    utilisation: float
    launch_bound: bool = False


def training_time(
    shape: Shape, fit: Fit, tokens: float, device: Device, *, launch_s: float = LAUNCH_S
) -> Duration:
    """How long ``tokens`` take: the longer of computing them and starting the operations.

    ``launch_s`` is what starting one operation takes: the usual time, unless it was measured.
    """
    flops = tokens * costs.training_flops(shape, fit)
    moved = tokens * traffic_bytes(shape, fit)
    computing = flops / (device.flops * PRODUCTS) + moved / (device.bandwidth * STREAMED)
    starting = tokens * launches(shape, fit) * launch_s
    seconds = max(computing, starting)
    return Duration(seconds, flops / (seconds * device.flops), starting > computing)


def traffic_bytes(shape: Shape, fit: Fit) -> float:
    """What the operations between the products move through memory per token."""
    passes = PASSES[fit.lora is not None] * (1 + _AGAIN * fit.checkpointing)
    value = 4 if fit.fp32_stream else 2
    layer = passes * value * (shape.hidden + shape.intermediate)
    return shape.layers * layer + _LOGIT_BYTES * shape.vocabulary


def launches(shape: Shape, fit: Fit) -> float:
    """Operations that a training starts per token; a graph starts them all at once."""
    if fit.graphs:
        return 0.0
    forward, backward = OPERATIONS[fit.lora is not None]
    passes = 2 if fit.checkpointing else 1
    started = forward * passes + backward
    if fit.lora is not None and not fit.dequantised:
        started += _DEQUANTISING * (passes + 1)
    return shape.layers * started / fit.micro_tokens


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of one kind: how many, their mean and longest tokens, and those of the answers.

    ``new_tokens`` is the limit, ``answer_tokens`` the mean of what is written and
    ``longest_answer`` the most: the limit where nothing better is known.
    """

    count: int
    prompt_tokens: float
    longest_prompt: int
    new_tokens: int
    answer_tokens: float
    longest_answer: int


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that are answered together; ``steps`` is the length of the longest answer."""

    rows: int
    prompt_tokens: float
    answer_tokens: float
    steps: int


def generation_time(
    shape: Shape, device: Device, *, quantised: bool, lora: bool, batches: Sequence[Batch]
) -> Duration:
    """How long batches take.

    A step reads all weights, and the keys and values of the rows that have not ended, once.
    """
    started = DECODE_OPERATIONS[lora] + (_DEQUANTISING if quantised else 0)
    start_s = shape.layers * started * LAUNCH_S
    read = costs.weight_bytes(shape, quantised=quantised)
    flops = seconds = 0.0
    for one in batches:
        alive = one.rows * one.answer_tokens / one.steps
        held = one.prompt_tokens + one.answer_tokens / 2
        prefill = one.rows * one.prompt_tokens * costs.forward_flops(shape, one.prompt_tokens)
        step = alive * (costs.forward_flops(shape, 2 * held) + 2 * shape.head)
        cached = costs.kv_cache_bytes(shape, 1, 1) * alive * held
        reads = math.ceil(one.rows * one.prompt_tokens / costs.PREFILL_TOKENS)
        seconds += max(prefill / (device.flops * UTILISATION), reads * start_s)
        seconds += one.steps * max(
            step / (device.flops * UTILISATION), start_s, (read + cached) / device.bandwidth
        )
        flops += prefill + one.steps * step
    return Duration(seconds, flops / (seconds * device.flops) if seconds else 0.0)


def batches(asked: Asked, rows: int) -> list[Batch]:
    """The batches of prompts of one kind, at most ``rows`` in each."""
    full, rest = divmod(asked.count, rows)
    about = asked.prompt_tokens, asked.answer_tokens, asked.longest_answer
    return [Batch(rows, *about)] * full + [Batch(rest, *about)] * math.ceil(rest / rows)
