"""The report as rich renderables; the caller's console prints them.

Legible from 80 columns on: a size is one column in which value, difference and mark are
aligned by padding, and what is only worth reading on a page is left to the pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.document import Cell, Report, Section, Table

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
#: A table with more columns than this has the least space between them.
_MANY = 6
_TONES = {"": "", "better": "green", "worse": "red"}


def render(report: Report, *, details: bool = False) -> RenderableType:
    """The whole report; with ``details`` also the tables that only the pages show."""
    parts: list[RenderableType] = [Text(line) for line in report.lead]
    for section in report.sections:
        if details or not section.detail:
            parts += ["", *_section(section, details)]
    return Group(*parts)


def _section(section: Section, details: bool) -> Iterator[RenderableType]:
    yield Rule(escape(section.title), align="left", style="dim")
    for paragraph in section.text:
        yield Text(paragraph)
    for table in section.tables:
        if details or not table.detail:
            yield ""
            yield render_table(table)


def render_table(table: Table) -> RenderableType:
    """One table with its title above, its caption and notes below."""
    grid = RichTable(
        box=box.SIMPLE_HEAD,
        padding=(0, 0 if len(table.columns) > _MANY else 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    numeric = all(column.numeric for column in table.columns)
    grid.add_column("", overflow="fold", no_wrap=numeric)
    widths = [_widths(table, index) for index in range(len(table.columns))]
    for column, (value, delta, mark) in zip(table.columns, widths, strict=True):
        label = column.label
        if delta:
            label = f"{label:>{value}}" + " " * (1 + delta + mark)
        grid.add_column(
            Text(label),
            # A padded cell must not be aligned to the right: that would strip its padding.
            justify="right" if column.numeric and not delta else "left",
            no_wrap=bool(delta),
            overflow="fold",
            ratio=None if column.numeric else 1,
        )
    for group in table.groups:
        if group.label:
            grid.add_row(Text(group.label, style="italic"))
        indent = "  " if group.label else ""
        for row in group.rows:
            cells = (_cell(cell, width) for cell, width in zip(row.cells, widths, strict=True))
            grid.add_row(Text(indent + row.label), *cells)
    below = [Text(table.caption, style="dim")] if table.caption else []
    below += [
        Text(f"{str(index).translate(_SUPERSCRIPTS)} {note}", style="dim")
        for index, note in enumerate(table.notes, 1)
    ]
    return Group(Text(table.title, style="bold"), grid, *below)


def _value(cell: Cell) -> str:
    return cell.text + ("" if cell.note is None else str(cell.note).translate(_SUPERSCRIPTS))


def _widths(table: Table, column: int) -> tuple[int, int, int]:
    """The widest value, difference and mark of a column."""
    cells: Sequence[Cell] = [row.cells[column] for group in table.groups for row in group.rows]
    return (
        max((len(_value(cell)) for cell in cells), default=0),
        max((len(cell.delta) for cell in cells), default=0),
        max((len(cell.mark) for cell in cells), default=0),
    )


def _cell(cell: Cell, width: tuple[int, int, int]) -> Text:
    """Value, difference and mark, padded so that they stand in columns of their own."""
    value, delta, mark = width
    text = Text()
    if not delta:
        return text.append(_value(cell), style="bold" if cell.best else "")
    text.append(" " * (value - len(_value(cell))))
    text.append(_value(cell), style="bold" if cell.best else "")
    text.append(f" {cell.delta:>{delta}}", style=_TONES[cell.tone] or "dim")
    return text.append(f"{cell.mark:<{mark}}", style=_TONES[cell.tone])
