"""README's excerpt of a run is what the command writes, but for the figures."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bench.data.sources import ROOT
from bench.errors import DataError
from bench.report import excerpt
from tests.fabricated_run import reported


@pytest.fixture(scope="module")
def report():
    return reported()[2]


def form(text):
    """The excerpt without its figures, and without what tells one run from another."""
    text = re.sub(r"(?m)^(Study \w+: ).*(proves the pipeline.*)$", r"\1\2", text)
    rows = []
    for line in text.strip().splitlines():
        if line.startswith("| ") and not line.startswith("| *"):
            label, *cells = line.strip("|").split("|")
            line = f"| {label.strip()} | {len(cells)} figures"
        rows.append(re.sub(r"[+−]?\d+(\.\d\d)?", "N", line) if line[:1].isdigit() else line)
    return [re.sub(r"suite embedded, \d+ problems", "suite", line) for line in rows]


def test_the_readmes_excerpt_has_the_form_that_the_command_gives_it(report, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    copied = tmp_path / "README.md"
    copied.write_text(readme, encoding="utf-8")
    excerpt.write(report, copied)
    written = copied.read_text(encoding="utf-8")
    blocks = [
        text.partition(excerpt.BEGIN)[2].partition(excerpt.END)[0] for text in (readme, written)
    ]
    assert blocks[0] != blocks[1]
    assert form(blocks[0]) == form(blocks[1])
    for part in (0, 2):  # what stands around it is as it was
        around = [
            re.split(f"{excerpt.BEGIN}|{excerpt.END}", text)[part] for text in (readme, written)
        ]
        assert around[0] == around[1]
    excerpt.write(report, copied)
    assert copied.read_text(encoding="utf-8") == written


def test_a_document_without_its_markers_is_told_and_kept(report, tmp_path):
    for text in ("", excerpt.BEGIN, f"{excerpt.END}{excerpt.BEGIN}"):
        (tmp_path / "some.md").write_text(text)
        with pytest.raises(DataError, match="no place for the excerpt"):
            excerpt.write(report, tmp_path / "some.md")
        assert (tmp_path / "some.md").read_text() == text
    with pytest.raises(DataError, match=r"absent\.md"):
        excerpt.write(report, tmp_path / "absent.md")


def test_a_run_without_scores_has_no_excerpt(report):
    empty = dataclasses.replace(report.sections[0], tables=())
    with pytest.raises(DataError, match="no scores"):
        excerpt.markdown(dataclasses.replace(report, sections=(empty, *report.sections[1:])))
