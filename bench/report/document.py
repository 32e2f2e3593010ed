"""A report as data: sections of tables and charts.

``content`` fills it once; terminal, Markdown and HTML are three renderings of it, so no
number is formatted, compared or left out in one of them alone.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

Tone = Literal["", "better", "worse"]


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One table cell: a formatted value, its delta with a significance mark, a footnote.

    ``note`` is the number of one of the table's notes. ``tone`` says whether a significant
    delta is for the better; the mark tells the same without colour.
    """

    text: str
    delta: str = ""
    mark: str = ""
    tone: Tone = ""
    best: bool = False
    note: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; numeric columns are aligned to the right."""

    label: str
    numeric: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A labelled row with one cell per column."""

    label: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading; an empty label shows none."""

    label: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table with numbered ``notes``. ``detail``: the terminal leaves it to the pages."""

    title: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    detail: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A method in a chart; ``series`` (0, 1, 2…) chooses its colour and shape."""

    label: str
    series: int
    x: float
    y: float


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """One size in a chart, with the y of its zero-shot base as ``baseline``.

    ``absent`` names the methods that have no value here.
    """

    title: str
    points: tuple[Point, ...]
    absent: tuple[str, ...] = ()
    baseline: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """Small multiples of one scatter: the panels share the y axis, each has its own x."""

    title: str
    x_label: str
    y_label: str
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs, tables and charts."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    detail: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A part of the brief report: a heading, rows in columns, then sentences.

    It takes at most ``most`` lines of 80 columns or more: what comes last is cut first.
    ``together`` neighbouring columns are shown or left out as one, the last ones (the largest
    sizes) being kept; the last column of a table of text is cut to the room that is left.
    """

    title: str
    most: int
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    text: tuple[str, ...] = ()
    together: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The whole report; the first line of ``lead`` says what was run, on what.

    A report of mixed provenance says that in a line before it. ``brief`` is what can be read
    in a minute: the same numbers, on one screen.
    """

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    brief: tuple[Block, ...] = ()
