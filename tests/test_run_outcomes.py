"""Each way to end has its name, and its reason fits in one line."""

from __future__ import annotations

import pytest

from bench.errors import DataError
from bench.records import Outcome
from bench.run import outcomes


class OutOfMemoryError(RuntimeError):
    """As torch.cuda raises it."""


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (ValueError("a\nb"), Outcome.FAILED, "ValueError: a"),
        (AssertionError(), Outcome.FAILED, "AssertionError"),
        (SystemExit(3), Outcome.FAILED, "SystemExit: 3"),
        (DataError("x.jsonl: cut", hint="fetch it"), Outcome.FAILED, "x.jsonl: cut — fetch it"),
        (MemoryError(), Outcome.OOM, "MemoryError"),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
            Outcome.OOM,
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            Outcome.OOM,
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried",
        ),
        (
            OSError(12, "Cannot allocate memory"),
            Outcome.OOM,
            "OSError: [Errno 12] Cannot allocate memory",
        ),
        (outcomes.Stopped(), Outcome.INTERRUPTED, "stopped; its work is kept"),
    ],
)
def test_errors(error: BaseException, outcome: Outcome, reason: str) -> None:
    assert outcomes.of_error(error) == (outcome, reason)


@pytest.mark.parametrize(
    ("code", "kills", "outcome", "reason"),
    [
        (-9, 1, Outcome.OOM, "killed by the kernel for lack of memory"),
        (-9, 0, Outcome.FAILED, "killed by signal 9 SIGKILL"),
        (-11, 1, Outcome.FAILED, "killed by signal 11 SIGSEGV"),
        (-63, 0, Outcome.FAILED, "killed by signal 63"),
        (0, 0, Outcome.FAILED, "ended with code 0 and left no record"),
        (7, 0, Outcome.FAILED, "ended with code 7 and left no record"),
    ],
)
def test_deaths(
    monkeypatch: pytest.MonkeyPatch, code: int, kills: int, outcome: Outcome, reason: str
) -> None:
    before = outcomes.oom_kills()
    monkeypatch.setattr(outcomes, "oom_kills", lambda: before + kills)
    assert outcomes.of_death(code, before) == (outcome, reason)
