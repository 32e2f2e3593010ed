"""What a prisoner may use, and how its end is judged by that."""

from __future__ import annotations

import dataclasses

from bench.scoring.sandbox.watch import Exit

MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one prisoner may use. CPU time decides; the wall clock is for those who sleep.

    ``memory_bytes`` bounds each process' private data (RLIMIT_DATA) and the memory of all
    together (see ``memory``); ``address_space`` adds RLIMIT_AS, which JVM and .NET cannot bear.
    """

    wall_s: float = 20.0
    cpu_s: int = 5
    memory_bytes: int = 512 * MIB
    address_space: bool = False
    file_bytes: int = 16 * MIB
    scratch_bytes: int = 64 * MIB
    open_files: int = 64
    processes: int = 16
    channel_bytes: int = 8 * MIB
    printed_bytes: int = 1 * MIB


@dataclasses.dataclass(frozen=True, slots=True)
class JailResult:
    """How a command ended.

    ``outcome`` is ``exited`` (status 0), ``error``, ``timeout``, ``memory``,
    ``output-limit``, or ``stopped`` (by the caller). ``channel`` is what it wrote to
    standard output, ``printed`` to standard error, both cut at their caps.
    """

    outcome: str
    exit_code: int
    channel: bytes
    printed: bytes
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


def result(end: Exit, limits: Limits) -> JailResult:
    """An exit, judged by the limits it ran under."""
    outcome = end.stopped_by
    if outcome is None:
        killed = end.exit_code in (-9, 137)
        if end.exit_code == 0:
            outcome = "exited"
        elif killed and end.cpu_s >= limits.cpu_s / 2:
            outcome = "timeout"  # the kernel's own count, by ticks, may run ahead of this one
        elif killed and end.peak_rss_bytes >= limits.memory_bytes / 2:
            outcome = "memory"  # by the kernel, before the watch saw it
        else:
            outcome = "error"
    return JailResult(
        outcome,
        end.exit_code,
        end.channel,
        end.printed,
        end.wall_s,
        end.cpu_s,
        end.peak_rss_bytes,
    )
