"""``verify``: whether a run still is what it says, or like another; and what changed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bench.cli.console import err, out
from bench.data.sources import ROOT
from bench.errors import BenchError
from bench.grid import study as study_module
from bench.grid.plan import PlannedStage
from bench.run.findings import Finding

#: As many stages are named beside what makes them stale.
_NAMED = 2


def verify(options: argparse.Namespace) -> int:
    """Hash everything of a run again, or compare it with another run.

    Something that does not match makes the exit code 1.
    """
    from bench.run import verify

    if options.options and not options.study:
        raise BenchError("--with is of a study, and none is named", hint="add --study NAME")
    folder = options.run
    if not folder.exists() and (options.results / folder).is_dir():
        folder = options.results / folder  # the name of a study that was run here
    if options.like is not None:
        return _compared(folder, options.like)
    study = study_module.load(options.study, options.options) if options.study else None
    with err.status("hashing") as status:
        found = verify.verify(
            folder,
            ROOT,
            study=study,
            mirror=options.mirror,
            on_stage=lambda stage: status.update(f"hashing {escape(stage)}"),
        )
    told = f"{found.stages} stages, {found.files} files, {found.bytes / 2**20:,.1f} MiB hashed"
    out.print(f"{folder}: {told}", soft_wrap=True, markup=False)
    for line in _lines(found.wrong, found.unchecked):
        out.print(line, soft_wrap=True)
    if not found.wrong:
        rest = " that can be checked here" if found.unchecked else ""
        out.print(f"[green]everything{rest} matches[/]")
    return 1 if found.wrong else 0


def _compared(folder: Path, other: Path) -> int:
    """Say what two runs share; 1 where an answer, a weight or a value differs."""
    from bench.run import likeness

    compared = likeness.compare(folder, other)
    for one in compared:
        colour = "green" if one.same else "red"
        more = f"; {one.alone:,} only in one of them" if one.alone else ""
        out.print(
            f"[{colour}]{one.kind}: {one.equal:,} of {one.both:,} the same[/]{more}", soft_wrap=True
        )
        for name in one.differing:
            out.print(f"  differs: {escape(name)}", soft_wrap=True)
    return 0 if all(one.same for one in compared) else 1


def _lines(wrong: Sequence[Finding], unchecked: Sequence[Finding]) -> Iterator[str]:
    for one in wrong:
        yield f"[red]does not match:[/] {escape(_where(one))}: {escape(one.what)}"
        yield f"  [bold]next:[/] {escape(one.next or '')}"
    for one in unchecked:
        yield f"[yellow]not checked:[/] {escape(_where(one))}: {escape(one.what)}"


def _where(one: Finding) -> str:
    more = one.places - 1
    return one.where if not more else f"{one.where} and {more} more"


def changes_table(stages: Sequence[PlannedStage]) -> Table:
    """What makes stages stale, a line each: what changed since, and for which stages.

    A stage that is stale only because of one before it is not told again.
    """
    found: dict[str, list[str]] = {}
    for stage in stages:
        own = [reason for reason in stage.why if not reason.endswith(" before it")]
        for reason in own:
            found.setdefault(reason, []).append(stage.id)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("changed since", "stages", ""):
        table.add_column(name)
    for reason, ids in found.items():
        more = [f"… and {len(ids) - _NAMED} more"] if len(ids) > _NAMED else []
        table.add_row(escape(reason), str(len(ids)), ", ".join([*ids[:_NAMED], *more]))
    return table
