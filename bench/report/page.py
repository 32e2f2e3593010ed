"""The report as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from bench.report import chart
from bench.report.document import Cell, Chart, Column, Group, Report, Row, Table
from bench.report.labels import number, superscript

_TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN = re.compile(r"([\\`*_|<>\[\]])")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"], default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "escaped": escaped,
        "markdown_cell": markdown_cell,
        "superscript": superscript,
        "slug": slug,
    }
    environment.globals |= {
        "chart_panels": chart.panels,
        "chart_series": series,
        "chart_table": chart_table,
        "with_deltas": with_deltas,
    }
    return environment


def markdown(report: Report) -> str:
    """The report as Markdown (GitHub's tables)."""
    text = _environment().get_template("report.md.j2").render(report=report)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def markdown_table(table: Table) -> str:
    """One table of a report as Markdown, with its title, caption and notes."""
    show = _environment().get_template("table.md.j2").module.show  # type: ignore[attr-defined]
    shown = str(show(table))
    return re.sub(r"\n{3,}", "\n\n", shown).strip()


def html(report: Report) -> str:
    """The report as one HTML page without scripts and without any outside resource."""
    return _environment().get_template("page.html.j2").render(report=report)


def escaped(text: str) -> str:
    """Text that Markdown takes literally, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def slug(text: str) -> str:
    """An anchor's name."""
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def markdown_cell(cell: Cell) -> str:
    """Value (bold if best), footnote number, and the difference with its mark in brackets."""
    value = f"**{escaped(cell.text)}**" if cell.best else escaped(cell.text)
    if cell.note is not None:
        value += superscript(cell.note)
    delta = escaped(f"{cell.delta}{cell.mark}")
    return f"{value} ({delta})" if delta else value


def with_deltas(table: Table) -> list[bool]:
    """Per column, whether any of its cells has a difference."""
    return [
        any(row.cells[index].delta for group in table.groups for row in group.rows)
        for index in range(len(table.columns))
    ]


def series(drawn: Chart) -> list[tuple[str, Markup]]:
    """The legend: each label with its shape and class, in order."""
    found = {point.series: point.label for panel in drawn.panels for point in panel.points}
    return [
        (label, Markup('<g class="series s{}">{}</g>').format(index, chart.shape(index, 7, 7)))
        for index, label in sorted(found.items())
    ]


def chart_table(drawn: Chart) -> Table:
    """A chart's points as a table, for Markdown."""
    groups = tuple(
        Group(
            panel.title,
            tuple(
                Row(point.label, (Cell(number(point.x, 1)), Cell(number(point.y, 2))))
                for point in panel.points
            ),
        )
        for panel in drawn.panels
        if panel.points
    )
    return Table(drawn.title, (Column(drawn.x_label), Column(drawn.y_label)), groups)
