"""How much memory a prisoner uses: counted by the kernel in a group of its own, else looked up.

Where the unified control groups lend the memory controller, the kernel charges everything to
the group, whatever kind it is, and ends it at the limit. Elsewhere a look counts the resident
pages of all processes, and shared memory that no page table shows as long as it is mapped;
kinds of memory that need not be mapped at all are closed by the filter (``seccomp``).
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_GROUPS = Path("/sys/fs/cgroup")
_TRIAL_BYTES = 64 * 1024 * 1024
_REMOVE_S = 2.0
#: What the maps of a process call memory that is shared and belongs to no file.
_SHARED = (b"/dev/zero (deleted)", b"/memfd:", b"/SYSV")


def children(pid: int) -> list[int]:
    """The processes that the threads of a process started, as far as they can be seen."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """A process and what it started, at any depth."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident bytes of some processes now."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def shared_bytes(pids: Iterable[int]) -> int:
    """Bytes of shared memory without a file that are mapped and not resident.

    Pages that were written and then given back to the page table still exist; only the size
    of the mapping shows them.
    """
    sizes: dict[bytes, int] = {}
    shown = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            maps = Path(f"/proc/{pid}/maps").read_bytes()
            if any(name in maps for name in _SHARED):
                for inode, size in _shared_maps(maps).items():
                    sizes[inode] = max(size, sizes.get(inode, 0))
                shown += _shown(pid)
    return max(0, sum(sizes.values()) - shown)


def _shared_maps(maps: bytes) -> dict[bytes, int]:
    """The mapped bytes of every piece of shared memory without a file, by device and inode."""
    sizes: dict[bytes, int] = {}
    for line in maps.splitlines():
        place, rights, _, device, inode, *name = line.split(None, 5)
        if name and name[0].startswith(_SHARED) and rights.endswith(b"s"):
            start, _, end = place.partition(b"-")
            key = device + inode
            sizes[key] = sizes.get(key, 0) + int(end, 16) - int(start, 16)
    return sizes


def _shown(pid: int) -> int:
    """The bytes of shared memory that are resident, and so counted already."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    return 0


class Group:
    """A control group with a limit on memory, for one prisoner."""

    def __init__(self, parent: Path, limit_bytes: int) -> None:
        self.folder = parent / f"bench-{secrets.token_hex(8)}"
        self.folder.mkdir()
        self._set("memory.max", str(limit_bytes))
        for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            with contextlib.suppress(OSError):  # not of every kernel
                self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        (self.folder / name).write_text(value, encoding="ascii")

    def command(self) -> list[str]:
        """What stands before a command, which then runs in the group with all it starts."""
        enter = 'echo 0 > "$0" && exec "$@"'
        return ["/bin/sh", "-c", enter, str(self.folder / "cgroup.procs")]

    def exceeded(self) -> bool:
        """Whether the kernel ended something for its memory."""
        with contextlib.suppress(OSError, ValueError):
            events = (self.folder / "memory.events").read_text(encoding="ascii").split()
            counts = dict(zip(events[::2], map(int, events[1::2]), strict=True))
            return counts.get("oom_kill", 0) > 0
        return False

    def remove(self) -> None:
        """End what is left in it, and remove it."""
        with contextlib.suppress(OSError):
            self._set("cgroup.kill", "1")
        deadline = time.monotonic() + _REMOVE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # it is busy until the last process is reaped
                self.folder.rmdir()
                return
            time.sleep(0.01)


def group(limit_bytes: int) -> Group | None:
    """A new group with a limit; None where this machine lends none."""
    parent = _parent()
    if parent is None:
        return None
    try:
        return Group(parent, limit_bytes)
    except OSError:
        return None


@functools.cache
def _parent() -> Path | None:
    """Where this process may make groups with limits on memory: tried once."""
    return next((parent for parent in _candidates() if _works(parent)), None)


def _candidates() -> list[Path]:
    """The groups around this process' own that give the memory controller to their members."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::/"):
                own = _GROUPS / line[len("0::/") :]
                around = [one for one in (own, *own.parents) if one.is_relative_to(_GROUPS)]
                return [one for one in around if _lends(one)]
    return []


def _lends(parent: Path) -> bool:
    try:
        given = (parent / "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        return False
    return "memory" in given and os.access(parent, os.W_OK)


def _works(parent: Path) -> bool:
    """Whether a process can enter a group there."""
    try:
        tried = Group(parent, _TRIAL_BYTES)
    except OSError:
        return False
    try:
        command = [*tried.command(), "/bin/true"]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode == 0
    finally:
        tried.remove()
