"""The statistics against scipy, statsmodels, brute force and the published values."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from bench.analysis import statistics

SMALL_INTEGERS = st.integers(-5, 5)
PAIRS = st.lists(st.tuples(SMALL_INTEGERS, SMALL_INTEGERS), min_size=2, max_size=40)
P_VALUES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=20)


def columns(pairs):
    a, b = np.array(pairs, dtype=float).T
    return a, b


def wilcoxon_by_hand(a, b):
    """The textbook: W+, its mean and its variance with the tie correction."""
    difference = [x - y for x, y in zip(a, b, strict=True) if x != y]
    sizes = sorted(abs(d) for d in difference)
    rank = {s: np.mean([i + 1 for i, t in enumerate(sizes) if t == s]) for s in sizes}
    n = len(difference)
    plus = sum(rank[abs(d)] for d in difference if d > 0)
    ties = sum(t**3 - t for t in (sizes.count(s) for s in set(sizes)))
    variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    return math.erfc(abs(plus - n * (n + 1) / 4) / math.sqrt(2 * variance))


@given(PAIRS)
def test_wilcoxon_follows_the_textbook_or_says_why_not(pairs):
    a, b = columns(pairs)
    result = statistics.wilcoxon(a, b)
    if (a == b).all():
        assert (result.p, result.reason) == (None, "all differences are zero")
    elif len(set(a)) == len(set(b)) == 1:
        assert (result.p, result.reason) == (None, "both columns are constant")
    else:
        assert result.p == pytest.approx(wilcoxon_by_hand(a, b), abs=1e-12)
        assert result.p == pytest.approx(statistics.wilcoxon(b, a).p, abs=1e-12)


def test_wilcoxon_refuses_columns_that_are_not_paired_or_not_finite():
    assert statistics.wilcoxon([], []).reason == "no pairs"
    with pytest.raises(ValueError, match="one length"):
        statistics.wilcoxon([1, 2], [1])
    with pytest.raises(ValueError, match="finite"):
        statistics.wilcoxon([1, math.nan], [1, 2])


@given(st.lists(SMALL_INTEGERS, min_size=1), st.lists(SMALL_INTEGERS, min_size=1))
def test_cliffs_delta_equals_brute_force_over_all_pairs(a, b):
    brute = sum((x > y) - (x < y) for x, y in itertools.product(a, b)) / (len(a) * len(b))
    assert statistics.cliffs_delta(a, b) == brute == -statistics.cliffs_delta(b, a)
    u = scipy.stats.mannwhitneyu(a, b, method="asymptotic").statistic
    assert brute == pytest.approx(2 * u / (len(a) * len(b)) - 1)


def test_cliffs_delta_of_nothing_is_undefined():
    assert statistics.cliffs_delta([], [1.0]) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_corrects_only_where_the_counts_differ(b, c):
    result = statistics.mcnemar(b, c)
    if b == c:
        assert result.p == 1
    else:
        expected = scipy.stats.chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)
        assert result.p == pytest.approx(expected)
    assert result == statistics.mcnemar(c, b)
    ratio = statistics.odds_ratio(b, c)
    assert ratio * statistics.odds_ratio(c, b) == pytest.approx(1)
    assert (ratio > 1, ratio < 1) == (b > c, b < c)


def test_discordant_counts_and_their_bad_input():
    assert statistics.discordant([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]) == (2, 1)
    with pytest.raises(ValueError, match="0 and 1"):
        statistics.discordant([0.5], [1])
    with pytest.raises(ValueError, match="negative"):
        statistics.mcnemar(-1, 2)


# statsmodels collects garbage in every Holm call (20 ms), hence few examples.
@settings(max_examples=25)
@pytest.mark.parametrize(
    ("adjust", "method"),
    [(statistics.holm, "holm"), (statistics.benjamini_hochberg, "fdr_bh")],
)
@given(p_values=P_VALUES)
def test_adjustments_equal_statsmodels_and_leave_none_outside(adjust, method, p_values):
    adjusted = adjust(p_values)
    assert [p is None for p in adjusted] == [p is None for p in p_values]
    family = [p for p in p_values if p is not None]
    inside = [p for p in adjusted if p is not None]
    if family:
        np.testing.assert_allclose(inside, multipletests(family, method=method)[1], rtol=1e-14)
        assert all(p <= q <= 1 for p, q in zip(family, inside, strict=True))


def holm_by_hand(family):
    order = sorted(range(len(family)), key=family.__getitem__)
    adjusted, largest = [0.0] * len(family), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(family) - rank) * family[index]))
        adjusted[index] = largest
    return adjusted


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_the_step_down_definition(family):
    assert statistics.holm(family) == pytest.approx(holm_by_hand(family))
    harmless = zip(statistics.benjamini_hochberg(family), statistics.holm(family), strict=True)
    assert all(bh <= holm + 1e-12 for bh, holm in harmless)


@settings(max_examples=25)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(0, 9))
@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_bootstrap_is_seeded_ordered_and_inside_the_data(method, values, seed):
    interval = statistics.bootstrap_ci(values, seed=seed, resamples=200, method=method)
    if np.ptp(values) == 0:
        assert (interval.low, interval.reason) == (None, "all values are equal")
        return
    if interval.reason == "the values vary too little":
        assert method == "BCa" and np.ptp(values) < 1e-100
        return
    assert interval.low <= interval.high
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    again = statistics.bootstrap_ci(values, seed=seed, resamples=200, method=method)
    assert interval == again


def test_bootstrap_agrees_with_the_normal_interval_on_normal_data():
    values = np.random.default_rng(7).normal(3, 2, size=400)
    half = 1.96 * values.std(ddof=1) / 20
    interval = statistics.bootstrap_ci(values, seed=1)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_of_a_paired_difference_resamples_pairs():
    a = np.random.default_rng(3).normal(size=50)
    noise = np.random.default_rng(4).normal(scale=0.01, size=50)
    interval = statistics.bootstrap_difference_ci(a + 0.5 + noise, a, seed=1)
    assert 0.49 < interval.low < 0.5 < interval.high < 0.51
    equal = statistics.bootstrap_difference_ci(a, a, seed=1)
    assert (equal.low, equal.reason) == (None, "all differences are equal")
    tiny = statistics.bootstrap_ci([0, 1e-253], seed=1)  # scipy gives NaN and a warning
    assert (tiny.low, tiny.reason) == (None, "the values vary too little")
    assert statistics.bootstrap_ci([1], seed=1).reason == "fewer than two values"
    with pytest.raises(ValueError, match="finite"):
        statistics.bootstrap_ci([1, math.inf], seed=1)


# The published statistics. Their inputs lie in the mirror, the printed values beside it.

COLUMNS = {
    "Lizard_LoC": "Lines_of_Code",
    "Lizard_ToK": "Token_Count",
    "Lizard_DR": "Detection_Rate",
    "Lizard_CyC": "Cyclomatic_Complexity",
    "PMD_BestPrac": "bestpractices",
    "PMD_CS": "codestyle",
    "PMD_Design": "design",
    "PMD_EP": "errorprone",
    "PMD_MT": "multithreading",
    "PMD_Perf": "performance",
    "Sonar_Sec": "Security_Hotspots",
    "Sonar_SecHot": "Security_Hotspots",
    "Sonar_Rel": "Reliability",
    "Sonar_Main": "Maintainability",
    "Sonar_CyC": "CyC",
    "Sonar_CoC": "CoC",
    "Pylint_Err": "Error",
    "Pylint_War": "Warning",
    "Pylint_Conv": "Convention",
    "Pylint_Ref": "Refactor",
    "CodeBLEU": "codebleu",
    "Roslyn_SynErr": "Syntax_Errors",
    "Roslyn_Main": "Maintainability",
}
METHODS = {"ST-QLoRA": "st_qlora", "MT-QLoRA": "mt_qlora", "MT-FFT": "mt_fft"}


@pytest.fixture(scope="module")
def published(mirror) -> pd.DataFrame:
    path = mirror.parent / "golden" / "stats.csv"
    if not path.is_file():
        pytest.skip("the published statistics do not lie beside the mirror")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def published_column(mirror: Path, row: pd.Series, side: str) -> np.ndarray:
    named = row[f"input_{side}"].split("-> actually ")[-1].lstrip("/")
    if "/" not in named:  # the judge's files are listed without their folder
        named = f"llm_judge/{ {'python': 'py'}.get(row.language, row.language) }/{named}"
    table = pd.read_csv(mirror / "paper_package" / "per-instance-value" / named)
    return table[COLUMNS.get(row.metric, row.metric)].to_numpy(dtype=float)


def printed(value: float | None, digits: int) -> str:
    text = "NA" if value is None else f"{value:.{digits}f}"
    return re.sub(r"^-(0\.0+)$", r"\1", text)


def test_every_published_wilcoxon_row_is_reproduced(mirror, published):
    rows = published[published.test == "wilcoxon"]
    assert len(rows) == 327
    for (_, adjust, _), family in rows.groupby(["source", "adjust", "size"], sort=False):
        p_values = []
        for _, row in family.iterrows():
            a, b = (published_column(mirror, row, side) for side in "ab")
            n = min(a.size, b.size)
            assert n == int(row.n_pairs)
            assert printed(statistics.cliffs_delta(a[:n], b[:n]), 4) == printed(
                float(row.effect), 4
            )
            p_values.append(statistics.wilcoxon(a[:n], b[:n]).p)
        adjusted = statistics.ADJUSTMENTS[adjust](p_values)
        assert [printed(p, 4) for p in adjusted] == list(family.p_adj), family.source.iloc[0]


def test_every_published_mcnemar_row_is_reproduced(mirror, published):
    rows = published[published.test == "mcnemar"]
    assert len(rows) == 18
    for (rq, _, adjust), family in rows.groupby(["rq", "source", "adjust"], sort=False):
        p_values = []
        for _, row in family.iterrows():
            folder = mirror / "paper_package" / "per-instance-value" / "pass1"
            folder /= {"python": "py"}.get(row.language, row.language)
            name = "r-pass1_cg_qwen{}_{}.csv"
            size = row["size"].removesuffix("B").replace(".", "_")
            a, b = (
                pd.read_csv(folder / name.format(size, METHODS[method]))
                for method in row.comparison.split(" vs ")
            )
            if rq == "RQ1":  # by id; the published RQ2 pairs by position
                both = a.merge(b, on="Task ID")
                a, b = both["pass@1_x"], both["pass@1_y"]
            else:
                n = min(len(a), len(b))
                a, b = a["pass@1"][:n], b["pass@1"][:n]
            counts = statistics.discordant(a, b)
            assert (len(a), *counts) == (int(row.n_pairs), int(row.a_only), int(row.b_only))
            assert f"{statistics.odds_ratio(*counts):.4f}" == row.effect
            p_values.append(statistics.mcnemar(*counts).p)
        adjusted = statistics.ADJUSTMENTS[adjust](p_values)
        assert [printed(p, 6) for p in adjusted] == list(family.p_adj)
