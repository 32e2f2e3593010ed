"""What a stage costs: a phase clock, a memory sampler, the accelerator's peaks and energy.

Memory is the resident set of the stage's process plus that of every process below it.
Pages that a stage shares with the process it was forked from (the preloaded libraries)
are counted: that is what the stage would need alone, whatever else runs beside it; a
proportional share (PSS) would shrink with every neighbour and costs a page-table walk
per sample. The stage's own peak is exact (the kernel's high-water mark, reset at every
phase); that of the processes below it is sampled. Linux only (``/proc``).
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench import cgroups
from bench.nvml import Devices, Usage
from bench.records import ContainerUse, DevicePeak, DeviceUse, Phase

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[tuple[int, int]]:
    """The live processes below ``pid`` as (process, parent), parents first."""
    found: list[tuple[int, int]] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # the thread or process has just ended
                children = [int(child) for child in listing.read_text().split()]
                found += [(child, parent) for child in children]
                waiting += children
    return found


def _pages(pid: int) -> tuple[int, int]:
    """Virtual and resident pages of a process, zeros once it has ended."""
    try:
        size, resident, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0, 0
    return int(size), int(resident)


def tree_rss_bytes(pid: int) -> int:
    """Resident bytes of a process and all below it.

    A child that still runs in its parent's address space (between fork and exec) would
    double the sum; it is recognised by its equal virtual size and left out.
    """
    pages = {pid: _pages(pid)}
    total = pages[pid][1]
    for child, parent in descendants(pid):
        pages[child] = _pages(child)
        if pages[child][0] != pages[parent][0]:
            total += pages[child][1]
    return total * _PAGE_BYTES


def tree_cpu_s() -> float:
    """CPU seconds of this process, of its reaped children and of all live ones below it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for child, _ in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return time.process_time() + children.ru_utime + children.ru_stime + ticks / _TICKS_PER_S


def _own_peak_bytes() -> int:
    """The kernel's high-water mark of this process' resident set since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _reset_own_peak() -> None:
    """Start a new high-water mark; where that is forbidden the mark just never falls."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _cuda() -> Any | None:
    """``torch.cuda`` where this process already uses it: measuring never starts a GPU."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    initialized = getattr(cuda, "is_initialized", None)
    return cuda if initialized is not None and initialized() else None


def device_name() -> str | None:
    """What this process computed on: the names of its GPUs, ``cpu``, or None (a lost GPU)."""
    cuda = _cuda()
    if cuda is None:
        return "cpu"
    try:
        return ", ".join(cuda.get_device_name(index) for index in range(cuda.device_count()))
    except RuntimeError:  # after an error on the device nothing more can be asked of it
        return None


class _Container:
    """What the container was charged since this was made: the highest sample, and at the end."""

    def __init__(self, group: cgroups.Group) -> None:
        self._group = group
        self._mark_bytes = group.peak_bytes()
        self._cpu_s = group.cpu_s()
        self._highest_bytes = 0

    def sample(self) -> None:
        """Take what is charged now."""
        self._highest_bytes = max(self._highest_bytes, self._group.memory_bytes() or 0)

    def use(self) -> ContainerUse:
        """The use so far: the kernel's mark where it has risen meanwhile, else the samples."""
        mark_bytes, cpu_s = self._group.peak_bytes(), self._group.cpu_s()
        exact = mark_bytes is not None and mark_bytes > (self._mark_bytes or 0)
        spent_s = None if cpu_s is None or self._cpu_s is None else cpu_s - self._cpu_s
        return ContainerUse(
            mark_bytes if exact else self._highest_bytes or None,
            spent_s,
            exact,
        )


