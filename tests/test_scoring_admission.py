"""A text that cannot be scored has no value and a reason; it never ends a stage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring import admission
from bench.scoring.admission import Rows, each, mean, refusal, spread


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "naïve 😀", "x" * admission.MAX_CHARACTERS])
def test_ordinary_and_odd_texts_are_admitted(text):
    assert refusal(text) is None


def test_long_and_undecodable_texts_are_refused():
    assert refusal("x" * (admission.MAX_CHARACTERS + 1)) == admission.TOO_LONG
    assert refusal("a\ud800b") == admission.NOT_UNICODE


def test_mean_leaves_out_what_is_missing():
    assert mean([0.5, None, 1.0]) == 0.75
    assert mean([None, None]) is None
    assert mean([]) is None


def test_an_exhausted_stack_costs_one_instance_its_values():
    def score_one(index):
        if index == 1:
            raise RecursionError
        return "odd" if index == 2 else [index, index * 2]

    rows = each(["a", "b"], 4, score_one)
    assert rows.columns == {"a": [0, None, None, 3], "b": [0, None, None, 6]}
    assert rows.reasons == [None, admission.TOO_DEEP, "odd", None]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_spread_puts_every_value_back_in_its_place(wanted):
    refused = {index: "refused" for index, value in enumerate(wanted) if value is None}
    kept = [index for index, value in enumerate(wanted) if value is not None]
    rows = Rows({"m": [wanted[index] for index in kept]}, [None] * len(kept))
    found = spread(rows, kept, refused, len(wanted))
    assert found.columns == {"m": wanted}
    assert [reason is None for reason in found.reasons] == [value is not None for value in wanted]
