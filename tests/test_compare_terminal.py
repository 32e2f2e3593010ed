"""The comparison as text: golden, at most 40 lines, and no line longer than the terminal."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.contrasts import Contrast, Place, Verdict
from bench.compare import terminal
from bench.compare.compared import Compared
from bench.compare.costs import Change, Cost, Costs
from bench.compare.differences import ASPECTS, Difference
from bench.records import TRACKS
from bench.report.labels import METRICS
from tests.compared_runs import goldens
from tests.fabricated_run import GOLDEN

MODELS = ("MT-QLoRA 2m", "zero-shot 0.5m", "MT-QLoRA, generation + summarization 3b")


@pytest.mark.parametrize("name", ["compare-80.txt", "compare-140.txt", "compare-80-full.txt"])
def test_the_golden_comparison(name):
    assert goldens()[name] == (GOLDEN / name).read_text(encoding="utf-8"), (
        "if the change is meant: python -m tests.compared_runs"
    )


numbers = st.floats(-1e4, 1e4, allow_nan=False) | st.none()
names = st.lists(st.sampled_from([f"problem_{one:02}@generation/python" for one in range(60)]))


@st.composite
def contrasts(draw: st.DrawFn) -> Contrast:
    place = Place(
        draw(st.sampled_from(["embedded", "codexglue-trans-corrected"])),
        draw(st.sampled_from(MODELS)),
        draw(st.sampled_from(TRACKS)),
        draw(st.sampled_from([*METRICS, "a_metric_of_a_later_kit"])),
    )
    low = draw(numbers)
    return Contrast(
        place,
        draw(st.sampled_from(Verdict)),
        reason=draw(st.none() | st.just("5 of 30 problems differ, at least 6 have to")),
        n=draw(st.integers(0, 3000)),
        a=draw(numbers),
        b=draw(numbers),
        diff=draw(numbers),
        low=low,
        high=None if low is None else low + 1,
        p=draw(st.none() | st.floats(0, 1)),
        p_adj=draw(st.none() | st.floats(0, 1)),
        lost=tuple(draw(names)),
        gained=tuple(draw(names)),
    )


@st.composite
def comparisons(draw: st.DrawFn) -> Compared:
    words = st.lists(st.text("abc/._→", min_size=1, max_size=40), min_size=1, max_size=4)
    words = words.map(" ".join)
    told = st.builds(Difference, st.sampled_from(ASPECTS), words, st.none() | st.integers(1, 99))
    costs = st.builds(
        Cost,
        st.sampled_from(["base", "train", "generate", "score"]),
        st.sampled_from(["CPU s", "wall s", "peak bytes", "GPU peak bytes"]),
        st.floats(1, 1e11),
        st.floats(1, 1e11),
        st.integers(1, 99),
        st.sampled_from(Change),
    )
    return Compared(
        study="smoke",
        a=draw(words),
        b=draw(words),
        variant="corrected",
        rows=tuple(draw(st.lists(contrasts(), max_size=60))),
        problems=draw(st.integers(0, 10**6)),
        differences=draw(st.none() | st.lists(told, max_size=40).map(tuple)),
        costs=Costs(tuple(draw(st.lists(costs, max_size=8))), draw(st.none() | words)),
        only_a=tuple(draw(st.lists(words, max_size=30))),
        only_b=tuple(draw(st.lists(words, max_size=30))),
        notes=tuple(draw(st.lists(words, max_size=9))),
    )


@settings(max_examples=40)
@given(comparisons(), st.sampled_from([80, 100, 140]))
def test_the_short_text_fits(found, width):
    text = terminal.lines(found, width)
    assert len(text) <= terminal.LINES
    assert max(len(line.plain) for line in text) <= width
    assert "\n" not in "".join(line.plain for line in text)
    assert text[0].plain.startswith(("B is worse", "No difference"))


@settings(max_examples=30)
@given(comparisons())
def test_the_full_text_leaves_nothing_out(found):
    text = "\n".join(line.plain for line in terminal.lines(found, 100, full=True))
    words = " ".join(text.split())
    for row in found.rows:
        assert row.place.model in words
        for name in (*row.lost, *row.gained):
            assert name.partition("@")[0] in words
    for one in found.differences or ():
        assert " ".join(one.told.split()) in words
    for name in itertools.chain(found.only_a, found.only_b, found.notes):
        assert " ".join(name.split()) in words


def test_equal_runs_say_no_difference_first():
    place = Place("embedded", MODELS[0], TRACKS[0], "codebleu")
    row = Contrast(place, Verdict.SAME, n=8, a=0.5, b=0.5, diff=0.0)
    found = Compared("smoke", "a", "b", "corrected", (row,), 8, (), Costs(()))
    text = terminal.joined(terminal.lines(found, 80))
    assert text.startswith("No difference in any of 1 comparisons (8 answers)\n")
    worse = dataclasses.replace(found, rows=(dataclasses.replace(row, verdict=Verdict.WORSE),))
    text = terminal.joined(terminal.lines(worse, 80))
    assert text.startswith("B is worse in 1 of 1 comparisons\n")
