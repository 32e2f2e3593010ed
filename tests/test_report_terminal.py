"""The report in a terminal: the golden text, and legible from 80 columns on."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.report import terminal
from bench.report.document import Cell, Column, Group, Row, Table
from tests.fabricated_run import GOLDEN, goldens, printed, reported


@pytest.mark.parametrize("name", ["report-80.txt", "brief-80.txt", "brief-140.txt"])
def test_the_golden_report(name):
    assert goldens()[name] == (GOLDEN / name).read_text(encoding="utf-8"), (
        "if the change is meant: python -m tests.fabricated_run"
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_longer_than_the_terminal_and_no_value_is_broken(width):
    report = reported("mt-fft-6m")[2]
    text = printed(report, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    words = set(text.split())
    for section in report.sections:
        for table in section.tables if not section.detail else ():
            for group in table.groups if not table.detail else ():
                for row in group.rows:
                    assert set(row.label.split()) <= words
                    for cell in row.cells:
                        assert set(cell.text.split()) <= {
                            re.sub("[⁰-⁹¹²³]+$", "", w) for w in words
                        }
                        assert not cell.delta or cell.delta + cell.mark in words


def test_values_deltas_and_marks_stand_in_columns_of_their_own():
    rows = (
        Row("a", (Cell("9.10"), Cell("1"))),
        Row("b", (Cell("10.25", "+1.15", "**", "better", best=True), Cell("2"))),
        Row("c", (Cell("–", note=2), Cell("3"))),
    )
    table = Table("T", (Column("small"), Column("n")), (Group("", rows),), "", ("x", "why"))
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(terminal.render_table(table))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == [
        "T",
        "   small          n",
        "───────────────────",
        "a   9.10          1",
        "b  10.25 +1.15**  2",
        "c     –²          3",
        "¹ x",
        "² why",
    ]


@pytest.mark.parametrize("sizes", [3, 5, 8])
def test_a_table_that_is_too_wide_is_continued_below_itself(sizes):
    cells = tuple(Cell(f"{10 + i}.25", f"+{20 + i}.15", "***") for i in range(sizes))
    columns = tuple(Column(f"size-{i}") for i in range(sizes))
    table = Table("T", columns, (Group("g", (Row("MT-QLoRA", cells),)),))
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(terminal.render_table(table))
    text = console.file.getvalue()
    for i in range(sizes):
        assert f"{10 + i}.25 +{20 + i}.15***" in text and f"size-{i}" in text
    assert text.count("MT-QLoRA") == {3: 1, 5: 2, 8: 2}[sizes]
    assert max(map(cell_len, text.splitlines())) <= 80


def test_a_better_difference_is_green_and_the_best_value_bold():
    rows = (Row("b", (Cell("10.25", "+1.15", "*", "better", best=True),)),)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    console.print(terminal.render_table(Table("T", (Column("n"),), (Group("g", rows),))))
    shown = console.file.getvalue()
    assert "\x1b[1m10.25\x1b[0m" in shown and "\x1b[32m" in shown


def test_details_are_left_to_the_pages_unless_asked_for():
    report = reported("mt-fft-6m")[2]
    assert "Pylint" not in printed(report, 100)
    assert "Every comparison" not in printed(report, 100)
    detailed = printed(report, 120, details=True)
    assert "Pylint errors" in detailed and "95 % interval" in detailed and "git.commit" in detailed
