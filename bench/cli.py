"""``python -m bench``: the only room that talks to people.

Everything below returns data or raises ``BenchError``; here it becomes text and an exit
code. Nothing here imports torch: stages run in processes of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import bench
from bench import live
from bench.data import digests, problems, sizes
from bench.data.sources import cache_folder, data_folder
from bench.data.suites import SUITES
from bench.errors import BenchError
from bench.grid import keys
from bench.grid import plan as planning
from bench.grid import study as study_module
from bench.grid.plan import PlannedStage
from bench.grid.store import HTML, State, Store
from bench.grid.study import Study, Suite
from bench.records import TASKS, Cell
from bench.run import local, provenance, runner
from bench.scoring import codereval, hubmodels
from bench.scoring.quality import javatools
from bench.scoring.sandbox import toolchain
from bench.scoring.sandbox.jail import UNSAFE_OPTION

ROOT = Path(__file__).parents[1]

CODEREVAL_HELP = f"CoderEval's own environment, which has its tests (or {codereval.VARIABLE})"

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when all of it succeeded."""
    options = parser().parse_args(argv)
    _prepare_environment(
        offline=getattr(options, "offline", False), environment=getattr(options, "codereval", None)
    )
    try:
        return int(options.command(options))
    except BenchError as error:
        err.print(f"[bold red]error:[/] {escape(error.problem)}", soft_wrap=True)
        err.print(f"  [bold]next:[/] {escape(error.hint)}", soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        err.print("interrupted: what is done is kept; the same command continues")
        return 130
    except BrokenPipeError:  # the reader of our output, for example `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _prepare_environment(*, offline: bool, environment: str | None) -> None:
    """Settings that must stand before any library is imported, here or in a child."""
    if environment:
        os.environ[codereval.VARIABLE] = environment
    if offline:
        for library in ("BENCH", "HF_HUB", "HF_DATASETS", "HF_EVALUATE"):
            os.environ[f"{library}_OFFLINE"] = "1"


def parser() -> argparse.ArgumentParser:
    """The command line, one subcommand per thing that a user may want."""
    top = argparse.ArgumentParser(prog="bench", description=bench.__doc__)
    top.add_argument("--version", action="version", version=bench.__version__)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    study = argparse.ArgumentParser(add_help=False)
    study.add_argument("--study", help="name of a study, or a TOML file (default: smoke)")
    study.add_argument(
        "--with",
        dest="options",
        action="append",
        default=[],
        metavar="OPTION",
        help="add an option of the study, for example rq3 of the study paper (repeatable)",
    )
    study.add_argument(
        "--cells",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these cells, for example 'st-*' or mt-qlora-2m (repeatable)",
    )
    study.add_argument(
        "--results",
        type=Path,
        default=ROOT / "reports",
        metavar="DIR",
        help="where runs are kept (default: reports/)",
    )
    study.add_argument("--mirror", type=Path, metavar="DIR", help="folder with the public data")
    study.add_argument("--offline", action="store_true", help="never touch the network")
    study.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    study.add_argument(
        UNSAFE_OPTION,
        dest="unsafe",
        action="store_true",
        help="execute model-written code unconfined where no sandbox works",
    )

    run = commands.add_parser("run", parents=[study], help="run a study from data to report")
    run.add_argument("--jobs", type=_positive, metavar="N", help="stages at once (default: cores)")
    run.add_argument(
        "--executor",
        choices=["venv"],
        default="venv",
        help="how a stage is started: a process of this environment",
    )
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", parents=[study], help="list cells and stages, run nothing")
    plan.add_argument("--json", action="store_true", help="machine-readable")
    plan.set_defaults(command=_plan)

    report = commands.add_parser("report", parents=[study], help="render a stored run again")
    report.set_defaults(command=_report)

    selfcheck = commands.add_parser(
        "selfcheck", help="execute the suites' reference solutions in the sandbox"
    )
    selfcheck.add_argument("--suite", action="append", default=[], help="only these (repeatable)")
    selfcheck.add_argument("--mirror", type=Path, metavar="DIR", help="folder with public data")
    selfcheck.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    selfcheck.set_defaults(command=_selfcheck)

    _declare_score(commands)
    _declare_reanalyse(commands)
    _declare_fetch(commands)

    told = "decide the paper's claims on its published values"
    claims = commands.add_parser("claims", help=told)
    claims.add_argument("--mirror", type=Path, metavar="DIR", help="folder with public data")
    claims.add_argument("--json", type=Path, metavar="OUT", help="also write the evidence there")
    claims.set_defaults(command=_claims)

    doctor = commands.add_parser("doctor", help="what this machine can run, and what it lacks")
    doctor.set_defaults(command=_doctor)
    return top


def _declare_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``score``."""
    score = commands.add_parser("score", help="score stored generations of any origin")
    score.add_argument(
        "--generations",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON Lines, each with an id and what was written: code, output or summary",
    )
    score.add_argument("--task", required=True, help=", ".join(TASKS))
    score.add_argument("--language", required=True, help="python, java, cs_java or java_cs")
    score.add_argument(
        "--variant",
        choices=["published", "corrected"],
        default="corrected",
        help="published repeats the study's scripts (default: corrected)",
    )
    score.add_argument(
        "--csv", type=Path, required=True, metavar="OUT", help="the table to write, a row per id"
    )
    score.add_argument("--mirror", type=Path, metavar="DIR", help="folder with the public data")
    score.add_argument(
        "--references", type=Path, metavar="FILE", help="JSON Lines, each with id and reference"
    )
    score.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    score.add_argument("--suite", help="of the kit's own generations, where they hold several")
    score.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="only these, for example lizard (repeatable; default: all but judge)",
    )
    score.add_argument("--offline", action="store_true", help="never touch the network")
    score.set_defaults(command=_score)


def _declare_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``fetch``."""
    fetch = commands.add_parser("fetch", help="download and verify what a study reads")
    fetch.add_argument("--study", help="name of a study, or a TOML file (default: smoke)")
    fetch.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    fetch.add_argument("--all", action="store_true", help="whatever the kit knows, for any study")
    fetch.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these files or repositories, for example '*CodeXGLUE*' (repeatable)",
    )
    fetch.add_argument("--data", type=Path, metavar="DIR", help="where to (default: .cache/data)")
    fetch.add_argument("--list", action="store_true", help="show sources, licences and citations")
    fetch.add_argument("--offline", action="store_true", help="only say what is not here")
    fetch.set_defaults(command=_fetch)


