"""How an ended stage is called: from the exception it raised, or from how its process died."""

from __future__ import annotations

import signal
from pathlib import Path

from bench.errors import BenchError
from bench.interruption import Stopped
from bench.records import Outcome, StageRecord

# torch raises a class of its own on a GPU and a bare RuntimeError on the CPU.
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")


def of_error(error: BaseException) -> tuple[Outcome, str]:
    """The outcome of a stage that raised, and the reason in one line."""
    if isinstance(error, Stopped):
        return Outcome.INTERRUPTED, "stopped; its work is kept"
    first = str(error).strip().split("\n")[0]
    if isinstance(error, BenchError):
        return Outcome.FAILED, first
    line = f"{type(error).__name__}: {first}" if first else type(error).__name__
    if isinstance(error, MemoryError) or any(words in first.lower() for words in _MEMORY_WORDS):
        return Outcome.OOM, line
    return Outcome.FAILED, line


def of_death(code: int, oom_kills_before: int) -> tuple[Outcome, str]:
    """The outcome of a stage that ended without a record; ``code`` is -signal or its status.

    The kernel's killing for lack of memory looks like anyone's SIGKILL, so its counter,
    as read before the stage began, decides.
    """
    if code >= 0:
        return Outcome.FAILED, f"ended with code {code} and left no record"
    if -code == signal.SIGKILL and oom_kills() > oom_kills_before:
        return Outcome.OOM, "killed by the kernel for lack of memory"
    known = [number.name for number in signal.Signals if number == -code]
    return Outcome.FAILED, " ".join([f"killed by signal {-code}", *known])


def oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it started."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def bare_record(key: str, stage: str, outcome: Outcome, reason: str | None) -> StageRecord:
    """The record of a stage that measured nothing."""
    return StageRecord(
        key=key,
        stage=stage,
        outcome=outcome,
        reason=reason,
        phases=(),
        wall_s=None,
        cpu_s=None,
        peak_rss_bytes=None,
        peak_device_bytes=None,
        tokens=None,
        artifact_bytes=None,
        files={},
        details={},
    )
