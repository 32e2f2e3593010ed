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


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """The files of a control group that tell its use; ``cpu_unit_s`` is the unit of ``cpu``."""

    memory: Path
    peak: Path
    cpu: Path
    cpu_unit_s: float

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
        return Group(root / "memory.current", root / "memory.peak", root / "cpu.stat", 1e-6)
    memory = root / "memory"
    if not memory.is_dir():
        return None
    return Group(
        memory / "memory.usage_in_bytes",
        memory / "memory.max_usage_in_bytes",
        root / "cpuacct" / "cpuacct.usage",
        1e-9,
    )


def own() -> Group | None:
    """The group of the container that this process runs in; None outside of the kit's."""
    return group() if os.environ.get(VARIABLE) else None


def _number(path: Path) -> int | None:
    """The number in a file: the whole of it, or that of its ``usage_usec`` line."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.rpartition(" ")
            if name in ("", "usage_usec"):
                return int(value)
    return None
