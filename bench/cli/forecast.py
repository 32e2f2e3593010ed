"""What a plan tells of its costs, and whether it fits this machine."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench import places
from bench.cli import liveplan
from bench.cli.console import err
from bench.containers.engine import Engine
from bench.costs import Shape
from bench.data import architectures, sizes
from bench.data.sources import ROOT, cache_folder
from bench.errors import MachineError
from bench.grid import devices, estimates, fit, profiles, recorded, schedule, totals
from bench.grid import study as study_module
from bench.grid.devices import Machine
from bench.grid.estimates import StageEstimate
from bench.grid.plan import GENERATE, TRAIN, Amounts, PlannedStage
from bench.grid.schedule import Wall
from bench.grid.store import Store
from bench.grid.study import HubBase, Study, TinyBase
from bench.grid.totals import CellEstimate
from bench.records import Cell
from bench.run import gpuchoice, gpuprobe, provenance
from bench.run.gpuprobe import Device
from bench.run.slots import ON_GPU, Gpu

#: The figures that ship with the kit.
REFERENCE = ROOT / "reports" / recorded.REFERENCE
#: What is downloaded beside the bases: data sets, and models that metrics are made of.
DATA = "data"


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """What is left of a plan: its costs by stage and by cell, and what does not fit.

    ``downloads``: the bytes that are not here yet, by size of the bases, and of the rest.
    ``jobs``: how many stages would run at once. ``walls``: how long all of it takes on one GPU,
    and on as many as there are or were asked about; empty where no stage's GPU hours are known.
    """

    machine: Machine
    stages: tuple[StageEstimate, ...]
    cells: tuple[CellEstimate, ...]
    problems: tuple[fit.Problem, ...]
    downloads: Mapping[str, int | None]
    jobs: int
    walls: tuple[Wall, ...] = ()

    def gpu_hours(self, stage: str) -> float | None:
        """GPU hours of a kind of stage, as far as they are known."""
        hours = [one.hours.value for one in self.stages if one.gpu and one.stage == stage]
        known = [value for value in hours if value is not None]
        return sum(known) if known else None

    def as_json(self) -> dict[str, Any]:
        """The forecast as plain data."""
        told = totals.as_json(self.machine, self.stages, self.cells)
        problems = [dataclasses.asdict(one) for one in self.problems]
        return {
            **told,
            "downloads": dict(self.downloads),
            "jobs": self.jobs,
            "problems": problems,
            "gpu_hours": {stage: self.gpu_hours(stage) for stage in (TRAIN, GENERATE)},
            "wall": [dataclasses.asdict(one) for one in self.walls],
        }


def forecast(
    study: Study,
    cells: Sequence[Cell],
    stages: Sequence[PlannedStage],
    folder: Path,
    mirror: Path | None,
    amounts: Amounts | None = None,
    *,
    gpu: str | None = None,
    gpus: int | None = None,
    jobs: int | None = None,
) -> Forecast:
    """What the stages that are left will cost, and whether they fit.

    Args:
        study: the study.
        cells: those that were asked for.
        stages: theirs, and their bases'.
        folder: the run's folder; other runs are looked for beside it.
        mirror: the folder with the public data.
        amounts: the study's data, where they were counted already.
        gpu: plan for this GPU of ``datasets/gpus.toml``, whatever is here.
        gpus: so many of them side by side; None: as many as are here, else one.
        jobs: stages at once; None: as many as fit.

    Raises:
        BenchError: no such GPU.
        DataError: a file of figures, the kit's own or a profile, is broken, or a shape is wrong.
    """

    @functools.cache
    def shape_of(base: TinyBase | HubBase) -> Shape | str:
        return architectures.shape(base, mirror)

    def amounts_of(one: Study) -> Amounts:
        if one is study and amounts is not None:
            return amounts
        grid = cells if one is study else study_module.expand(one)
        return sizes.amounts(one, grid, mirror, has_gpu=True)

    here = provenance.machine()
    machine = devices.machine(here, folder.parent, cache_folder(), gpu)
    runs = recorded.runs(folder.parent, folder, REFERENCE)
    measured = profiles.read(folder.parent, REFERENCE)
    known = estimates.Known(study, machine, amounts_of, shape_of, runs, measured)
    found = estimates.estimate(known, stages)
    downloads = _downloads(study, cells, amounts_of(study))
    cores = len(os.sched_getaffinity(0)) - len(here["gpus"])  # one core drives a GPU
    chosen = jobs or fit.fitting_jobs(machine, found, max(1, cores))
    count = gpus or (1 if machine.imagined else max(1, len(here["gpus"])))
    return Forecast(
        machine,
        tuple(found),
        tuple(totals.cells(cells, found, downloads)),
        tuple(fit.problems(study, machine, stages, found, downloads, chosen, shape_of)),
        downloads,
        chosen,
        _walls(stages, found, count, cores),
    )


def _downloads(study: Study, cells: Sequence[Cell], counted: Amounts) -> dict[str, int | None]:
    """The bytes that are not here yet, by size of the cells' bases, and of the rest."""
    needed = {cell.size for cell in cells}
    bases = totals.downloads(study, counted)
    missing = sum(one["bytes"] or 0 for one in counted.missing)
    downloads = {size: count for size, count in bases.items() if size in needed}
    downloads[DATA] = missing - sum(count or 0 for count in bases.values())
    return downloads


