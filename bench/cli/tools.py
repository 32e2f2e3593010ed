"""The commands beside a study: checks, stored generations, sources, the paper's own values."""

from __future__ import annotations

import argparse

from rich.markup import escape

from bench import places
from bench.cli import live
from bench.cli.choice import choose
from bench.cli.console import err, out
from bench.data import problems
from bench.data.sources import data_folder
from bench.data.suites import SUITES
from bench.errors import BenchError
from bench.grid import study as study_module
from bench.grid.study import Suite
from bench.records import TASKS


def selfcheck(options: argparse.Namespace) -> int:
    """Grade the references of the suites; every failure is named, known ones explained."""
    from bench.scoring import execution

    names = options.suite or ["embedded", *(SUITES if options.mirror else ())]
    failed = 0
    for name in names:
        problems.check_name(name)
        found = problems.suite_problems(Suite(name=name), TASKS, options.mirror)
        executable = [problem for problem in found if problem.check is not None]
        if not executable:
            out.print(f"{name}: no tests to execute")
            continue
        check = execution.self_check(name, executable)
        out.print(live.selfcheck_table(check))
        failed += check.unexplained
    return 1 if failed else 0


def score(options: argparse.Namespace) -> int:
    """Score stored generations; lines that were left out make the exit code 1."""
    from bench.scoring import sheet, stored  # pandas and the analysers: not needed by a plan

    request = stored.Request(
        options.generations,
        stored.track(options.task, options.language),
        options.variant or "corrected",
        options.mirror,
        options.references,
        options.suite,
        tuple(options.metric),
        options.extract,
    )
    stored.check_output(request, options.csv)
    if options.answers is not None:
        if options.answers.absolute() == options.csv.absolute():
            told = f"{options.csv}: named as --csv and as --answers"
            raise BenchError(told, hint="name another file: --answers OUT.jsonl")
        stored.check_output(request, options.answers, "--answers OUT.jsonl")
    scored = stored.measure(request)
    sheet.write(scored.sheet, options.csv)
    if options.answers is not None:
        scored.answered.write(options.answers)
    for line in live.score_remarks(scored):
        err.print(line, soft_wrap=True, markup=False)
    out.print(live.score_table(scored.sheet))
    what = f"{len(scored.sheet.table)} generations of {request.track}, {request.variant}"
    out.print(f"{what}: {options.csv}", soft_wrap=True, markup=False)
    return 1 if any(fault.left_out for fault in scored.faults) else 0


def claims(options: argparse.Namespace) -> int:
    """Decide the claims on the published values, in both readings."""
    from bench.report import claims, publishedclaims, terminal  # pandas: not needed by a plan

    report, found = publishedclaims.report(options.mirror or data_folder())
    if options.json is not None:
        claims.write(options.json, publishedclaims.STUDY, found)
    out.print(terminal.render(report))
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Bring a study's data into the data folder, or list where they come from."""
    from bench.cli import building, livefetch
    from bench.data.fetching import fetch, needs

    if options.what == "images":
        return building.fetch_images(options)

    wanted = needs.everything()
    study, why = choose(options.study, options.options, options.cells)
    if not options.all:
        chosen = study_module.select(study, options.cells)
        wanted = needs.of_study(study, {cell.size for cell in chosen})
        out.print(f"[bold]{escape(study.name)}[/] ({escape(why)})")
    wanted = needs.only(wanted, options.only)
    data = options.data or data_folder()
    if options.list:
        out.print(livefetch.origins(needs.origins(wanted, data)), soft_wrap=True)
        return 0
    with livefetch.Downloads(out) as shown:
        summary = fetch.fetch(wanted, data, offline=options.offline, on_event=shown.show)
    out.print(livefetch.outcome(summary, data), soft_wrap=True)
    if options.tools and not options.offline:
        from bench.run import lacks

        for line in lacks.of_scoring(study, None) or ["the tools of scoring are here"]:
            out.print(line, soft_wrap=True, markup=False)
    return max((error.exit_code for _, error in summary.failed), default=0)


def reanalyse(options: argparse.Namespace) -> int:
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
        places.require_checkout("--write-reference needs")
        reanalysis.write(reference.PATH, published.reference(redone.package))
    out.print(terminal.render(report))
    return 0 if redone.reproduced else 1


def doctor(options: argparse.Namespace) -> int:
    """Say what this machine can run; something that the kit cannot do without makes it 1."""
    from bench.run import doctor

    checks = doctor.checks()
    out.print(live.doctor_table(checks))
    return 0 if all(check.ok is not False for check in checks) else 1
