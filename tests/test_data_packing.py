"""Packing: no token lost or invented, no document that sees another one."""

from __future__ import annotations

import functools
import hashlib
import itertools
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.data import codexglue, packing, rows
from bench.data.packing import IGNORED, Document, PackedRows, best_fit_decreasing, pack
from bench.data.prompts import Prompts
from bench.data.sources import locate
from bench.errors import BenchError
from bench.grid import study
from bench.records import TRACKS

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


def teaching(documents, row_tokens):
    """Those whose first target is not cut away."""
    return [d for d in documents if d.loss_start < min(len(d.tokens), row_tokens)]


@given(corpora(), st.integers(2, 40))
def test_isolated_rows_hold_every_document_once_and_whole(documents, row_tokens):
    taught = teaching(documents, row_tokens)
    if not taught:
        with pytest.raises(BenchError, match="no document has a target"):
            pack(documents, row_tokens, "isolated", PAD, EOS)
        return
    rows = pack(documents, row_tokens, "isolated", PAD, EOS)
    found = {int(ids[0]): (ids, labels) for ids, labels in segments(rows)}
    assert len(found) == len(taught)
    for document in taught:
        ids, labels = found[int(document.tokens[0])]
        kept = document.tokens[:row_tokens]
        assert ids.tolist() == kept.tolist()
        first = max(document.loss_start, 1)
        expected = [IGNORED] * min(first, len(kept)) + kept[first:].tolist()
        assert labels.tolist() == expected


@given(corpora(), st.integers(2, 40))
def test_isolated_counts_add_up(documents, row_tokens):
    assume(teaching(documents, row_tokens))
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


@given(corpora(), st.integers(2, 25), st.integers(0, 9))
def test_published_rows_are_shuffled_within_their_buffers_by_the_seed(documents, row_tokens, seed):
    plain, mixed = [], []
    for found, given_seed in ((plain, None), (mixed, seed)):
        try:
            made = pack(documents, row_tokens, "published", PAD, EOS, given_seed)
        except BenchError:
            return
        found += [tuple(row) for row in made.input_ids.tolist()]
        assert (made.labels[made.labels != IGNORED] == made.input_ids[made.labels != IGNORED]).all()
    assert sorted(plain) == sorted(mixed)
    random.seed(seed)
    random.shuffle(plain)  # one buffer: these documents are far too short for two
    assert plain == mixed


# the study's packing on real rows

#: Rows of 64 tokens: TRL's buffer then ends after 235,930 characters, several times here.
ROW_TOKENS = 64
#: SHA-256 of the rows (int32, little-endian) that TRL 0.9.6's own ``ConstantLengthDataset``
#: gave for these very texts and this tokenizer after ``random.seed(42)``, and their number.
TRL_ROWS = (6938, "de6904c06b5b0d9cfdaf4afa09d42a4b4acb05410c71b95783fba0b84b7a6de0")


@pytest.fixture(scope="module")
def real(mirror):
    """Real samples of all six tracks, more than two buffers of them."""
    find = functools.partial(locate, mirror=mirror)
    return [
        sample for track in TRACKS for sample in codexglue.samples(track, "valid", find)[0][:90]
    ]


@pytest.fixture(scope="module")
def kit_tokenizer(real):
    """The kit's tokenizer and chat template: by vocabulary, learned from the samples."""
    tokenizer = pytest.importorskip("bench.train.tokenizer")
    wording = Prompts.load("kit")

    @functools.cache
    def make(vocabulary):
        chats = (turn["content"] for one in real for turn in wording.with_answer(one))
        return tokenizer.train_tokenizer(chats, vocabulary)

    return make


def as_trl_packs(texts, tokenizer, row_tokens):
    """Rows as TRL 0.9.6 gives them, computed by hand: text by text, token by token.

    Its defaults: 3.6 characters a token and 1,024 rows decide when a buffer is full, an end
    of text after every document, no partial rows, and a shuffle by the global generator.
    """
    found, held, rows_of_buffer, row = [], 0.0, [], []

    def empty_the_buffer():
        random.shuffle(rows_of_buffer)
        found.extend(rows_of_buffer)
        rows_of_buffer.clear()
        row.clear()

    for text in texts:
        if held >= 3.6 * 1024 * row_tokens:
            empty_the_buffer()
            held = 0.0
        held += len(text)
        for token in [*tokenizer.encode(text), tokenizer.eos_token_id]:
            row.append(token)
            if len(row) == row_tokens:
                rows_of_buffer.append(tuple(row))
                row.clear()
    empty_the_buffer()
    return found


def published(samples, tokenizer, row_tokens, seed=42):
    protocol = study.load("smoke").training.model_copy(
        update={"packing": "published", "row_tokens": row_tokens, "loss_on_prompt": True}
    )
    return rows.packed_rows(
        {"train": samples}, Prompts.load("kit"), tokenizer, protocol, seed, None
    )["train"]


@pytest.mark.parametrize("row_tokens", [ROW_TOKENS, 512])
def test_published_rows_of_real_samples_are_trls_row_by_row(real, kit_tokenizer, row_tokens):
    tokenizer, wording = kit_tokenizer(1024), Prompts.load("kit")
    made = published(real, tokenizer, row_tokens)
    order = np.random.default_rng(42).permutation(len(real))
    texts = [
        tokenizer.apply_chat_template(wording.with_answer(real[index]), tokenize=False)
        for index in order
    ]
    random.seed(42)
    expected = as_trl_packs(texts, tokenizer, row_tokens)
    assert len(made) == len(expected) > 100
    for number, (row, wanted) in enumerate(zip(made.input_ids.tolist(), expected, strict=True)):
        assert row == list(wanted), f"row {number}"
    assert (made.labels == made.input_ids).all()
    assert (made.position_ids == np.arange(row_tokens)).all()
    buffers = sum(map(len, texts)) / (row_tokens * 3.6 * 1024)
    assert buffers > 2 or row_tokens == 512, "several buffers"
    all_tokens = sum(len(tokenizer.encode(text)) + 1 for text in texts)
    assert made.tokens.real + made.dropped_tokens == all_tokens


def test_published_rows_equal_those_that_trl_itself_made(real, kit_tokenizer):
    """Without merges (259 entries: the bytes and the special tokens) ids depend on no library."""
    made = published(real, kit_tokenizer(259), ROW_TOKENS)
    digest = hashlib.sha256(made.input_ids.astype("<i4").tobytes()).hexdigest()
    assert (len(made), digest) == TRL_ROWS


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
