"""The rules that decide a claim: their order, symmetry, and never a verdict from nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import statistics
from bench.analysis.claims import evidence
from bench.analysis.claims.evidence import Finding, Ruling
from bench.analysis.statistics import Interval

ORDER = [Ruling.CONTRADICTED, Ruling.INCONCLUSIVE, Ruling.SUPPORTED]
NAMES = ("MT-QLoRA", "MT-FFT")

ends = st.floats(-1, 1, allow_nan=False)
margins = st.floats(0.001, 0.5)
intervals = st.tuples(ends, ends).map(lambda ab: Interval(min(ab), max(ab)))


def some(n: int = 40) -> np.ndarray:
    return np.random.default_rng(n).normal(size=n)


def held(between: Interval, margin: float, other: float = 1.0) -> Ruling:
    return evidence.holds_against(some(), between, margin, other, NAMES).ruling


@given(intervals, margins, margins)
def test_a_larger_margin_never_speaks_more_against(between, one, two):
    small, large = sorted((one, two))
    assert ORDER.index(held(between, small)) <= ORDER.index(held(between, large))


@given(intervals, margins)
def test_what_contradicts_one_side_supports_the_other(between, margin):
    turned = Interval(-between.high, -between.low)
    if held(between, margin) is Ruling.CONTRADICTED:
        assert held(turned, margin) is Ruling.SUPPORTED


@given(intervals, margins)
def test_superiority_is_the_interval_against_zero_whatever_the_margin(between, margin):
    if between.low > 0:
        assert held(between, margin, other=0.0) is Ruling.SUPPORTED


@pytest.mark.parametrize(
    ("low", "high", "ruling", "told"),
    [
        (0.001, 0.2, Ruling.SUPPORTED, "MT-QLoRA is better than MT-FFT"),
        (-0.04, 0.2, Ruling.SUPPORTED, "within the margin of MT-FFT"),
        (-0.04, -0.01, Ruling.SUPPORTED, "though worse"),
        (-0.05, 0.2, Ruling.INCONCLUSIVE, "does not say"),
        (-0.2, -0.05, Ruling.INCONCLUSIVE, "does not say"),
        (-0.2, -0.051, Ruling.CONTRADICTED, "worse than MT-FFT by more than the margin"),
    ],
)
def test_where_the_interval_lies_decides(low, high, ruling, told):
    found = evidence.holds_against(some(), Interval(low, high), 0.05, 0.5, NAMES)
    assert found.ruling is ruling
    assert told in found.reason


def test_a_margin_above_half_of_the_other_shows_nothing():
    found = evidence.holds_against(some(), Interval(-0.01, 0.01), 0.05, 0.09, NAMES)
    assert found.ruling is Ruling.INCONCLUSIVE
    assert "more than half of what MT-FFT scores" in found.reason


@given(margins, st.floats(0, 1))
def test_no_data_is_not_run_and_few_pairs_are_inconclusive(margin, other):
    none = evidence.holds_against(np.empty(0), Interval(None, None), margin, other, NAMES)
    assert none.ruling is Ruling.NOT_RUN
    few = evidence.holds_against(np.ones(19), Interval(0.5, 1.0), margin, other, NAMES)
    assert few.ruling is Ruling.INCONCLUSIVE and few.reason.startswith("19 pairs")
    assert evidence.trend(np.empty(0), Interval(None, None), {}, 0.0).ruling is Ruling.NOT_RUN
    equal = evidence.trend(np.ones(30), Interval(None, None, "all values are equal"), {}, 0.0)
    assert (equal.ruling, equal.reason) == (Ruling.INCONCLUSIVE, "all values are equal")


@given(st.integers(20, 400))
def test_pairs_that_never_differ_are_bounded_by_their_number(n):
    found = evidence.interval(np.zeros(n), seed=1)
    # Of n pairs none differs: 1 - (1 - share) ** n is 97.5 % at the bound.
    assert found.high == pytest.approx(1 - 0.025 ** (1 / n))
    assert found.low == -found.high


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_an_interval_turns_with_its_differences_and_holds_their_mean(seed):
    values = np.random.default_rng(seed).integers(-1, 2, 60).astype(float)
    found, turned = (evidence.interval(sign * values, seed=3) for sign in (1, -1))
    assert found.low <= values.mean() <= found.high
    # Exactly so for a bootstrap with enough resamples; these are 2,000.
    assert turned.low == pytest.approx(-found.high, abs=0.05)


def test_an_end_at_zero_is_not_above_it_for_a_rounding_error(monkeypatch):
    noisy = Interval(2.8e-17, 0.053475935828877004)
    monkeypatch.setattr(statistics, "bootstrap_ci", lambda *_, **__: noisy)
    assert evidence.interval(some(), seed=1) == Interval(0.0, 0.053475935829)


@given(intervals, st.lists(intervals, max_size=3), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_trend_is_decided_by_its_contrast_and_stopped_by_a_step_back(between, steps, one, two):
    named = {str(place): step for place, step in enumerate(steps)}
    small, large = (
        evidence.trend(some(), between, named, tolerance).ruling for tolerance in sorted((one, two))
    )
    assert ORDER.index(small) <= ORDER.index(large)
    assert (small is Ruling.CONTRADICTED) == (between.high < 0)
    if small is Ruling.SUPPORTED:
        assert between.low > 0 and all(step.high >= -sorted((one, two))[0] for step in steps)


def test_a_step_back_is_named():
    steps = {"from 1b to 2b": Interval(0.3, 0.5), "from 2b to 3b": Interval(-0.2, -0.1)}
    found = evidence.trend(some(), Interval(0.1, 0.2), steps, 0.02)
    assert found.ruling is Ruling.INCONCLUSIVE
    assert found.reason.endswith("the other way from 2b to 3b")


@given(st.floats(0.01, 1e12), st.floats(0.01, 1e12), st.floats(0, 0.9))
def test_a_cost_below_is_one_above_seen_from_the_other_side(a, b, tolerance):
    found = evidence.cheaper(a, b, tolerance).ruling
    turned = evidence.cheaper(b, a, tolerance).ruling
    assert (found, turned) != (Ruling.SUPPORTED, Ruling.SUPPORTED)
    if found is Ruling.SUPPORTED:
        assert turned is Ruling.CONTRADICTED
    if math.isclose(a, b):
        assert Ruling.CONTRADICTED not in (found, turned) or tolerance < 1e-6


def test_a_cost_within_the_tolerance_or_against_nothing_decides_nothing():
    assert evidence.cheaper(95, 100, 0.1).ruling is Ruling.INCONCLUSIVE
    assert evidence.cheaper(80, 100, 0.1) == Finding(Ruling.SUPPORTED, "0.8 times the other")
    assert evidence.cheaper(80, 0, 0.1).ruling is Ruling.INCONCLUSIVE


rulings = st.sampled_from(list(Ruling))
findings = st.builds(Finding, rulings, st.just(""), st.none() | st.floats(0, 1))


@given(st.lists(findings, max_size=8), st.randoms())
def test_together_needs_every_one_and_no_order(found, random):
    ruling = evidence.together(found)
    shuffled = list(found)
    random.shuffle(shuffled)
    assert evidence.together(shuffled) is ruling
    kinds = {one.ruling for one in found}
    assert (ruling is Ruling.SUPPORTED) == (kinds == {Ruling.SUPPORTED})
    assert (ruling is Ruling.NOT_RUN) == (kinds <= {Ruling.NOT_RUN})
    if ruling is Ruling.DEPENDS:
        assert Ruling.DEPENDS in kinds
    if ruling is Ruling.CONTRADICTED:
        assert Ruling.CONTRADICTED in kinds


@given(findings, findings)
def test_readings_that_differ_are_never_supported_or_contradicted(published, tuned):
    found = evidence.agreed({"published": published, "tuned": tuned})
    if published.ruling is tuned.ruling:
        assert found.ruling is published.ruling
    elif Ruling.NOT_RUN in (published.ruling, tuned.ruling):
        assert found.ruling is Ruling.INCONCLUSIVE
    else:
        assert found.ruling is Ruling.DEPENDS
    turned = evidence.agreed({"published": tuned, "tuned": published})
    assert turned.ruling is found.ruling


def test_one_contradiction_of_many_must_survive_holm():
    fine = [Finding(Ruling.SUPPORTED, "")] * 9
    chance = Finding(Ruling.CONTRADICTED, "", p=0.02)
    clear = Finding(Ruling.CONTRADICTED, "", p=0.0001)
    measured = Finding(Ruling.CONTRADICTED, "")  # a cost: no chance about it
    assert evidence.together([chance]) is Ruling.CONTRADICTED
    assert evidence.together([*fine, chance]) is Ruling.INCONCLUSIVE
    assert evidence.together([*fine, clear]) is Ruling.CONTRADICTED
    assert evidence.together([*fine, measured]) is Ruling.CONTRADICTED


@given(st.integers(2, 12))
def test_the_weights_of_a_contrast_compare_upper_with_lower(sizes):
    weights = evidence.contrast_weights(sizes)
    assert weights.sum() == pytest.approx(0)
    assert weights[weights > 0].sum() == pytest.approx(1)
    assert np.allclose(weights, -weights[::-1])
    assert np.all(np.diff(weights) > 0)


def test_the_weights_for_two_and_three_sizes():
    assert evidence.contrast_weights(2).tolist() == [-1, 1]
    assert evidence.contrast_weights(3).tolist() == [-1, 0, 1]


def test_the_p_value_of_a_contradiction_is_that_of_the_t_test():
    values = some()
    assert evidence.p_below(values, float(values.mean())) == pytest.approx(0.5)
    assert evidence.p_below(np.ones(30), 0.5) is None