def _declare_reanalyse(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``reanalyse``."""
    redo = commands.add_parser(
        "reanalyse", help="redo the paper's statistics from its per-instance values"
    )
    redo.add_argument(
        "--mirror",
        type=Path,
        metavar="DIR",
        help="folder with the public data, or a clone of the replication package",
    )
    redo.add_argument(
        "--outputs",
        type=Path,
        metavar="DIR",
        help="the published outputs, for example translation/cs_java/3b_st-qlora/outputs.jsonl",
    )
    redo.add_argument("--json", type=Path, metavar="OUT", help="also write rows and audits there")
    redo.add_argument("--markdown", type=Path, metavar="OUT", help="also write the report there")
    redo.add_argument(
        "--write-reference",
        action="store_true",
        help="write the published means anew: reports/reference/published.csv",
    )
    redo.set_defaults(command=_reanalyse)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _choose_study(name: str | None, options: Sequence[str]) -> tuple[Study, str]:
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
    study, why = _choose_study(options.study, options.options)
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


def _plan(options: argparse.Namespace) -> int:
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


def _run(options: argparse.Namespace) -> int:
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


def _report(options: argparse.Namespace) -> int:
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


def _selfcheck(options: argparse.Namespace) -> int:
    """Grade the references of the suites; every failure is named, known ones explained."""
    from bench.scoring import execution

    names = options.suite or ["embedded", *(SUITES if options.mirror else ())]
    failed = 0
    for name in names:
        found = problems.suite_problems(Suite(name=name), TASKS, options.mirror)
        executable = [problem for problem in found if problem.check is not None]
        if not executable:
            out.print(f"{name}: no tests to execute")
            continue
        check = execution.self_check(name, executable)
        out.print(live.selfcheck_table(check))
        failed += check.unexplained
    return 1 if failed else 0


def _score(options: argparse.Namespace) -> int:
    """Score stored generations; lines that were left out make the exit code 1."""
    from bench.scoring import sheet, stored  # pandas and the analysers: not needed by a plan

    request = stored.Request(
        options.generations,
        stored.track(options.task, options.language),
        options.variant,
        options.mirror,
        options.references,
        options.suite,
        tuple(options.metric),
    )
    stored.check_output(request, options.csv)
    scored = stored.measure(request)
    sheet.write(scored.sheet, options.csv)
    for line in live.score_remarks(scored):
        err.print(line, soft_wrap=True, markup=False)
    out.print(live.score_table(scored.sheet))
    what = f"{len(scored.sheet.table)} generations of {request.track}, {request.variant}"
    out.print(f"{what}: {options.csv}", soft_wrap=True, markup=False)
    return 1 if any(fault.left_out for fault in scored.faults) else 0


def _claims(options: argparse.Namespace) -> int:
    """Decide the claims on the published values, in both readings."""
    from bench.report import claims, publishedclaims, terminal  # pandas: not needed by a plan

    report, found = publishedclaims.report(options.mirror or data_folder())
    if options.json is not None:
        claims.write(options.json, publishedclaims.STUDY, found)
    out.print(terminal.render(report))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    """Bring a study's data into the data folder, or list where they come from."""
    from bench import livefetch
    from bench.data.fetching import fetch, needs

    wanted = needs.everything()
    if not options.all:
        study, why = _choose_study(options.study, options.options)
        wanted = needs.of_study(study)
        out.print(f"[bold]{escape(study.name)}[/] ({escape(why)})")
    wanted = needs.only(wanted, options.only)
    data = options.data or data_folder()
    if options.list:
        out.print(livefetch.origins(needs.origins(wanted, data)), soft_wrap=True)
        return 0
    with livefetch.Downloads(out) as shown:
        summary = fetch.fetch(wanted, data, offline=options.offline, on_event=shown.show)
    out.print(livefetch.outcome(summary, data), soft_wrap=True)
    return max((error.exit_code for _, error in summary.failed), default=0)


def _reanalyse(options: argparse.Namespace) -> int:
    """Redo the paper's statistics; a row that differs or an unread file makes the exit code 1."""
    from bench.analysis import published  # pandas and scipy: not needed by a plan
    from bench.report import page, reanalysis, reference, terminal

    redone = reanalysis.redo(options.mirror or data_folder(), options.outputs)
    report = reanalysis.build(redone)
    if options.json is not None:
        reanalysis.write(options.json, reanalysis.json_text(redone))
    if options.markdown is not None:
        reanalysis.write(options.markdown, page.markdown(report))
    if options.write_reference:
        reanalysis.write(reference.PATH, published.reference(redone.package))
    out.print(terminal.render(report))
    return 0 if redone.reproduced else 1


def _doctor(options: argparse.Namespace) -> int:
    from bench.run import doctor

    checks = doctor.checks()
    out.print(live.doctor_table(checks))
    return 0 if all(check.ok is not False for check in checks) else 1
