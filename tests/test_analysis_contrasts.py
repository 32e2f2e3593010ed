"""What is decided about two runs: by signs and ranks, symmetric, and never without problems."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import contrasts, statistics
from bench.analysis.comparisons import MINIMUM_PAIRS, SIGNIFICANCE
from bench.analysis.contrasts import ALONE, Verdict
from bench.errors import DataError
from bench.records import Track

TRACK = Track("generation", "python")
BETTER = {"pass@1": 1, "codebleu": 1, "pylint_errors": -1}
MIRRORED = {
    Verdict.WORSE: Verdict.BETTER,
    Verdict.BETTER: Verdict.WORSE,
    Verdict.ONLY_A: Verdict.ONLY_B,
    Verdict.ONLY_B: Verdict.ONLY_A,
}

shares = st.floats(0, 1, allow_nan=False) | st.just(float("nan"))
passes = st.sampled_from([0.0, 1.0, float("nan")])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    ids = draw(st.lists(st.integers(0, 40), unique=True, max_size=40))
    columns: dict[str, list[object]] = {"id": [f"p{one}" for one in ids]}
    values = {"pass@1": passes, "codebleu": shares, "pylint_errors": st.integers(0, 5).map(float)}
    for name, of in values.items():
        if draw(st.booleans()):
            columns[name] = draw(st.lists(of, min_size=len(ids), max_size=len(ids)))
    return pd.DataFrame(columns)


def run(table: pd.DataFrame, model: str = "MT-QLoRA 2m") -> contrasts.BySuite:
    return {"embedded": {model: {TRACK: table}}}


def compare(a: pd.DataFrame, b: pd.DataFrame) -> list[contrasts.Contrast]:
    return contrasts.compare(run(a), run(b), BETTER, seed=1)


def one(a, b, metric: str = "codebleu") -> contrasts.Contrast:
    ids = [f"p{place}" for place in range(len(a))]
    (row,) = compare(
        pd.DataFrame({"id": ids, metric: a}), pd.DataFrame({"id": ids[: len(b)], metric: b})
    )
    return row


@given(tables())
def test_a_run_is_no_different_from_itself(table):
    assert {row.verdict for row in compare(table, table)} <= {Verdict.SAME}


@settings(max_examples=30)  # each draws bootstrap samples
@given(tables(), tables())
def test_the_other_way_round_everything_is_mirrored(a, b):
    there = {row.place: row for row in compare(a, b)}
    back = {row.place: row for row in compare(b, a)}
    assert there.keys() == back.keys()
    for place, row in there.items():
        other = back[place]
        assert other.verdict is MIRRORED.get(row.verdict, row.verdict)
        assert (row.n, row.differing, row.p) == (other.n, other.differing, other.p)
        assert (row.lost, row.a_alone) == (other.gained, other.b_alone) or row.verdict in ALONE
        assert row.diff is None or row.diff == pytest.approx(-other.diff)


@settings(max_examples=30)
@given(tables(), tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count(a, b, random):
    places = list(range(len(b)))
    random.shuffle(places)
    shuffled = b.iloc[places].reset_index(drop=True)
    for row, other in zip(compare(a, b), compare(a, shuffled), strict=True):
        assert (row.place, row.verdict, row.n) == (other.place, other.verdict, other.n)
        assert set(row.lost) == set(other.lost)


@settings(max_examples=30)  # each draws bootstrap samples
@given(tables(), tables())
def test_what_is_decided_is_significant_and_has_its_direction(a, b):
    for row in compare(a, b):
        if row.verdict in (Verdict.WORSE, Verdict.BETTER):
            assert row.p_adj is not None and row.p_adj < SIGNIFICANCE and row.p <= row.p_adj
            assert row.differing >= MINIMUM_PAIRS
            gain = row.diff * BETTER[row.place.metric]
            assert (gain > 0) is (row.verdict is Verdict.BETTER)
        if row.verdict is Verdict.SAME:
            assert row.diff == 0 and row.p is None
        assert row.n == 0 or row.verdict in ALONE or row.a is not None


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_all_tests_are_one_family(p_values):
    place = contrasts.Place("embedded", "MT-QLoRA 2m", TRACK, "codebleu")
    rows = [
        contrasts.Contrast(place, Verdict.UNDECIDED, n=20, differing=20, diff=-0.1, p=p)
        for p in p_values
    ]
    decided = contrasts.decide(rows, BETTER)
    assert [row.p_adj for row in decided] == statistics.holm(p_values)
    for row in decided:
        worse = row.p_adj is not None and row.p_adj < SIGNIFICANCE
        assert row.verdict is (Verdict.WORSE if worse else Verdict.UNDECIDED)


def test_noise_is_seldom_called_worse():
    """Of 200 comparisons of 20 metrics without any difference some 5 % may err, not most."""
    draw = np.random.default_rng(7)
    errors = 0
    for _ in range(200):
        p_values = draw.uniform(size=20).tolist()
        errors += any(p is not None and p < SIGNIFICANCE for p in statistics.holm(p_values))
    assert errors <= 20


def test_a_clear_loss_is_worse_and_a_clear_gain_better():
    draw = np.random.default_rng(1)
    a = draw.uniform(0.4, 0.8, 40)
    row = one(a, a - 0.1 - draw.uniform(0, 0.05, 40))
    assert row.verdict is Verdict.WORSE
    assert row.low < row.diff < row.high < 0
    assert one(a - 0.2, a).verdict is Verdict.BETTER
    counts = draw.integers(0, 4, 40).astype(float)
    assert one(counts, counts + 2, "pylint_errors").verdict is Verdict.WORSE
    assert one(counts, counts + 2, "lizard_nloc").verdict is Verdict.DIFFERS


@pytest.mark.parametrize(("lost", "verdict"), [(3, "undecided"), (12, "worse")])
def test_flipped_problems_are_named(lost, verdict):
    row = one([1.0] * 20 + [0.0] * 20, [0.0] * lost + [1.0] * (20 - lost) + [0.0] * 20, "pass@1")
    assert row.lost == tuple(f"p{place}" for place in range(lost))
    assert (row.gained, row.verdict) == ((), verdict)


def test_constant_columns_that_differ_everywhere_are_decided():
    assert one([1.0] * 12, [0.0] * 12, "codebleu").verdict is Verdict.WORSE
    assert one([1.0] * 12, [0.0] * 12, "pass@1").verdict is Verdict.WORSE


def test_a_mean_against_the_ranks_decides_nothing():
    """Most problems gain a little and a few lose much: neither is called the direction."""
    a = np.full(60, 0.5) + np.linspace(0, 0.01, 60)
    b = a + 0.01
    b[:5] -= 0.4
    row = one(a, b)
    assert row.diff < 0
    assert row.p < 0.01
    assert (row.verdict, row.reason) == (Verdict.UNDECIDED, contrasts.CONFLICT)


def test_few_problems_decide_nothing_and_say_so():
    row = one([0.9] * 5, [0.1] * 5)
    assert row.verdict is Verdict.UNDECIDED
    assert row.reason == "5 of 5 problems differ, at least 6 have to"


def test_what_only_one_run_has_is_no_verdict():
    ids = [f"p{place}" for place in range(8)]
    a = pd.DataFrame({"id": ids, "codebleu": 0.5, "chrf": float("nan")})
    b = pd.DataFrame({"id": ids, "pass@1": 1.0, "chrf": 0.5})
    told = {row.place.metric: row.verdict for row in compare(a, b)}
    assert told == {"codebleu": "only in A", "pass@1": "only in B", "chrf": "only in B"}


def test_problems_of_one_run_alone_are_counted_not_compared():
    ids = [f"p{place}" for place in range(12)]
    a = pd.DataFrame({"id": ids[:10], "codebleu": np.linspace(0, 1, 10)})
    b = pd.DataFrame({"id": ids[2:], "codebleu": np.linspace(0.2, 1.2, 10)})
    (row,) = compare(a, b)
    assert (row.n, row.a_alone, row.b_alone) == (8, 2, 2)
    assert contrasts.shared_problems(run(a), run(b)) == 8
    assert contrasts.shared_problems(run(a), run(b, "MT-FFT 2m")) == 0


def test_columns_of_a_variant_and_those_that_describe_are_left_out():
    table = pd.DataFrame(
        {"id": ["a"], "part": ["near"], "similarity": [1.0], "bleu@published": [0.5], "bleu": [1]}
    )
    assert [row.place.metric for row in compare(table, table)] == ["bleu"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (pd.DataFrame({"bleu": [0.1]}), "no column 'id'"),
        (pd.DataFrame({"id": ["a", "a"], "bleu": [0.1, 0.2]}), "an id twice"),
        (pd.DataFrame({"id": ["a"], "bleu": ["good"]}), "column 'bleu' holds text"),
        (pd.DataFrame({"id": ["a"], "bleu": [np.inf]}), "column 'bleu' holds what is not finite"),
    ],
)
def test_a_broken_table_is_named(table, told):
    with pytest.raises(DataError, match=told):
        compare(table, table)


def test_every_verdict_is_counted():
    row = one([0.9] * 5, [0.1] * 5)
    counts = contrasts.counted([row, dataclasses.replace(row, verdict=Verdict.SAME)])
    assert counts[Verdict.UNDECIDED] == counts[Verdict.SAME] == 1
    assert counts[Verdict.WORSE] == 0
