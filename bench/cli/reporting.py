"""A report on the terminal: one screen of it, or all, with where its files lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from bench import places
from bench.cli.console import out
from bench.grid.store import HTML
from bench.grid.study import Study

if TYPE_CHECKING:  # it brings pandas
    from bench.report.document import Report


def show(report: Report, study: Study, folder: Path, *, full: bool) -> None:
    """Print a run's report; ``full`` is all of it, else one screen with the next commands."""
    from bench.report import brief, briefterminal, terminal  # pandas: not needed by a plan

    if full:
        out.print(terminal.render(report))
        say_where(folder)
        return
    results = folder.parent
    kept = None if results.resolve() == places.reports().resolve() else str(_from_here(results))
    where = brief.where(str(_from_here(folder)), study, kept)
    blocks = [
        dataclasses.replace(block, text=tuple(map(places.commands, block.text)))
        for block in (*report.brief, where)
    ]
    for line in briefterminal.render(blocks, out.width):
        out.print(line, soft_wrap=True)


def say_where(folder: Path) -> None:
    """Where the report of a run lies."""
    out.print(f"the whole report: {folder / HTML}", soft_wrap=True, markup=False)


def _from_here(path: Path) -> Path:
    """A path as a user of this folder would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
