"""Batches: rows side by side, filled up, or joined without padding."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.packing import IGNORED, Document, pack
from bench.train import batches
from tests.tiny_model import model, rows

LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=24)


def packed(lengths, row_tokens=32):
    documents = [
        Document(np.arange(1, length + 1, dtype=np.int32) + 7 * place, 0, 1)
        for place, length in enumerate(lengths)
    ]
    return pack(documents, row_tokens, "isolated", 0, 0)


def test_a_loader_takes_a_batch_at_once():
    dataset = batches.Rows(rows(9))
    for one, other in zip(dataset.__getitems__([1, 0]), (dataset[1], dataset[0]), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_last_batch_is_filled_with_what_has_no_target():
    items = [batches.Rows(rows(9))[0]]
    batch = batches.collate(items, fill_to=3)
    assert batch["input_ids"].shape[0] == 3
    assert (batch["labels"][1:] == IGNORED).all()
    assert torch.equal(batch["labels"][0], items[0]["labels"])
    assert batches.collate(items)["input_ids"].shape[0] == 1


@given(LENGTHS)
def test_joined_documents_are_all_there_and_nothing_else(lengths):
    found = packed(lengths)
    dataset = batches.Rows(found)
    batch = batches.collate_joined([dataset[row] for row in range(len(dataset))])
    bounds = batch["cu_seq_lens_q"].tolist()
    assert bounds[0] == 0 and bounds[-1] == batch["input_ids"].shape[1]
    spans = [batch["input_ids"][0, a:b].tolist() for a, b in itertools.pairwise(bounds)]
    first = [list(range(1 + 7 * n, min(size, 32) + 1 + 7 * n)) for n, size in enumerate(lengths)]
    assert sorted(spans) == sorted(first)
    assert batch["max_length_q"] == max(map(len, spans))
    targets = int((batch["labels"] != IGNORED).sum())
    assert targets == int((found.labels != IGNORED).sum())
    assert batches.joined_tokens(found) == batch["input_ids"].shape[1] == found.tokens.real


def test_rows_without_a_target_still_make_a_batch():
    item = {name: one.clone() for name, one in batches.Rows(rows(3))[0].items()}
    item["labels"][:] = IGNORED
    assert batches.collate_joined([item])["input_ids"].numel()


def test_joined_rows_have_the_loss_of_packed_ones():
    """With the block-diagonal mask that transformers makes of restarting positions."""
    causal, items = model(), list(batches.Rows(rows(7)))
    told = []
    for collate in (batches.collate, batches.collate_joined):
        batch = {n: one for n, one in collate(items).items() if "seq" not in n and "max" not in n}
        with torch.no_grad():
            told.append(causal(**batch, num_items_in_batch=50).loss.item())
    assert abs(told[0] - told[1]) < 1e-4


def test_published_predictions_are_those_of_the_chunked_loss():
    logits = np.zeros((1, 4, 5))
    logits[0, [0, 1, 2, 3], [3, 1, 4, 2]] = 1
    labels = np.array([[0, 1, IGNORED, 2]])
    assert batches.predicted(logits, labels).tolist() == [[3, IGNORED, 4, IGNORED]]
