"""The commands on a study: what it plans, the run from data to report, the report again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from bench.cli import (
    executors,
    fetchfirst,
    forecast,
    live,
    liveplan,
    liverun,
    partial,
    reporting,
    tools,
    verifying,
)
from bench.cli.choice import choose
from bench.cli.console import out
from bench.cli.executors import Choice
from bench.data import digests, sizes
from bench.data.sources import ROOT, cache_folder
from bench.errors import BenchError
from bench.gpus import gpu_visible
from bench.grid import adopted, keys
from bench.grid import plan as planning
from bench.grid import study as study_module
from bench.grid.plan import PlannedStage
from bench.grid.store import State, Store
from bench.grid.study import Study
from bench.records import Cell
from bench.report.document import Report
from bench.run import earlier, extras, ingredients, lacks, provenance, runner
from bench.run.slots import Slots


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    """What a command works on: the study, its chosen cells, where it lies and its data.

    What comes before the stage ``start`` is not made, but adopted as it lies.
    """

    study: Study
    cells: tuple[Cell, ...]
    store: Store
    mirror: Path | None
    data: Mapping[str, str]
    executor: Choice
    unsafe: bool = False
    start: str = planning.BASE

    @property
    def may_run(self) -> tuple[str, ...]:
        """The stages whose data must be here."""
        return _may_run(self.start)


def _may_run(start: str) -> tuple[str, ...]:
    return tuple(one for one in digests.STAGES if not planning.comes_before(one, start))


def _request(
    options: argparse.Namespace, announce: bool = True, start: str = planning.BASE
) -> _Request:
    study, why = choose(options.study, options.options, options.cells)
    chosen = study_module.select(study, options.cells)
    executor = executors.choose(options)
    if announce:
        models = sum(len(cell.models) for cell in chosen)
        about = f"({why}): {study.summary}"
        out.print(f"[bold]{escape(study.name)}[/] {escape(about)}", soft_wrap=True)
        where = options.results / study.name
        told = f"{len(chosen)} cells, {models} models; results in {where}"
        out.print(told, soft_wrap=True, markup=False)
        out.print(f"executor {executor.name} ({executor.why})", soft_wrap=True, markup=False)
    return _Request(
        study,
        chosen,
        Store(options.results / study.name),
        options.mirror,
        digests.of_study(study, options.mirror, _may_run(start)),
        executor,
        options.unsafe,
        start,
    )


def _with_images(request: _Request, options: argparse.Namespace) -> _Request:
    """The request with the images of its executor, which are built now where they are not."""
    built = executors.built(request.executor, _say, offline=options.offline)
    return dataclasses.replace(request, executor=built)


def _with_data(request: _Request, options: argparse.Namespace) -> _Request:
    """The request with what its study reads, which is fetched now where it is not here."""
    fetched = fetchfirst.before_a_run(
        request,
        lambda: _chosen(request, _planned(request)),
        options,
        in_images=request.executor.engine is not None,
    )
    if not fetched:
        return request
    data = digests.of_study(request.study, request.mirror, request.may_run)
    return dataclasses.replace(request, data=data)


def _planned(request: _Request) -> tuple[PlannedStage, ...]:
    """The stages of the whole grid, whichever cells were asked for."""
    found = ingredients.present(
        request.study,
        ROOT,
        request.mirror,
        unsafe=request.unsafe,
        images=request.executor.ids,
        stages=request.may_run,
    )
    grid = study_module.expand(request.study)
    return planning.plan(request.study, grid, request.store, found, request.start)


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
    request = _request(options, announce=not options.json, start=options.start)
    stages = _chosen(request, _planned(request))
    if options.write_reference:
        forecast.write_reference(request.store)
    about = request.study, request.cells, request.mirror
    amounts = sizes.amounts(*about, has_gpu=gpu_visible())
    foreseen = forecast.of_plan(request, stages, amounts, options.gpu, options.gpus)
    if options.json:
        plan = planning.as_json(request.study, request.cells, stages, amounts)
        plan["estimates"] = foreseen.as_json()
        json.dump(plan, sys.stdout, indent=1)
        print()
        return 0
    out.print(live.plan_table(stages))
    if any(stage.why for stage in stages):
        out.print("", verifying.changes_table(stages))
    for table in live.plan_amounts(request.study, request.cells, amounts):
        out.print("", table)
    liveplan.show(out, foreseen)
    return 0


def run(options: argparse.Namespace) -> int:
    """Run what is left of a study and report it; any stage that failed makes the code 1."""
    request = _request(options)
    if options.earlier is None:
        forecast.refuse_without_gpu(request, lambda: _chosen(request, _planned(request)), options)
        request = _with_data(request, options)
    digests.verify(request.study, request.mirror)
    if request.executor.unbuilt and options.earlier is None and not _stored(request):
        # Else minutes of building would come first.
        foreseen = forecast.require_fit(request, _chosen(request, _planned(request)), options)
        forecast.gpus(request, request.executor.engine, foreseen, options, lambda _: None)
    request = _with_images(request, options)
    with request.store.locked():
        taken = _take(request, options)
        planned = _planned(request)
        stages = _chosen(request, planned)
        partial.say_what_holds(taken, stages)
        left = [stage for stage in stages if stage.state is not State.DONE]
        if not left and request.store.reported():
            out.print(f"{len(stages)} stages, 0 to run; `report` shows what they gave")
            reporting.say_where(request.store.folder)
            return 0
        summary = _execute(request, options, stages, left) if left else None
        _publish(request, options, {stage.id: stage.key for stage in planned})
    return 0 if summary is None or summary.ok else 1


def generate(options: argparse.Namespace) -> int:
    """Generate anew from the stored trained models, then score and report."""
    return _rerun(options, planning.GENERATE)


def score(options: argparse.Namespace) -> int:
    """Score the stored generations of a run again, or those of a file of any origin."""
    if partial.of_a_file(options):
        return tools.score(options)
    return _rerun(options, planning.SCORE)


def _rerun(options: argparse.Namespace, start: str) -> int:
    """Run a study's stages from ``start`` on, on what is stored; whatever lacks it is named.

    A cell that was asked for and could not be run makes the code 1.
    """
    request = _request(options, start=start)
    if options.earlier is None:
        _check_stored(request)
        if start == planning.GENERATE:
            forecast.refuse_without_gpu(
                request, lambda: _chosen(request, _planned(request)), options
            )
    digests.verify(request.study, request.mirror, request.may_run)
    request = _with_images(request, options)
    with request.store.locked():
        _take(request, options)
        planned = _planned(request)
        found = adopted.select(request.study, _chosen(request, planned), start)
        partial.say_lacking(found, request.study, start)
        left = [stage for stage in found.stages if not stage.stored]
        summary = _execute(request, options, found.stages, left) if left else None
        if summary is None:
            out.print(f"{len(found.stages)} stages, 0 to run")
        present = {stage.id: stage.key for stage in planned}
        _publish(request, options, present, adopted.told(planned))
    lacks = any(one.stage.cell for one in found.lacking) and options.cells
    return 0 if (summary is None or summary.ok) and not lacks else 1


def _take(request: _Request, options: argparse.Namespace) -> earlier.Taken | None:
    """Take the stages of an earlier run into this one, where ``--from`` names it."""
    if options.earlier is None:
        return None
    taken = earlier.take(
        options.earlier,
        request.study,
        request.cells,
        request.store,
        replace_older=options.replace_older,
    )
    partial.say_taken(taken, options.earlier)
    return taken


def _stored(request: _Request) -> bool:
    """Whether the run folder holds anything of a run."""
    return any(request.store.folder.glob("*/*/**/record.json"))


def _check_stored(request: _Request) -> None:
    """Raise the error for a run folder that holds nothing."""
    if not _stored(request):
        raise BenchError(
            f"nothing is stored: {request.store.folder} holds no stage of a run",
            hint=f"run it first: bench run --study {request.study.name}; or take an earlier run, "
            "or an archive of one: --from PATH",
        )


def _execute(
    request: _Request,
    options: argparse.Namespace,
    stages: Sequence[PlannedStage],
    left: Sequence[PlannedStage],
) -> runner.Summary:
    """Run what is left of the chosen stages, with its progress on the terminal."""
    if request.executor.engine is None:
        extras.require(left)
    lacks.require_weights(request.study, left, request.mirror)
    foreseen = forecast.before_a_run(request, stages, options)
    gpus = forecast.gpus(request, request.executor.engine, foreseen, options, _say)
    slots = Slots(foreseen.jobs, gpus, cores=len(os.sched_getaffinity(0)))
    out.print(f"{len(stages)} stages, {len(left)} to run with --jobs {slots.jobs}")
    if (engine := request.executor.engine) is not None and not engine.limits:
        told = "the containers have no limits, and what each uses is not told: see nox -s doctor"
        out.print(f"[yellow]{told}[/]", soft_wrap=True)
    with executors.started(
        request.executor, request.study, request.store.folder, request.mirror, slots
    ) as executor:
        name = provenance.write(
            request.store.folder,
            provenance.collect(
                request.study,
                ROOT,
                **request.executor.provenance,
                command=["bench", *sys.argv[1:]],
                slots=slots,
                data=request.data,
            ),
            request.study,
        )
        inside = request.executor.engine is not None
        if any(stage.stage in (planning.EMBED, planning.SCORE) for stage in left):
            for line in lacks.of_scoring(request.study, request.mirror, in_images=inside):
                out.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)
        with liverun.of_run(out, stages, left, request.study, foreseen, slots, inside) as shown:
            summary = runner.run(
                stages,
                request.study,
                request.store,
                executor,
                slots=slots,
                limits_s=_limits_s(options),
                on_event=shown.show,
                options={
                    "mirror": str(request.mirror.resolve()) if request.mirror else None,
                    "cache": str(cache_folder()),
                    "unsafe": options.unsafe,
                    "checkpoint_minutes": options.checkpoint_minutes,
                },
                provenance=name,
            )
        executed = [summary.records[name] for name in summary.executed if name in summary.records]
        provenance.complete(request.store.folder, executed)
    if summary.interrupted:
        raise KeyboardInterrupt
    return summary


def _say(text: str) -> None:
    out.print(text, soft_wrap=True, markup=False)


def _limits_s(options: argparse.Namespace) -> dict[str, float]:
    """How long each stage may take; empty where nobody says."""
    if options.stage_hours is None:
        return {}
    return dict.fromkeys(keys.ENTRIES, options.stage_hours * 3600)


def report(options: argparse.Namespace) -> int:
    """Render a stored run again, whatever its stages' keys."""
    request = _request(options, announce=options.full, start=planning.REPORT)
    if options.earlier is None:
        _check_stored(request)
    with request.store.locked():
        _take(request, options)
        shown = _publish(request, options, None, adopted.told(_planned(request)))
    if options.readme is not None:
        from bench.report import excerpt

        excerpt.write(shown, options.readme)
        out.print(f"written: {options.readme}", soft_wrap=True, markup=False)
    return 0


def _publish(
    request: _Request,
    options: argparse.Namespace,
    present: Mapping[str, str] | None,
    built_on: str | None = None,
) -> Report:
    """Write the reports of a stored run, show the terminal's, and return it.

    ``present`` are the stages' keys: what stale ones have left behind is not reported.
    ``built_on`` says which stages were adopted.
    """
    from bench.report import publish  # pandas and scipy: not needed by a plan

    folder = request.store.folder
    report = publish.publish(folder, request.study, present, request.mirror, built_on)
    reporting.show(report, request.study, folder, full=options.full)
    return report