class _Peak:
    """The highest values seen since it was made."""

    def __init__(self) -> None:
        self.rss_bytes = 0
        group = cgroups.own()
        self.container = None if group is None else _Container(group)
        self.allocated_bytes: int | None = None
        self.reserved_bytes = 0
        self.device_wide_bytes: int | None = None
        #: From the first look at a device that this process uses.
        self.usage: Usage | None = None

    def device(self) -> DevicePeak | None:
        """The accelerator's part, None where none was used."""
        if self.allocated_bytes is None:
            return None
        return DevicePeak(self.allocated_bytes, self.reserved_bytes, self.device_wide_bytes)

    def device_use(self) -> DeviceUse | None:
        """Energy and utilisation of the accelerator, None where none was used."""
        if self.usage is None:
            return None
        energy_j, way = self.usage.energy()
        return DeviceUse(energy_j, way, self.usage.utilisation())


class Meter:
    """Measures the phases of a stage and the stage as a whole.

    ``with Meter(threads) as meter`` spans the stage; ``with meter.phase("load")`` spans a
    part of it. Phases follow one another and do not nest. ``threads`` is the number of
    cores that the stage may use, for the contention flag.
    """

    def __init__(self, threads: int, *, interval_s: float = 0.25) -> None:
        self.threads = threads
        self.total: Phase | None = None
        self._interval_s = interval_s
        self._phases: list[Phase] = []
        self._peaks: list[_Peak] = []
        self._devices = Devices()
        self._stop = threading.Event()
        self._sampler: threading.Thread | None = None
        self._start = (0.0, 0.0)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that have ended, in order."""
        return tuple(self._phases)

    def __enter__(self) -> Self:
        self._open()
        self._start = (time.perf_counter(), tree_cpu_s())
        self._stop.clear()
        self._sampler = threading.Thread(target=self._run, name="meter", daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sampler is not None:
            self._stop.set()
            self._sampler.join()
            self._sampler = None
        self.total = self._close("total", self._start)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what runs inside; the phase is kept when it raises, too."""
        if self._sampler is None:
            with self, self.phase(name):
                yield
            return
        if len(self._peaks) > 1:
            raise RuntimeError(f"phase {name!r} inside another phase")
        self._open()
        start = (time.perf_counter(), tree_cpu_s())
        try:
            yield
        finally:
            self._phases.append(self._close(name, start))

    def _open(self) -> None:
        """Begin a span: what was highest so far belongs to the span around it."""
        self._edge()
        if (cuda := _cuda()) is not None:
            for index in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(index)
        _reset_own_peak()
        self._peaks.append(_Peak())
        self._sample()

    def _close(self, name: str, start: tuple[float, float]) -> Phase:
        self._edge()
        wall_s = time.perf_counter() - start[0]
        cpu_s = tree_cpu_s() - start[1]
        peak = self._peaks.pop()
        return Phase(
            name,
            wall_s,
            cpu_s,
            peak.rss_bytes,
            peak.device(),
            wall_s * self.threads / cpu_s if cpu_s > 0 else None,
            None if peak.container is None else peak.container.use(),
            peak.device_use(),
        )

    def _edge(self) -> None:
        """Wait for the device, then take the exact peaks into every open span."""
        own_bytes = _own_peak_bytes()
        self._sample()
        cuda = _cuda()
        allocated = reserved = 0
        if cuda is not None:
            for index in range(cuda.device_count()):
                cuda.synchronize(index)
                allocated += cuda.max_memory_allocated(index)
                reserved += cuda.max_memory_reserved(index)
        for peak in self._peaks:
            peak.rss_bytes = max(peak.rss_bytes, own_bytes)
            if cuda is not None:
                peak.allocated_bytes = max(peak.allocated_bytes or 0, allocated)
                peak.reserved_bytes = max(peak.reserved_bytes, reserved)

    def _sample(self) -> None:
        rss_bytes = tree_rss_bytes(os.getpid())
        cuda = _cuda()
        used = None if cuda is None else self._devices.used_bytes(cuda)
        for peak in list(self._peaks):
            peak.rss_bytes = max(peak.rss_bytes, rss_bytes)
            if peak.container is not None:
                peak.container.sample()
            if used is not None:
                peak.device_wide_bytes = max(peak.device_wide_bytes or 0, used)
            if cuda is not None:
                peak.usage = peak.usage or Usage(self._devices, cuda)
                peak.usage.sample()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._sample()
