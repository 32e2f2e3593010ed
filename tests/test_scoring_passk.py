"""pass@k against its definition: the share of k-subsets with at least one success."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring.passk import mean_pass_at_k, pass_at_k


@given(st.integers(1, 8), st.data())
def test_is_the_share_of_subsets_with_a_success(samples, data):
    passed = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    outcomes = [True] * passed + [False] * (samples - passed)
    subsets = list(itertools.combinations(outcomes, k))
    share = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(samples, passed, k) == pytest.approx(share)


def test_one_sample_is_the_plain_rate():
    assert pass_at_k(1, 1, 1) == 1.0
    assert pass_at_k(1, 0, 1) == 0.0
    assert mean_pass_at_k([(1, 1), (1, 0), (1, 0), (1, 1)], 1) == 0.5
    assert mean_pass_at_k([], 1) is None


@pytest.mark.parametrize(("samples", "passed", "k"), [(1, 2, 1), (2, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_refuses_what_cannot_be(samples, passed, k):
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(samples, passed, k)
