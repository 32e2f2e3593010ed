"""The micro-batch of a training on the device at hand, kept for when the training goes on.

A training that is taken up again computes with the micro-batch that it began with: another
one would round differently. Only one that did not fit is replaced, by the next smaller.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench import costs
from bench.costs import Fit, Lora, Shape
from bench.errors import MachineError
from bench.grid import analytic, batching
from bench.grid.batching import Setting
from bench.grid.study import Training
from bench.train import methods

_FILE = "micro_batch.json"
#: The share of a machine's memory that one training on a CPU may take.
_HOST_SHARE = 0.5


def choose(model: Any, training: Training, method: str, work: Path) -> Setting:
    """The setting of a training in ``work``: the one it began with, else the best that fits.

    Args:
        model: a loaded base, not yet wrapped; its device is the training's.
        training: the protocol.
        method: ``st-qlora``, ``mt-qlora`` or ``mt-fft``.
        work: the stage's folder, where the choice is kept.
    """
    kept = work / _FILE
    if kept.is_file():
        return Setting(**json.loads(kept.read_text()))
    chosen = methods.optimization(training, method)
    setting = batching.published(chosen, full=not methods.quantizes(method))
    device = model.get_input_embeddings().weight.device
    if training.plan == "tuned":
        open_ = batching.settings(chosen, training.row_tokens, gpu=device.type == "cuda")
        if len(open_) == 1:
            setting = open_[0]
        else:
            fit = bare_fit(training, method, gpu=device.type == "cuda")
            setting = batching.choose(shape_of(model), fit, open_, _room_bytes(device), None)
    keep(setting, work)
    return setting


@dataclasses.dataclass(slots=True)
class Attempt:
    """A training under a setting; ``failed`` tells of one that ran out of device memory."""

    setting: Setting
    failed: dict[str, Any] | None = None


@contextlib.contextmanager
def fitting(model: Any, training: Training, method: str, work: Path) -> Iterator[Attempt]:
    """Train inside with the setting that is chosen; out of memory, the next is a smaller one.

    Raises:
        MachineError: out of memory, and the study leaves no smaller setting open.
    """
    attempt = Attempt(choose(model, training, method, work))
    shape = shape_of(model)
    try:
        yield attempt
    except torch.OutOfMemoryError as error:
        told = str(error).splitlines()[0]
        attempt.failed = {**dataclasses.asdict(attempt.setting), "reason": told}
        after_out_of_memory(shape, training, method, attempt.setting, work)
    if attempt.failed:  # behind the handler: its traceback holds what the training had made
        gc.collect()
        torch.cuda.empty_cache()


def keep(setting: Setting, work: Path) -> None:
    """Note the setting with which a training begins."""
    draft = work / f"{_FILE}.partial"
    draft.write_text(json.dumps(dataclasses.asdict(setting)))
    draft.replace(work / _FILE)


def after_out_of_memory(
    shape: Shape, training: Training, method: str, before: Setting, work: Path
) -> Setting:
    """The next smaller setting, kept for the training in ``work``.

    Raises:
        MachineError: there is none, or the study prescribes this one.
    """
    chosen = methods.optimization(training, method)
    open_ = batching.settings(chosen, training.row_tokens, gpu=True)
    fit = bare_fit(training, method, gpu=True)
    less = batching.smaller(shape, fit, open_, before) if training.plan == "tuned" else None
    if less is None:
        raise MachineError(
            f"out of device memory with {before.rows} rows at once",
            hint='set rows_per_micro_batch = "auto" and gradient_checkpointing = "auto" in the '
            "study, or take a larger GPU",
        )
    keep(less, work)
    return less


def bare_fit(training: Training, method: str, *, gpu: bool) -> Fit:
    """A training in the words of the memory model, one row at once."""
    lora = training.lora
    adapter = Lora(lora.rank, lora.targets) if methods.quantizes(method) else None
    optimizer = methods.optimization(training, method).optimizer
    return analytic.bare_fit(training, adapter, gpu=gpu, optimizer=optimizer)


def shape_of(model: Any) -> Shape:
    """The shape of a loaded model."""
    rows = model.get_input_embeddings().weight.shape[0]
    return dataclasses.replace(Shape.of(model.config), vocabulary=rows)


def _room_bytes(device: torch.device) -> float:
    """What a training may fill: the rest of a device and what this process has of it already."""
    if device.type != "cuda":
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return _HOST_SHARE * pages
    free, _ = torch.cuda.mem_get_info(device)
    return (1 - costs.UNUSABLE) * (free + torch.cuda.memory_reserved(device))
