"""What a machine offers a plan: its accelerator's limits, its memory, the room on its disks.

A GPU's limits are its maker's, in ``datasets/gpus.toml``; one that is not listed there is
planned without hours.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.data import readers
from bench.errors import unknown
from bench.grid import durations

TABLE = places.ROOT / "datasets" / "gpus.toml"
_GIB = 2**30


@dataclasses.dataclass(frozen=True, slots=True)
class Gpu:
    """An accelerator by the name that its driver gives it; ``limits`` None: not listed."""

    name: str
    memory_bytes: int | None
    limits: durations.Device | None


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """Where files go, and the bytes that are free there. One disk may hold several places."""

    folder: Path
    free_bytes: int
    device: int


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """This machine, as far as it decides whether a study fits and how long it takes.

    ``gpu`` is the smallest of its GPUs, None where there is none; ``imagined`` says that it
    is only asked about.
    """

    cpu: str | None
    memory_bytes: int
    gpu: Gpu | None
    results: Disk
    cache: Disk
    imagined: bool = False


def machine(
    found: Mapping[str, Any], results: Path, cache: Path, gpu: str | None = None
) -> Machine:
    """The machine from its description (``bench.run.provenance.machine``).

    Args:
        found: its processor, memory and GPUs.
        results: the folder of the results, which need not exist yet.
        cache: the kit's cache, where downloads go.
        gpu: the name of a GPU of the table to plan for instead of what is here.

    Raises:
        BenchError: ``gpu`` is not in the table.
    """
    seen = [named(one["name"], one["memory_bytes"]) for one in found["gpus"]]
    if gpu is not None:
        if gpu not in _table():
            raise unknown("GPU", gpu, _table())
        seen = [named(gpu)]
    smallest = min(seen, key=lambda one: one.memory_bytes or 0, default=None)
    return Machine(
        found["cpu"],
        found["memory_bytes"],
        smallest,
        disk(results),
        disk(cache),
        gpu is not None,
    )


def disk(folder: Path) -> Disk:
    """The disk that a folder is on, or will be on once it is made."""
    resolved = folder.resolve()
    existing = next(path for path in (resolved, *resolved.parents) if path.exists())
    return Disk(folder, shutil.disk_usage(existing).free, existing.stat().st_dev)


def limits(name: str) -> durations.Device | None:
    """The limits of a GPU by its name; None where the table does not list it."""
    row = _table().get(name)
    if row is None:
        return None
    return durations.Device(row["bf16_tflops"] * 1e12, row["gigabytes_per_s"] * 1e9)


def named(name: str, memory_bytes: int | None = None) -> Gpu:
    """A GPU by its name; what is not given of it is its maker's figure."""
    listed = _table().get(name)
    if memory_bytes is None and listed is not None:
        memory_bytes = round(listed["memory_gib"] * _GIB)
    return Gpu(name, memory_bytes, limits(name))


@functools.cache
def _table(path: Path = TABLE) -> Mapping[str, Mapping[str, Any]]:
    """The rows of the table by name.

    Raises:
        DataError: the table is not what it should be.
    """

    def make(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        return {row["name"]: row for row in table["gpus"]}

    return readers.parsed(path, make, readers.read_toml(path))