def _walls(
    planned: Sequence[PlannedStage], found: Sequence[StageEstimate], gpus: int, cores: int
) -> tuple[Wall, ...]:
    """How long what is left takes on one GPU, and on several; nothing where nobody knows."""
    if not any(one.gpu and one.hours.value is not None for one in found):
        return ()
    needs = {one.id: one.needs for one in planned}
    counts = dict.fromkeys((1, gpus))
    return tuple(schedule.wall(found, needs, gpus=count, slots=cores) for count in counts)


class Request(Protocol):
    """What a command on a study works on, as far as its costs depend on it."""

    @property
    def study(self) -> Study:
        """The study."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that were asked for."""

    @property
    def store(self) -> Store:
        """Where the run lies."""

    @property
    def mirror(self) -> Path | None:
        """The folder with the public data."""


def of_plan(
    request: Request,
    stages: Sequence[PlannedStage],
    amounts: Amounts,
    gpu: str | None,
    gpus: int | None = None,
) -> Forecast:
    """The forecast of a plan, for the GPU that is here or another one, or for several."""
    about = request.study, request.cells, stages, request.store.folder, request.mirror
    return forecast(*about, amounts, gpu=gpu, gpus=gpus)


def write_reference(store: Store) -> None:
    """Keep what a run's stages have cost as figures of the kit.

    Raises:
        DataError: the run has no measured stage.
        MachineError: the kit is an installed package.
    """
    places.require_checkout("--write-reference needs")
    err.print(f"written: {recorded.write_reference(store.folder, REFERENCE)}", soft_wrap=True)


def before_a_run(
    request: Request, stages: Sequence[PlannedStage], options: argparse.Namespace
) -> Forecast:
    """The forecast of a run, with its warnings told.

    Raises:
        MachineError: something surely does not fit, and ``--anyway`` was not given.
    """
    found = require_fit(request, stages, options)
    for line in liveplan.problems(found):
        err.print(line, soft_wrap=True)
    return found


def require_fit(
    request: Request, stages: Sequence[PlannedStage], options: argparse.Namespace
) -> Forecast:
    """The forecast of a run, unless it surely does not fit this machine; nothing is told.

    Raises:
        MachineError: something surely does not fit, and ``--anyway`` was not given.
    """
    about = request.study, request.cells, stages, request.store.folder, request.mirror
    found = forecast(*about, jobs=options.jobs)
    if not options.anyway:
        fit.require(found.problems)
    return found


def refuse_without_gpu(
    request: Request, stages: Callable[[], Sequence[PlannedStage]], options: argparse.Namespace
) -> None:
    """Refuse models of the hub where no GPU can be used, before their data is asked for.

    ``stages`` are looked at only then: what is left of them may need none.

    Raises:
        MachineError: a stage that is left needs a GPU, and why none can be had.
    """
    hub = any(isinstance(base, HubBase) for base in request.study.sizes)
    if not hub or options.anyway:
        return
    if options.gpus == gpuchoice.NONE:
        why = ("--gpus none forbids it", "leave --gpus out")
        fit.require(fit.without_gpu(request.study, stages(), *why))
    if not provenance.gpus():
        why = gpuprobe.problem(gpuprobe.here()) or ("this machine shows none", "see nox -s doctor")
        fit.require(fit.without_gpu(request.study, stages(), *why))


def gpus(
    request: Request,
    engine: Engine | None,
    found: Forecast,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> tuple[Gpu, ...]:
    """The GPUs that a run uses; ``say`` gets a line on what it computes on.

    Args:
        request: the run.
        engine: of its containers; None where it does without.
        found: its forecast.
        options: ``--gpus`` and ``--anyway``.
        say: shows a line.

    Raises:
        BenchError: ``--gpus`` names one that is not there.
        MachineError: one cannot be used, is too full or is another's, without ``--anyway``.
    """
    if not any(one.stage in ON_GPU for one in found.stages):
        return ()
    seen = gpuprobe.here()
    chosen = gpuchoice.choose(options.gpus, seen)
    hub = any(isinstance(base, HubBase) for base in request.study.sizes)
    lacking = engine.gpu_problem() if chosen and engine is not None else None
    if lacking is not None and (hub or options.gpus) and not options.anyway:
        hint = f"{lacking[1]}; or run without containers: --executor venv"
        raise MachineError(f"no GPU reaches a container: {lacking[0]}", hint=hint)
    if not chosen or lacking is not None:
        why = lacking or (gpuprobe.problem(seen) if gpuprobe.signs() else None)
        if why is not None or options.gpus == gpuchoice.NONE:
            say(f"computes on the CPU: {why[0] if why else '--gpus none'}")
        return ()
    named = {f"GPU {gpu} ({one.name})": one for gpu, one in chosen.items()}
    say(f"computes on {', '.join(named)}")
    if not options.anyway:
        free = {name: one.free_bytes for name, one in named.items()}
        fit.require(fit.busy(free, list(_others(named)) if hub else (), found.stages))
    return tuple(chosen)


def _others(named: Mapping[str, Device]) -> Iterator[str]:
    """A few words for each process that computes on a chosen GPU already."""
    for name, device in named.items():
        for one in device.others:
            held = "memory" if one.used_bytes is None else f"{one.used_bytes / 1e9:.1f} GB"
            yield f"process {one.pid} holds {held} of {name}"
