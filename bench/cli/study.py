"""The commands on a study: what it plans, the run from data to report, the report again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from bench.cli import live
from bench.cli.console import out
from bench.data import digests, sizes
from bench.data.sources import ROOT, cache_folder
from bench.errors import BenchError
from bench.grid import keys
from bench.grid import plan as planning
from bench.grid import study as study_module
from bench.grid.plan import PlannedStage
from bench.grid.store import HTML, State, Store
from bench.grid.study import Study
from bench.records import Cell
from bench.run import local, provenance, runner
from bench.scoring import codereval, hubmodels
from bench.scoring.quality import javatools
from bench.scoring.sandbox import toolchain


def choose(name: str | None, options: Sequence[str]) -> tuple[Study, str]:
    """The study that was asked for, or the default one, with its options, and why."""
    if name is not None:
        return study_module.load(name, options), "as asked"
    if shutil.which("nvidia-smi") is not None:
        return study_module.load("paper", options), "the default where a CUDA GPU is visible"
    return study_module.load("smoke", options), "the default: no CUDA GPU is visible"


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    """What a command works on: the study, its chosen cells, where it lies and its data."""

    study: Study
    cells: tuple[Cell, ...]
    store: Store
    mirror: Path | None
    data: Mapping[str, str]
    unsafe: bool = False


def _request(options: argparse.Namespace, announce: bool = True) -> _Request:
    study, why = choose(options.study, options.options)
    chosen = study_module.select(study, options.cells)
    if announce:
        models = sum(len(cell.models) for cell in chosen)
        about = f"({why}): {study.summary}"
        out.print(f"[bold]{escape(study.name)}[/] {escape(about)}", soft_wrap=True)
        where = options.results / study.name
        told = f"{len(chosen)} cells, {models} models; results in {where}"
        out.print(told, soft_wrap=True, markup=False)
    return _Request(
        study,
        chosen,
        Store(options.results / study.name),
        options.mirror,
        digests.of_study(study, options.mirror),
        options.unsafe,
    )


def _planned(request: _Request) -> tuple[PlannedStage, ...]:
    """The stages of the whole grid, whichever cells were asked for."""
    ingredients = keys.Ingredients(
        sources=keys.sources(ROOT),
        environment=keys.environment(ROOT),
        data=lambda tasks: digests.of_stages(request.study, tasks, request.mirror),
        machine={
            "score": {
                **toolchain.found(),
                "codereval": codereval.found(),
                **hubmodels.found(request.study.scoring.metrics, request.mirror),
                **javatools.found(request.study.scoring.metrics),
                "unsafe": request.unsafe,
            }
        },
    )
    grid = study_module.expand(request.study)
    return planning.plan(request.study, grid, request.store, ingredients)


def _chosen(request: _Request, planned: Sequence[PlannedStage]) -> list[PlannedStage]:
    """The stages of the cells that were asked for, and of their bases."""
    owners = {cell.id for cell in request.cells}
    sizes = {cell.size for cell in request.cells}
    return [
        stage
        for stage in planned
        if (stage.size in sizes if stage.cell is None else stage.cell in owners)
    ]


def plan(options: argparse.Namespace) -> int:
    """List the stages and their state, what they read, and what is missing; run nothing."""
    request = _request(options, announce=not options.json)
    stages = _chosen(request, _planned(request))
    has_gpu = shutil.which("nvidia-smi") is not None
    amounts = sizes.amounts(request.study, request.cells, request.mirror, has_gpu=has_gpu)
    if options.json:
        plan = planning.as_json(request.study, request.cells, stages, amounts)
        json.dump(plan, sys.stdout, indent=1)
        print()
        return 0
    out.print(live.plan_table(stages, request.study.tasks))
    for table in live.plan_amounts(request.study, request.cells, amounts):
        out.print("", table)
    return 0


def run(options: argparse.Namespace) -> int:
    """Run what is left of a study and report it; any stage that failed makes the code 1."""
    request = _request(options)
    digests.verify(request.study, request.mirror)
    with request.store.locked():
        planned = _planned(request)
        stages = _chosen(request, planned)
        left = [stage for stage in stages if stage.state is not State.DONE]
        if not left and request.store.reported():
            out.print(f"{len(stages)} stages, 0 to run; `report` shows what they gave")
            _say_where(request)
            return 0
        summary = _execute(request, options, stages, left) if left else None
        _publish(request, {stage.id: stage.key for stage in planned})
    return 0 if summary is None or summary.ok else 1


def _execute(
    request: _Request,
    options: argparse.Namespace,
    stages: Sequence[PlannedStage],
    left: Sequence[PlannedStage],
) -> runner.Summary:
    """Run what is left of the chosen stages, with its progress on the terminal."""
    jobs = options.jobs or len(os.sched_getaffinity(0))
    out.print(f"{len(stages)} stages, {len(left)} to run with --jobs {jobs} (venv executor)")
    with local.Local() as executor:
        provenance.write(
            request.store.folder,
            provenance.collect(
                request.study,
                ROOT,
                engine="venv",
                command=["bench", *sys.argv[1:]],
                threads=executor.threads,
                jobs=jobs,
                data=request.data,
            ),
        )
        if any(stage.stage == planning.SCORE for stage in left):
            for language, reason in toolchain.prepare().items():
                told = f"[yellow]{language} will not be executed:[/] {escape(reason)}"
                out.print(told, soft_wrap=True)
            for tool, reason in javatools.prepare(request.study.scoring.metrics).items():
                out.print(f"[yellow]{tool} will not run:[/] {escape(reason)}", soft_wrap=True)
        with live.Progress(out, left) as shown:
            summary = runner.run(
                stages,
                request.study,
                request.store,
                executor,
                jobs=jobs,
                on_event=shown.show,
                options={
                    "mirror": str(request.mirror.resolve()) if request.mirror else None,
                    "cache": str(cache_folder()),
                    "unsafe": options.unsafe,
                },
            )
    if summary.interrupted:
        raise KeyboardInterrupt
    return summary


def report(options: argparse.Namespace) -> int:
    """Render a stored run again, whatever its stages' keys."""
    request = _request(options)
    if not any(request.store.folder.glob("*/*/**/record.json")):
        raise BenchError(
            f"nothing to report: {request.store.folder} holds no stage of a run",
            hint=f"run it first: bench run --study {request.study.name}",
        )
    with request.store.locked():
        _publish(request, None)
    return 0


def _publish(request: _Request, present: Mapping[str, str] | None) -> None:
    """Write the reports of a stored run and show the terminal's.

    ``present`` are the stages' keys: what stale ones have left behind is not reported.
    """
    from bench.report import publish, terminal  # pandas and scipy: not needed by a plan

    folder = request.store.folder
    report = publish.publish(folder, request.study, present, request.mirror)
    out.print(terminal.render(report))
    _say_where(request)


def _say_where(request: _Request) -> None:
    where = request.store.folder / HTML
    out.print(f"the whole report: {where}", soft_wrap=True, markup=False)
