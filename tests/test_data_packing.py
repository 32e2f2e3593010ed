"""Packing: no token lost or invented, no document that sees another one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import packing
from bench.data.packing import IGNORED, Document, PackedRows, best_fit_decreasing, pack
from bench.errors import BenchError

PAD, EOS = 1, 2


@st.composite
def corpora(draw, longest=40):
    """Documents whose tokens are all different, so that each can be traced."""
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=30))
    next_id, documents = 10, []
    for length in lengths:
        tokens = np.arange(next_id, next_id + length, dtype=np.int32)
        documents.append(
            Document(tokens, draw(st.integers(0, length)), draw(st.integers(0, 3 * length)))
        )
        next_id += length
    return documents


def segments(rows: PackedRows):
    """The runs of a row between position restarts, padding left out."""
    for ids, positions, labels in zip(rows.input_ids, rows.position_ids, rows.labels, strict=True):
        starts = [*np.flatnonzero(positions == 0), len(ids)]
        for start, end in itertools.pairwise(starts):
            assert positions[start:end].tolist() == list(range(end - start))
            if ids[start] == PAD:
                assert set(ids[start:end]) == {PAD}
                assert set(labels[start:end]) == {IGNORED}
            else:
                yield ids[start:end], labels[start:end]


@given(corpora(), st.integers(2, 40))
def test_isolated_rows_hold_every_document_once_and_whole(documents, row_tokens):
    rows = pack(documents, row_tokens, "isolated", PAD, EOS)
    found = {int(ids[0]): (ids, labels) for ids, labels in segments(rows)}
    assert len(found) == len(documents)
    for document in documents:
        ids, labels = found[int(document.tokens[0])]
        kept = document.tokens[:row_tokens]
        assert ids.tolist() == kept.tolist()
        first = max(document.loss_start, 1)
        expected = [IGNORED] * min(first, len(kept)) + kept[first:].tolist()
        assert labels.tolist() == expected


@given(corpora(), st.integers(2, 40))
def test_isolated_counts_add_up(documents, row_tokens):
    rows = pack(documents, row_tokens, "isolated", PAD, EOS)
    total = sum(document.tokens.size for document in documents)
    assert rows.tokens.real + rows.dropped_tokens == total
    assert rows.tokens.processed == rows.input_ids.size == len(rows) * row_tokens
    assert rows.tokens.real == np.count_nonzero(rows.input_ids != PAD)
    assert rows.tokens.trained == np.count_nonzero(rows.labels[:, 1:] != IGNORED)
    assert rows.cut_documents == sum(d.tokens.size > row_tokens for d in documents)
    assert rows.documents == len(documents)


@given(corpora(), st.integers(2, 25))
def test_published_rows_are_the_joined_stream_cut_at_the_row_length(documents, row_tokens):
    """An independent walk over TRL 0.9.6's rule: fill a buffer by characters, join, cut, drop."""
    limit = row_tokens * packing.BUFFER_CHARACTERS_PER_TOKEN * packing.BUFFER_ROWS
    expected_ids, expected_labels, queue = [], [], list(documents)
    while queue:
        ids, labels, characters = [], [], 0
        while queue and characters < limit:
            document = queue.pop(0)
            characters += document.characters
            tokens = [*document.tokens.tolist(), EOS]
            ids += tokens
            labels += [IGNORED] * document.loss_start + tokens[document.loss_start :]
        while len(ids) >= row_tokens:
            expected_ids.append(ids[:row_tokens])
            expected_labels.append(labels[:row_tokens])
            ids, labels = ids[row_tokens:], labels[row_tokens:]
    if not expected_ids:
        with pytest.raises(BenchError, match="do not fill one row"):
            pack(documents, row_tokens, "published", PAD, EOS)
        return
    rows = pack(documents, row_tokens, "published", PAD, EOS)
    assert rows.input_ids.tolist() == expected_ids
    assert rows.labels.tolist() == expected_labels
    assert rows.position_ids.tolist() == [list(range(row_tokens))] * len(rows)
    assert rows.tokens.real == rows.tokens.processed == rows.input_ids.size
    total = sum(document.tokens.size + 1 for document in documents)
    assert rows.tokens.real + rows.dropped_tokens == total


def test_published_buffers_end_where_trl_ends_them(monkeypatch):
    monkeypatch.setattr(packing, "BUFFER_ROWS", 1)  # a buffer holds 4 × 3.6 = 14.4 characters
    documents = [Document(np.arange(5, dtype=np.int32) + 10 * i, 0, 8) for i in range(1, 5)]
    rows = pack(documents, 4, "published", PAD, EOS)
    one, two = [10, 11, 12, 13, 14, EOS, 20, 21, 22, 23, 24, EOS], [30, 31, 32, 33, 34, EOS, 40]
    assert rows.input_ids.reshape(-1).tolist() == [*one, *two, 41, 42, 43, 44, EOS]
    odd = pack(documents[:3], 4, "published", PAD, EOS)
    assert odd.input_ids.reshape(-1).tolist() == one + two[:4]  # the second buffer's tail is gone
    assert odd.dropped_tokens == 2


def test_published_loss_covers_every_token_of_the_study():
    documents = [Document(np.arange(10, 40, dtype=np.int32))]
    rows = pack(documents, 10, "published", PAD, EOS)
    assert rows.tokens.trained == 3 * 9  # a row's first token is nobody's target
    assert (rows.labels == rows.input_ids).all()
    assert rows.cut_documents == 1


@settings(max_examples=60)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_best_fit_decreasing_equals_a_plain_search(lengths):
    capacity, free, expected = 50, [], {}
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = [space for space in free if space >= lengths[index]]
        space = min(fits, default=capacity)
        if fits:
            free.remove(space)
        free.append(space - lengths[index])
        expected[index] = capacity - space
    rows, offsets, count = best_fit_decreasing(np.array(lengths), capacity)
    assert count == len(free)
    assert offsets.tolist() == [expected[i] for i in range(len(lengths))]
    used = np.bincount(rows, weights=lengths, minlength=count)
    assert used.max() <= capacity


def test_the_same_documents_give_the_same_rows():
    generator = np.random.default_rng(0)
    documents = [
        Document(generator.integers(3, 900, size=int(n)).astype(np.int32), int(n) // 3)
        for n in generator.integers(1, 200, size=300)
    ]
    first, second = (pack(documents, 128, "isolated", PAD, EOS) for _ in range(2))
    for field in ("input_ids", "position_ids", "labels"):
        left, right = getattr(first, field), getattr(second, field)
        assert left.dtype == np.int32
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("documents", [[], [Document(np.array([], dtype=np.int32))]])
def test_nothing_to_pack_is_an_error(documents):
    with pytest.raises(BenchError, match="nothing to pack"):
        pack(documents, 8, "isolated", PAD, EOS)
