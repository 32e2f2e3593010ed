"""What stages have cost: the records of run folders, and the figures that ship with the kit.

A plan estimates from them before it calculates. A record counts with the study that made it
(``study.json`` of its run folder), since that says what was computed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from bench.data import readers
from bench.errors import DataError
from bench.grid import plan as planning
from bench.grid import store
from bench.grid.store import Store
from bench.grid.study import Study, canonical, expand
from bench.records import Outcome

#: Measured figures that ship with the kit.
REFERENCE = "reference"
COSTS = "costs.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One finished stage. ``source`` names the run; ``device`` is its GPU's or CPU's name.

    ``tokens`` were processed, with padding. ``disk_bytes`` is what its folder holds.
    """

    source: str
    owner: str
    stage: str
    size: str
    method: str | None
    tasks: tuple[str, ...]
    gpu: bool
    device: str | None
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_device_bytes: int | None
    tokens: int | None
    steps: int | None
    prompts: int | None
    disk_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """The measured stages of one run folder, with the study that they belong to."""

    name: str
    study: Study
    stages: tuple[Measured, ...]
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_STAGES = pydantic.TypeAdapter(tuple[Measured, ...])


def runs(results: Path, first: Path, reference: Path) -> list[Run]:
    """Every run with measured stages: that of ``first``, others below ``results``, the kit's.

    ``reference`` is the folder of the kit's own figures.

    Raises:
        DataError: the kit's figures are not what they should be.
    """
    folders = [first, *(path.parent for path in sorted(results.glob(f"*/{store.STUDY}")))]
    found = [run(folder) for folder in dict.fromkeys(folders)]
    shipped = [shipped_run(path) for path in sorted(reference.glob(f"*.{COSTS}"))]
    return [one for one in (*found, *shipped) if one is not None and one.stages]


def run(folder: Path) -> Run | None:
    """The measured stages of a run folder; None where it does not say which study it ran."""
    try:
        study = Study.model_validate(readers.read_object(folder / store.STUDY))
    except (DataError, pydantic.ValidationError):
        return None
    machines: dict[str | None, Mapping[str, Any]] = {}
    return Run(study.name, study, tuple(_measured(folder, study, machines)))


def _measured(
    folder: Path, study: Study, machines: dict[str | None, Mapping[str, Any]]
) -> Iterator[Measured]:
    results = Store(folder)
    for owner, size, method, tasks, stages in _owners(study):
        for stage in stages:
            record = results.record(owner, stage)
            if record is None or record.outcome is not Outcome.OK or record.cpu_s is None:
                continue
            if record.details.get("resumed") or record.wall_s is None:
                continue  # it tells only the part behind the interruption
            if record.provenance not in machines:
                machines[record.provenance] = _machine(folder, record.provenance)
            machine = machines[record.provenance]
            gpu = record.peak_device_bytes is not None
            gpus = machine.get("gpus") or [{"name": None}]
            yield Measured(
                study.name,
                owner,
                stage,
                size,
                method,
                tasks,
                gpu,
                (record.details.get("device") or gpus[0]["name"]) if gpu else machine.get("cpu"),
                record.wall_s,
                record.cpu_s,
                record.peak_rss_bytes or 0,
                record.peak_device_bytes,
                record.tokens.processed if record.tokens else None,
                record.details.get("steps"),
                _prompts(results, owner),
                sum(path.stat().st_size for path in _files(results.path(owner, stage))),
            )


def _owners(
    study: Study,
) -> Iterator[tuple[str, str, str | None, tuple[str, ...], Sequence[str]]]:
    """Owner, size, method, tasks and stages of every base and model of a study."""
    for base in study.sizes:
        yield f"bases/{base.name}", base.name, None, study.tasks, planning.of_base(study)
    for cell in expand(study):
        for model in cell.models:
            owner = f"cells/{cell.id}/{model.id}"
            stages = planning.of_model(study, model.tasks)
            yield owner, cell.size, cell.method, model.tasks, stages


def _prompts(results: Store, owner: str) -> int | None:
    """The prompts that an owner's stored generations answered."""
    record = results.record(owner, planning.GENERATE)
    return None if record is None else record.details.get("prompts")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _machine(folder: Path, provenance: str | None) -> Mapping[str, Any]:
    """The machine of an invocation, else of the last one; empty where nobody noted it."""
    for path in (folder / store.PROVENANCES / f"{provenance}.json", folder / store.RUN):
        try:
            found = readers.read_object(path).get("machine")
        except DataError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def shipped_run(path: Path) -> Run:
    """A run from the kit's own figures.

    Raises:
        DataError: the file is not what ``write_reference`` writes.
    """

    def make(content: Any) -> Run:
        study = Study.model_validate(content["study"])
        return Run(study.name, study, _STAGES.validate_python(content["stages"]), content["origin"])

    return readers.parsed(path, make, readers.read_object(path, hint=readers.CHECK_OUT_AGAIN))


def write_reference(folder: Path, target: Path) -> Path:
    """Write what a run folder's stages cost as a figure of the kit: ``<study>.costs.json``.

    Raises:
        DataError: the folder holds no run.
        DiskError: ``target`` cannot be written.
    """
    found = run(folder)
    if found is None or not found.stages:
        raise DataError(f"{folder} holds no measured stages", hint="run the study first")
    told = readers.read_object(folder / store.RUN, hint="run the study again")
    origin = {name: told.get(name) for name in ("time", "git", "machine", "jobs", "threads")}
    content = {
        "schema": 1,
        "origin": origin,
        "study": canonical(found.study),
        "stages": [dataclasses.asdict(one) for one in found.stages],
    }
    path = target / f"{found.name}.{COSTS}"
    with store.writing(target):
        store.write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())
    return path
