"""What README shows of a run: its first line, and the tables of the scores at a glance.

It stands between two markers, and is written by ``bench report --readme``, never by hand.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.data import readers
from bench.errors import DataError
from bench.grid.store import write_atomic, writing
from bench.report import page
from bench.report.document import Report, Table

BEGIN, END = "<!-- excerpt of a report -->", "<!-- end of the excerpt -->"
#: New members of families that training has seen: where the tiny models pass tests at all.
_EXECUTED = "pass@1 · near"


def markdown(report: Report) -> str:
    """The excerpt of a run's report, as Markdown.

    Raises:
        DataError: the report has no scores.
    """
    glance = report.sections[0]
    if not glance.tables or not glance.tables[0].groups:
        raise DataError("the run has no scores to show", hint="run its study to the end first")
    executed = _executed(report)
    parts = [f"```text\n{report.lead[0]}\n```", *(page.escaped(line) for line in glance.text[:1])]
    parts += [page.markdown_table(glance.tables[0])]
    parts += [] if executed is None else [page.markdown_table(executed)]
    return "\n\n".join(parts) + "\n"


def _executed(report: Report) -> Table | None:
    """The first track's table that executes answers of the near part, cut to that."""
    for table in (table for section in report.sections[1:] for table in section.tables):
        groups = tuple(group for group in table.groups if group.label == _EXECUTED)
        if groups and "Python" in table.title:
            return dataclasses.replace(table, groups=groups, notes=())
    return None


def write(report: Report, path: Path) -> None:
    """Put the excerpt of a report between the markers of a document.

    Raises:
        DataError: the document lacks them, or cannot be read, or the report has no scores.
        MachineError: the document cannot be written.
    """
    text = readers.read_text(path, hint="name the document with --readme FILE")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(
            f"{path}: no place for the excerpt", hint=f"mark it by the lines {BEGIN} and {END}"
        )
    with writing(path):
        write_atomic(path, f"{before}{BEGIN}\n{markdown(report)}{END}{after}".encode())
