"""Plans, machines and recorded runs to estimate with, all made up."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from bench.data import architectures, sizes
from bench.grid import devices, keys, store, study
from bench.grid.devices import Disk, Machine
from bench.grid.estimates import Known
from bench.grid.plan import plan
from bench.grid.recorded import Measured, Run
from bench.grid.store import Store
from bench.records import Outcome
from bench.run.outcomes import bare_record

INGREDIENTS = keys.Ingredients(sources=dict.fromkeys(keys.ENTRIES, "x"), environment={})
CPU = "Example CPU 3000"
GB = 10**9


def machine(gpu: str | None = None, *, free: int = 1000 * GB, memory: int = 64 * GB) -> Machine:
    found = {"cpu": CPU, "memory_bytes": memory, "gpus": []}
    if gpu is not None:
        found["gpus"] = [{"name": gpu, "memory_bytes": None, "driver": "1"}]
    made = devices.machine(found, Path("/"), Path("/"))
    disk = Disk(Path("/"), free, 1)
    return Machine(made.cpu, made.memory_bytes, made.gpu, disk, disk)


def stages_of(loaded: study.Study, folder: Path):
    return plan(loaded, study.expand(loaded), Store(folder), INGREDIENTS)


@functools.cache
def _amounts(text: str, mirror: Path | None):
    loaded = study.Study.model_validate_json(text)
    return sizes.amounts(loaded, study.expand(loaded), mirror, has_gpu=True)


def known(loaded, here: Machine, *runs: Run, mirror: Path | None = None, profiles=()) -> Known:
    return Known(
        loaded,
        here,
        lambda one: _amounts(one.model_dump_json(by_alias=True), mirror),
        lambda base: architectures.shape(base, mirror),
        runs,
        profiles,
    )


def measured(owner: str, stage: str, size: str, method: str | None, **changes) -> Measured:
    values = {
        "source": "smoke",
        "owner": owner,
        "stage": stage,
        "size": size,
        "method": method,
        "tasks": ("generation", "summarization", "translation"),
        "gpu": False,
        "device": CPU,
        "wall_s": 1800.0,
        "cpu_s": 3600.0,
        "peak_rss_bytes": 3 * GB,
        "peak_device_bytes": None,
        "tokens": 1_000_000,
        "steps": 100,
        "prompts": 396,
        "disk_bytes": 5_000_000,
    }
    return Measured(**{**values, **changes})


def record(folder: Path, owner: str, stage: str, **changes) -> None:
    """Store a finished stage with a record."""
    results = Store(folder)
    work, _ = results.prepare(owner, stage, "key")
    (work / "output").write_bytes(b"x" * 1000)
    base = dataclasses.replace(
        bare_record("key", stage, Outcome.OK, None), wall_s=10.0, cpu_s=20.0, peak_rss_bytes=7
    )
    store.seal(work, dataclasses.replace(base, **changes))
    results.publish(owner, stage)
