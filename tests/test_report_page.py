"""The report as Markdown and HTML: golden text, sound structure, nothing from outside."""

from __future__ import annotations

import html.parser
import re

import pytest

from bench.report import page
from bench.report.document import Cell, Column, Group, Report, Row, Section, Table
from tests.fabricated_run import GOLDEN, goldens, reported

VOID = {"meta", "link", "br", "img", "input", "circle", "rect", "path", "line"}


class Outline(html.parser.HTMLParser):
    """Elements with their attributes; fails on a tag that is closed out of order."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def report():
    return reported("mt-fft-6m")[2]


@pytest.fixture(scope="module")
def outline(report):
    return Outline(page.html(report))


def test_the_golden_markdown():
    name = "report.md"
    assert goldens()[name] == (GOLDEN / name).read_text(encoding="utf-8"), (
        "if the change is meant: python -m tests.fabricated_run"
    )


def test_every_markdown_table_row_has_as_many_cells_as_its_head(report):
    widths = []
    for line in page.markdown(report).splitlines():
        cells = len(re.split(r"(?<!\\)\|", line)) - 2
        if line.startswith("|"):
            widths.append(cells)
        elif widths:
            assert len(set(widths)) == 1 and len(widths) > 2
            widths = []


def test_the_page_needs_nothing_from_outside(report, outline):
    text = page.html(report)
    assert not outline.all("script") and not outline.all("link") and not outline.all("img")
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert all(link["href"].startswith("#") for link in outline.all("a"))


def test_the_page_is_accessible_in_structure(outline):
    assert outline.all("html")[0]["lang"] == "en"
    assert len(outline.all("h1")) == 1 and len(outline.all("main")) == 1
    ids = {attributes["id"] for _, attributes in outline.found if "id" in attributes}
    assert {link["href"][1:] for link in outline.all("a")} <= ids
    assert all("scope" in heading for heading in outline.all("th"))
    assert all(
        box["tabindex"] == "0" and box["aria-label"]
        for box in outline.all("div")
        if box.get("class") == "scroll"
    )
    charts = [svg for svg in outline.all("svg") if svg.get("role") == "img"]
    assert len(charts) == 6 and all(svg["aria-label"] for svg in charts)


def test_both_schemes_are_styled_and_every_colour_is_a_variable(report):
    style = page.html(report).partition("<style>")[2].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in style
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,6}\b", rules)


def test_markdown_and_html_hold_every_number_of_the_report(report):
    markdown, text = page.markdown(report), page.html(report)
    for section in report.sections:
        for table in section.tables:
            for group in table.groups:
                for row in group.rows:
                    for cell in row.cells:
                        assert page.markdown_cell(cell) in markdown
                        shown = cell.text.replace("<", "&lt;").replace('"', "&#34;")
                        assert f">{shown}<" in text


def test_hostile_text_stays_text():
    cell = Cell("<script>a|b</script> *x*")
    table = Table("a <b> | *t*", (Column("c|d"),), (Group("", (Row("r", (cell,)),)),))
    report = Report("T", ("lead <i>",), (Section("S", ("p *q*",), (table,)),))
    outline = Outline(page.html(report))
    assert not outline.all("script") and not outline.all("i") and not outline.all("b")
    markdown = page.markdown(report)
    assert r"\<script\>a\|b\</script\> \*x\*" in markdown
    assert r"p \*q\*" in markdown


def test_a_report_without_sections_is_a_page(report):
    empty = Report("Nothing ran", ("Study x",), ())
    assert page.markdown(empty) == "# Nothing ran\n\nStudy x\n"
    assert len(Outline(page.html(empty)).all("h1")) == 1
