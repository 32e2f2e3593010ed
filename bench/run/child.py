"""The life of one stage in its own process: from its job to the record in its folder.

``run_stage`` is the one place of the package with a broad ``except``: whatever a stage
raises becomes an outcome with a reason, and its traceback goes to the stage's log.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pydantic

from bench import interruption
from bench.errors import BenchError
from bench.grid import intact, store
from bench.interruption import Stopped
from bench.measure import Meter, device_name
from bench.records import Outcome, Phase, StageRecord
from bench.run import outcomes, software
from bench.run.job import Job, Progress, StageFunction, StageResult

_PROGRESS_S = 0.1

#: Passes a message to the runner; ``wait`` is False where losing it does no harm.
Emit = Callable[[Mapping[str, Any], bool], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A job with the function that does it and the folder in which it works."""

    job: Job
    function: str
    work: Path
    resumed: bool


#: How a task travels to the process that executes it: as JSON.
TASK = pydantic.TypeAdapter(Task)


def run_stage(task: Task, emit: Emit) -> None:
    """Execute a stage and leave its record in the work folder; never raises.

    What it is built on is hashed first, and ends it where that is not what was recorded.
    """
    signal.signal(signal.SIGTERM, _stop)
    # What a stage forks ends at once: it could be asked just before it blocks, and never look.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    # One thread drives a GPU, however many a stage has for the rest.
    meter = Meter(1 if task.job.slot.gpus else task.job.slot.threads)
    try:
        with store.writing(task.work):
            _redirect(task.work / store.LOG)
            with meter:
                built_on = intact.taken(task.job.stage, task.job.inputs)
                result = _function(task)(task.job, task.work, meter, _progress(task, emit))
            if built_on:
                details = {**result.details, intact.BUILT_ON: built_on}
                result = dataclasses.replace(result, details=details)
            store.seal(task.work, _record(task, meter, Outcome.OK, None, result))
    except BaseException as error:  # noqa: BLE001 - the boundary: see the module's docstring
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, BenchError | Stopped):
            print(error or "stopped", file=sys.stderr)
        else:
            traceback.print_exc()
        _tell(task, meter, store.disk_error(error, task.work) or error, emit)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _tell(task: Task, meter: Meter, error: BaseException, emit: Emit) -> None:
    """Record how a stage failed; a disk that cannot be written is told to the runner."""
    try:
        with store.writing(task.work):
            outcome, reason = outcomes.of_error(error)
            store.write_record(task.work, _record(task, meter, outcome, reason, StageResult()))
    except store.DiskError as unwritable:
        error = unwritable
    if isinstance(error, store.DiskError):
        told = {"event": "disk", "id": task.job.id, "problem": error.problem, "hint": error.hint}
        emit(told, True)


def _function(task: Task) -> StageFunction:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(task.job.slot.threads)
    module, _, name = task.function.partition(":")
    function: StageFunction = getattr(importlib.import_module(module), name)
    return function


def _redirect(log: Path) -> None:
    """Send everything this process and its programs say to the stage's log."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    faulthandler.enable(2)


def _progress(task: Task, emit: Emit) -> Progress:
    last = 0.0

    def progress(done: float, total: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_S or done >= total:
            last = now
            message = {"event": "progress", "id": task.job.id, "done": float(done)}
            emit({**message, "total": float(total), "note": note}, False)

    return progress


def _record(
    task: Task, meter: Meter, outcome: Outcome, reason: str | None, result: StageResult
) -> StageRecord:
    total = meter.total
    details = {**result.details, "slot": dataclasses.asdict(task.job.slot), "device": device_name()}
    if task.resumed:
        details["resumed"] = True
    if total is not None and total.container is not None:
        details["container"] = dataclasses.asdict(total.container)
    return dataclasses.replace(
        outcomes.bare_record(task.job.key, task.job.stage, outcome, reason),
        phases=meter.phases,
        wall_s=total.wall_s if total else None,
        cpu_s=total.cpu_s if total else None,
        peak_rss_bytes=total.peak_rss_bytes if total else None,
        peak_device_bytes=_device_bytes(total),
        tokens=result.tokens,
        artifact_bytes=result.artifact_bytes,
        details=details,
        provenance=task.job.provenance,
        software=software.versions(),
    )


def _device_bytes(total: Phase | None) -> int | None:
    """The memory that torch took from the device, which is what has to fit on it."""
    if total is None or total.device is None:
        return None
    return total.device.reserved_bytes


def _stop(_signal: int, _frame: FrameType | None) -> None:
    interruption.ask()
