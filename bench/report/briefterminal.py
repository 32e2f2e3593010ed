"""The brief report as lines of a terminal: one screen of 40 lines from 80 columns on.

Nothing needs colour: the best value has a mark behind it, a verdict is a word. What has no
room is cut with … and stands in the whole report.
"""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Self

from rich.cells import cell_len
from rich.text import Text

from bench.report.document import Block, Cell, Row
from bench.report.labels import superscript

#: Lines of the whole brief report.
LINES = 40
BEST = "*"
#: Beyond its share a block gets this many where others leave them.
_MORE = 2
_CUT = "…"
_INDENT = "  "
_STYLES = {"": "", "better": "green", "worse": "red"}


def render(blocks: Sequence[Block], width: int) -> list[Text]:
    """The lines of the blocks, with empty ones between them as far as one screen has room."""
    shown = [list(_lines(block, width, block.most)) for block in blocks]
    empty = LINES - sum(_height(lines, width) for lines in shown)
    for extra, place in itertools.product(range(1, _MORE + 1), range(len(blocks))):
        more = list(_lines(blocks[place], width, blocks[place].most + extra))
        added = _height(more, width) - _height(shown[place], width)
        if added <= empty:
            shown[place] = more
            empty -= added
    found: list[Text] = []
    for block, lines in zip(blocks, shown, strict=True):
        if found and lines and empty > 0 and (block.title or block is blocks[-1]):
            found.append(Text(""))
            empty -= 1
        found += lines
    return found


def _height(lines: Sequence[Text], width: int) -> int:
    return sum(_taken(line.plain, width) for line in lines)


def _taken(line: str, width: int) -> int:
    """The lines of the terminal that a line takes: more than one for a path without a break."""
    return max(1, -(-cell_len(line) // width))


def _lines(block: Block, width: int, most: int) -> Iterator[Text]:
    """A block's lines, at most so many."""
    titles = _wrapped(block.title, width, "", 2) if block.title else []
    yield from (Text(line, style="bold") for line in titles)
    left = most - len(titles)
    rows = list(_rows(block, width)) if block.rows else []
    if len(rows) > left:
        cut = Text(f"{_INDENT}{_CUT} and {len(rows) - left + 1} more: see the whole report")
        rows = [*rows[: left - 1], cut]
    yield from rows
    left -= len(rows)
    indent = _INDENT if block.title else ""
    for place, sentence in enumerate(block.text):
        if left <= 0:
            break
        # Every sentence gets a line before one gets a second.
        room = max(1, left - (len(block.text) - place - 1))
        lines = _wrapped(sentence, width, indent, room)
        yield from map(Text, lines)
        left -= sum(_taken(line, width) for line in lines)


def _wrapped(text: str, width: int, indent: str, most: int) -> list[str]:
    """A sentence in at most so many lines; what is no word, such as a path, is not broken."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + _INDENT,
        max_lines=most,
        placeholder=f" {_CUT}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rows(block: Block, width: int) -> Iterator[Text]:
    """The rows of a block: numbers under their headings, or words beside one another."""
    numeric = all(column.numeric for column in block.columns)
    return _numbers(block, width) if numeric else _words(block, width)


def _words(block: Block, width: int) -> Iterator[Text]:
    """Rows of text; what has no room in the last column is left out from its end."""
    columns = zip(*(row.cells for row in block.rows), strict=True)
    widths = [max(cell_len(row.label) for row in block.rows)]
    widths += [max(cell_len(cell.text) for cell in column) for column in columns]
    for row in block.rows:
        line = Text().append(f"{_INDENT}{row.label:<{widths[0]}}", _STYLES[row.cells[0].tone])
        for cell, wide in zip(row.cells[:-1], widths[1:], strict=False):
            line.append(f"{_INDENT}{cell.text:<{wide}}")
        last = row.cells[-1]
        mark = "" if last.note is None else superscript(last.note)
        room = width - line.cell_len - len(_INDENT) - len(mark)
        line.append(f"{_INDENT}{_cut(last.text, room)}{mark}")
        line.rstrip()
        yield line


def _cut(text: str, width: int) -> str:
    """As much of a text of clauses as there is room for; less than the first one is none."""
    if cell_len(text) <= width:
        return text
    if cell_len(text.partition("; ")[0]) > width:
        return ""
    room = textwrap.shorten(text, width, placeholder=f" {_CUT}")
    first = text.partition("; ")[0]
    return room if cell_len(room) > cell_len(first) else first


def _numbers(block: Block, width: int) -> Iterator[Text]:
    """Rows of numbers in as many columns as there is room for, the last ones first."""
    label = max(cell_len(row.label) for row in block.rows)
    widths = [_Widths.of(block, place) for place in range(len(block.columns))]
    start = _first(block, widths, width - len(_INDENT) - label)
    heads = tuple(Cell(column.label) for column in block.columns)
    for row in (Row("", heads), *block.rows):
        line = Text(f"{_INDENT}{row.label:<{label}}")
        for place in range(start, len(row.cells)):
            line.append(" " * _gap(place, block))
            widths[place].put(row.cells[place], line)
        line.rstrip()
        yield line
    if start:
        names = (column.label for column in block.columns[: start : block.together])
        yield Text(f"{_INDENT}no room for {', '.join(names)}: see the whole report")


def _first(block: Block, widths: Sequence[_Widths], room: int) -> int:
    """The first column that is shown: those that belong together stay together."""
    needs = [_gap(place, block) + one.total for place, one in enumerate(widths)]
    start = 0
    while sum(needs[start:]) > room and start + block.together < len(needs):
        start += block.together
    return start


def _gap(place: int, block: Block) -> int:
    """The space before a column, less within those that belong together."""
    return 1 if place % block.together else 3


@dataclasses.dataclass(frozen=True, slots=True)
class _Widths:
    """The widest value and mark of a column; the marks hang behind the values."""

    value: int
    mark: int

    @classmethod
    def of(cls, block: Block, place: int) -> Self:
        cells = [row.cells[place] for row in block.rows]
        heading = cell_len(block.columns[place].label)
        value = max(heading, *(cell_len(cell.text) for cell in cells))
        return cls(value, max(cell_len(_mark(cell)) for cell in cells))

    @property
    def total(self) -> int:
        return self.value + self.mark

    def put(self, cell: Cell, line: Text) -> None:
        """Append a cell, its value aligned to the right."""
        line.append(" " * (self.value - cell_len(cell.text)))
        line.append(f"{cell.text}{_mark(cell)}", "bold" if cell.best else "")
        line.append(" " * (self.mark - cell_len(_mark(cell))))


def _mark(cell: Cell) -> str:
    if cell.note is not None:
        return superscript(cell.note)
    return BEST if cell.best else ""
