"""The memory of this process and of all below it, now and at most so far.

Pages that several processes share (the libraries that stages are forked with) count once:
the kernel's proportional share of each process, summed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench import measure

#: The kernel walks page tables to answer, so it is not asked more often.
_EVERY_S = 5.0


class Memory:
    """Samples the memory of a process and those below it, where the kernel tells it."""

    def __init__(self, pid: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._clock = clock
        self._asked_s: float | None = None
        self._now_bytes: int | None = None
        #: The highest that was seen.
        self.peak_bytes = 0

    def now_bytes(self) -> int | None:
        """The latest sample; None where the kernel does not tell."""
        now = self._clock()
        if self._asked_s is None or now - self._asked_s >= _EVERY_S:
            self._asked_s = now
            pids = [self._pid, *(pid for pid, _ in measure.descendants(self._pid))]
            shares = [share for pid in pids if (share := _share_bytes(pid)) is not None]
            self._now_bytes = sum(shares) if shares else None
            self.peak_bytes = max(self.peak_bytes, self._now_bytes or 0)
        return self._now_bytes


def _share_bytes(pid: int) -> int | None:
    """A process' proportional share; None once it has ended, or where nobody may know."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)
