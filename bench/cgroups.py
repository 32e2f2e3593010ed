"""What a container as a whole has used, from its control group, read inside it.

Both versions of the kernel's control groups; in a container the mounted hierarchy begins
at its own group. Memory is what the kernel charges to the group: the processes' own, and
the file pages that they were the first to read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

#: Set by the executor in its containers, to the engine's name.
VARIABLE = "BENCH_CONTAINER"
ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 2**60


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """The files of a control group that tell its use; ``cpu_unit_s`` is the unit of ``cpu``."""

    limit: Path
    memory: Path
    peak: Path
    cpu: Path
    cpu_unit_s: float

    @property
    def limited(self) -> bool:
        """Whether its memory has a limit."""
        limit = _number(self.limit)  # version 2 says "max" for none, version 1 a huge number
        return limit is not None and limit < _NO_LIMIT

    def memory_bytes(self) -> int | None:
        """What is charged now; None where it is not told."""
        return _number(self.memory)

    def peak_bytes(self) -> int | None:
        """The most that was ever charged; None where the kernel is too old to tell."""
        return _number(self.peak)

    def cpu_s(self) -> float | None:
        """CPU seconds of all that ever ran in the group."""
        used = _number(self.cpu)
        return None if used is None else used * self.cpu_unit_s


def group(root: Path = ROOT) -> Group | None:
    """The control group mounted at ``root``; None where there is no such thing."""
    if (root / "cgroup.controllers").is_file():
        memory, peak = root / "memory.current", root / "memory.peak"
        return Group(root / "memory.max", memory, peak, root / "cpu.stat", 1e-6)
    memory = root / "memory"
    if not memory.is_dir():
        return None
    return Group(
        memory / "memory.limit_in_bytes",
        memory / "memory.usage_in_bytes",
        memory / "memory.max_usage_in_bytes",
        root / "cpuacct" / "cpuacct.usage",
        1e-9,
    )


def own() -> Group | None:
    """The group of the container that this process runs in; None outside of the kit's.

    The kit gives each of its containers a limit of memory. A group without one is not the
    container's: a rootless engine under version 1 cannot make groups, and shows the machine's.
    """
    found = group() if os.environ.get(VARIABLE) else None
    return found if found is not None and found.limited else None


def _number(path: Path) -> int | None:
    """The number in a file: the whole of it, or that of its ``usage_usec`` line."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.rpartition(" ")
            if name in ("", "usage_usec"):
                return int(value)
    return None
