"""The report as rich renderables; the caller's console prints them.

Legible from 80 columns on: a size is one column in which value, difference and mark are
aligned by padding, a table that is too wide is continued below itself, and what is only
worth reading on a page is left to the pages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Self

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.document import Cell, Report, Row, Section, Table
from bench.report.document import Group as RowGroup
from bench.report.labels import superscript

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
    below = [Text(table.caption, style="dim")] if table.caption else []
    below += [
        Text(f"{superscript(index)} {note}", style="dim")
        for index, note in enumerate(table.notes, 1)
    ]
    return Group(Text(table.title, style="bold"), _Fitted(table), *below)


@dataclasses.dataclass(frozen=True, slots=True)
class _Fitted:
    """A table's grid, cut into several below one another where the terminal is narrow."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts, gap = self._fit(options.max_width)
        yield from (_grid(part, gap) for part in parts)

    def _fit(self, width: int) -> tuple[list[Table], int]:
        """As few grids as possible, and the space between their columns."""
        columns = len(self.table.columns)
        parts = [self.table]
        for pieces in range(1, columns + 1):
            size = -(-columns // pieces)
            parts = [_slice(self.table, start, start + size) for start in range(0, columns, size)]
            for gap in (2, 1):
                if all(_width(part, gap) <= width for part in parts):
                    return parts, gap
        return parts, 1


def _slice(table: Table, start: int, end: int) -> Table:
    """A table with some of its columns."""
    groups = tuple(
        dataclasses.replace(
            group, rows=tuple(Row(row.label, row.cells[start:end]) for row in group.rows)
        )
        for group in table.groups
    )
    return dataclasses.replace(table, columns=table.columns[start:end], groups=groups)


def _is_numeric(table: Table) -> bool:
    """Whether every column has a fixed width; columns of text share what is left."""
    return all(column.numeric for column in table.columns)


def _width(table: Table, gap: int) -> int:
    """The columns that a numeric table takes in the terminal; 0 for one that adapts."""
    if not _is_numeric(table):
        return 0
    widths = (_Widths.of(table, index).total for index in range(len(table.columns)))
    return _label_width(table) + sum(gap + width for width in widths)


def _label_width(table: Table) -> int:
    labels = [group.label for group in table.groups]
    labels += [_indented(group, row) for group in table.groups for row in group.rows]
    return max(map(len, labels), default=0)


def _indented(group: RowGroup, row: Row) -> str:
    return f"  {row.label}" if group.label else row.label


def _grid(table: Table, gap: int) -> RichTable:
    grid = RichTable(
        box=box.SIMPLE_HEAD,
        padding=(0, gap - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    numeric = _is_numeric(table)
    grid.add_column("", overflow="fold", width=_label_width(table) if numeric else None)
    widths = [_Widths.of(table, index) for index in range(len(table.columns))]
    for column, width in zip(table.columns, widths, strict=True):
        # A padded cell must not be aligned to the right: that would strip its padding.
        grid.add_column(
            Text(width.header(column.label)),
            justify="right" if column.numeric and not width.delta else "left",
            overflow="fold",
            width=width.total if numeric else None,
            ratio=None if column.numeric else 1,
        )
    for group in table.groups:
        if group.label:
            grid.add_row(Text(group.label, style="italic"))
        for row in group.rows:
            cells = (width.cell(cell) for cell, width in zip(row.cells, widths, strict=True))
            grid.add_row(Text(_indented(group, row)), *cells)
    return grid


def _value(cell: Cell) -> str:
    return cell.text + ("" if cell.note is None else superscript(cell.note))


@dataclasses.dataclass(frozen=True, slots=True)
class _Widths:
    """The widest value, difference and mark of a column, whose label stands over the values.

    A column without differences may break its label between words.
    """

    value: int
    delta: int
    mark: int

    @classmethod
    def of(cls, table: Table, column: int) -> Self:
        cells = [row.cells[column] for group in table.groups for row in group.rows]
        delta = max((len(cell.delta) for cell in cells), default=0)
        mark = max((len(cell.mark) for cell in cells), default=0)
        label = table.columns[column].label
        heading = [label] if delta else label.split()
        return cls(max(map(len, [*map(_value, cells), *heading]), default=0), delta, mark)

    @property
    def total(self) -> int:
        return self.value + (1 + self.delta + self.mark if self.delta else 0)

    def header(self, label: str) -> str:
        return f"{label:>{self.value}}".ljust(self.total) if self.delta else label

    def cell(self, cell: Cell) -> Text:
        """Value, difference and mark, padded so that they stand in columns of their own."""
        text = Text(no_wrap=bool(self.delta))
        if not self.delta:
            return text.append(_value(cell), style="bold" if cell.best else "")
        text.append(" " * (self.value - len(_value(cell))))
        text.append(_value(cell), style="bold" if cell.best else "")
        text.append(f" {cell.delta:>{self.delta}}", style=_TONES[cell.tone] or "dim")
        return text.append(f"{cell.mark:<{self.mark}}", style=_TONES[cell.tone])
