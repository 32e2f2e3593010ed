"""A study's settings in the words of the analytic model: how each model is trained and answers.

What it is handed are methods and tasks of a study, so that it serves planned stages and
recorded ones alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench import costs
from bench.costs import Fit, Lora, Shape
from bench.grid import batching, durations
from bench.grid.durations import Asked, Device, Duration
from bench.grid.study import Optimization, Study, Training

#: Tokens of the longest prompt of the paper's suites.
_LONGEST_PROMPT = 1188
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
    room = costs.usable_bytes(memory_bytes)
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
        graphs=gpu
        and adapter is not None
        and training.graphs
        and (training.plan, training.packing) == ("tuned", "published"),
    )


def quantised(study: Study, method: str | None, *, gpu: bool = True) -> bool:
    """Whether a model answers from 4-bit weights, not from what was dequantised once.

    A merged adapter, and an engine that has no such weights, need them dequantised; so does a
    processor, which would dequantise a whole model for every token.
    """
    training, decoding = study.training, study.decoding
    if kind(method) != "qlora" or decoding.merge_adapter or decoding.engine == "vllm":
        return False
    return not training.dequantises if gpu else training.plan != "tuned"


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


def unknown_prompts(study: Study, tasks: Sequence[str]) -> list[Asked]:
    """Prompts of a study whose suites are not here: as long as the longest of the paper's."""
    most = max(study.decoding.new_tokens[task] for task in tasks)
    longest = min(_LONGEST_PROMPT, study.decoding.window_tokens)
    return [Asked(0, longest, longest, most, most, most)]


def answering_time(
    study: Study,
    method: str | None,
    shape: Shape,
    asked: Sequence[Asked],
    device: Device,
    device_bytes: int | None,
) -> Duration:
    """How long prompts take: each answer as long as the references, or up to its limit."""
    return durations.generation_time(
        shape,
        device,
        quantised=quantised(study, method),
        lora=_beside(study, method),
        batches=[
            batch
            for one in asked
            for batch in durations.batches(one, _rows(study, method, shape, one, device_bytes))
        ],
    )


def answering_bytes(
    study: Study,
    method: str | None,
    shape: Shape,
    asked: Sequence[Asked],
    device_bytes: int | None,
) -> int:
    """The peak of device memory while the fullest batch of the longest prompts is answered."""
    return max(
        costs.generation_memory(
            shape,
            quantised=quantised(study, method),
            rows=_rows(study, method, shape, one, device_bytes),
            prompt_tokens=min(one.longest_prompt, study.decoding.window_tokens),
            new_tokens=one.new_tokens,
            lora=_beside(study, method),
        ).total
        for one in asked
    )


def answering_rows(
    study: Study,
    method: str | None,
    shape: Shape,
    asked: Sequence[Asked],
    device_bytes: int | None,
) -> int:
    """The rows of the fullest batch."""
    return max(_rows(study, method, shape, one, device_bytes) for one in asked)


def _beside(study: Study, method: str | None) -> bool:
    """Whether an adapter stands beside the weights that answer."""
    return lora(study, method) is not None and not study.decoding.merge_adapter


def _rows(
    study: Study, method: str | None, shape: Shape, asked: Asked, device_bytes: int | None
) -> int:
    """The rows of a batch of the longest prompts: what the study says, or what fits the device."""
    decoding = study.decoding
    tokens = decoding.batch_tokens
    longest = min(asked.longest_prompt, decoding.window_tokens)
    if tokens == "auto":
        tokens = device_bytes and costs.generation_tokens(
            shape,
            quantised=quantised(study, method),
            memory_bytes=costs.usable_bytes(device_bytes),
            rows=decoding.batch_rows,
            prompt_tokens=longest,
            lora=_beside(study, method),
        )
    most = min(decoding.batch_rows, asked.count or decoding.batch_rows)
    return most if tokens is None else max(1, min(most, tokens // (longest + asked.new_tokens)))


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
