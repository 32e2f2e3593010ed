"""Batches: each prompt once, within the rows and the tokens that a batch may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generate.batches import Encoded, Prompt, batches, pieces
from bench.grid.study import Decoding
from bench.records import Track

NEW_TOKENS = {"generation": 20, "summarization": 6, "translation": 20}


def prompt(number, task="generation"):
    return Prompt(str(number), "suite", Track(task, "python"), "text")


@given(
    lengths=st.lists(st.tuples(st.integers(1, 90), st.sampled_from(sorted(NEW_TOKENS)))),
    rows=st.integers(1, 9),
    tokens=st.one_of(st.none(), st.integers(1, 700)),
)
def test_a_batch_keeps_to_its_rows_and_its_tokens(lengths, rows, tokens):
    decoding = Decoding(new_tokens=NEW_TOKENS, window_tokens=80, batch_rows=rows)
    encoded = [
        Encoded(prompt(place, task), (0,) * length, max(0, min(NEW_TOKENS[task], 80 - length)))
        for place, (length, task) in enumerate(lengths)
    ]
    plan = batches(encoded, decoding, tokens)
    assert sorted(int(one.prompt.id) for batch in plan for one in batch) == list(
        range(len(encoded))
    )
    for batch in plan:
        assert len(batch) <= rows
        assert len({bool(one.limit) for one in batch}) == 1
        if batch[0].limit:
            new = NEW_TOKENS[batch[0].prompt.track.task]
            held = len(batch) * (max(len(one.ids) for one in batch) + new)
            assert tokens is None or held <= tokens or len(batch) == 1


@given(count=st.integers(1, 40), parts=st.sampled_from((1, 2, 4, 8, 64)))
def test_pieces_hold_a_batch_in_its_order(count, parts):
    batch = [Encoded(prompt(place), (0,), 1) for place in range(count)]
    found = pieces(batch, parts)
    assert [one for piece in found for one in piece] == batch
    assert len(found) <= parts
    assert max(map(len, found)) == -(-count // parts)


def test_a_longer_prompt_does_not_widen_a_full_budget():
    decoding = Decoding(new_tokens=NEW_TOKENS, window_tokens=80, batch_rows=9)
    encoded = [Encoded(prompt(place), (0,) * length, 20) for place, length in enumerate((5, 5, 30))]
    assert [len(batch) for batch in batches(encoded, decoding, 100)] == [2, 1]


def test_budgets_are_numbers_or_left_to_the_machine():
    for wrong in (0, -1, "much"):
        with pytest.raises(ValueError, match="batch_tokens"):
            Decoding(new_tokens=NEW_TOKENS, window_tokens=8, batch_rows=1, batch_tokens=wrong)
