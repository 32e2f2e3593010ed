"""A study's settings in the words of the analytic model: how each model is trained and answers.

What it is handed are methods and tasks of a study, so that it serves planned stages and
recorded ones alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import costs
from bench.costs import Fit, Lora, Shape
from bench.grid import batching, durations
from bench.grid.durations import Device, Duration
from bench.grid.study import Optimization, Study, Training

#: What a prompt is taken to hold in the mean, and at most, before it is tokenized.
PROMPT_TOKENS, LONGEST_PROMPT = 200, 512
#: Checkpoints that are there at one time: two that are kept, and one that is being written.
_CHECKPOINTS = 3
#: A LoRA matrix is kept as fp32, everything else as bf16.
_ADAPTER_BYTES, _WEIGHT_BYTES = 4, 2


def kind(method: str | None) -> str:
    """What a method's model is: the base as it is, an adapter on it, or weights of its own."""
    return "base" if method is None else "full" if method == "mt-fft" else "qlora"


def optimization(study: Study, method: str | None, tasks: Sequence[str]) -> Optimization:
    """The optimiser and schedule of a model of some tasks."""
    training = study.training.of(tasks)
    return training.full if kind(method) == "full" else training.qlora


def lora(study: Study, method: str | None) -> Lora | None:
    """The adapter of a method; None for a method without one."""
    chosen = study.training.lora
    return Lora(chosen.rank, chosen.targets) if kind(method) == "qlora" else None


def fit(
    study: Study,
    method: str | None,
    tasks: Sequence[str],
    *,
    gpu: bool = True,
    shape: Shape | None = None,
    memory_bytes: int | None = None,
    device: Device | None = None,
) -> Fit:
    """How a model of some tasks is trained.

    What the study leaves open (``auto``) is chosen for ``shape`` on a device with
    ``memory_bytes``; without them it is as in the study.
    """
    training, chosen = study.training, optimization(study, method, tasks)
    adapter = lora(study, method)
    published = batching.published(chosen, full=adapter is None)
    found = batching.of(bare_fit(training, adapter, gpu=gpu, optimizer=chosen.optimizer), published)
    if training.plan == "published" or shape is None or memory_bytes is None:
        return found
    open_ = batching.settings(chosen, training.row_tokens, gpu=gpu)
    room = batching.room_bytes(memory_bytes)
    return batching.of(found, batching.choose(shape, found, open_, room, device))


def bare_fit(training: Training, adapter: Lora | None, *, gpu: bool, optimizer: str) -> Fit:
    """A training as its protocol has it, one row at once."""
    return Fit(
        1,
        training.row_tokens,
        optimizer,
        adapter,
        dropout=training.lora.dropout > 0,
        dequantised=training.dequantises,
        # fp16 embeddings under bf16 autocast, see bench.train.bases: on a GPU alone.
        fp32_stream=gpu and adapter is not None and training.precision == "published",
        fused_dropout=gpu,
        stock_loss=training.plan == "published",
    )


def quantised(study: Study, method: str | None) -> bool:
    """Whether a model answers from 4-bit weights, not from what was dequantised once."""
    return kind(method) == "qlora" and not study.training.dequantises


def training_tokens(
    study: Study, method: str | None, tasks: Sequence[str], rows: int | None
) -> int | None:
    """Token slots that a training computes, unless it stops early; None: rows are not known."""
    chosen = optimization(study, method, tasks)
    counts = []
    if rows is not None:
        counts.append(rows * chosen.epochs)
    if chosen.max_steps is not None:
        counts.append(chosen.max_steps * chosen.rows_per_step)
    return study.training.row_tokens * min(counts) if counts else None


def answering_time(
    study: Study, method: str | None, shape: Shape, prompts: Mapping[int, int], device: Device
) -> Duration:
    """How long prompts, counted by their limit of new tokens, take at most."""
    return durations.generation_time(
        shape,
        device,
        quantised=quantised(study, method),
        lora=lora(study, method) is not None,
        batches=durations.batches(prompts, study.decoding.batch_rows, PROMPT_TOKENS),
    )


def answering_bytes(study: Study, method: str | None, shape: Shape, new_tokens: int) -> int:
    """The peak of device memory while a full batch of the longest prompts is answered."""
    return costs.generation_memory(
        shape,
        quantised=quantised(study, method),
        rows=study.decoding.batch_rows,
        prompt_tokens=min(LONGEST_PROMPT, study.decoding.window_tokens),
        new_tokens=new_tokens,
    ).total


def artifact_bytes(study: Study, method: str | None, shape: Shape) -> int:
    """What a training leaves: an adapter, or all weights."""
    adapter = lora(study, method)
    if adapter is not None:
        return _ADAPTER_BYTES * adapter.parameters(shape)
    return _WEIGHT_BYTES * shape.parameters


def checkpoint_bytes(study: Study, method: str | None, tasks: Sequence[str], shape: Shape) -> int:
    """What a training's checkpoints take at most: weights, and two moments of each."""
    adapter, kept = lora(study, method), artifact_bytes(study, method, shape)
    optimizer = optimization(study, method, tasks).optimizer
    if adapter is not None:
        return _CHECKPOINTS * (kept + costs.lora_state_bytes(shape, adapter, optimizer))
    moments = kept if optimizer == "adamw_bnb_8bit" else 2 * kept
    return _CHECKPOINTS * (kept + moments)
