"""Layers behind one graph: it serves what it was made of; the rest runs as before.

The graph itself is CUDA's (tests/gpu); here the layers themselves stand in for it.
"""

from __future__ import annotations

import copy

import pytest
import torch

from bench.grid import study
from bench.grid.batching import Setting
from bench.train import graphs
from tests.tiny_model import model

PAPER = study.load("paper").training


@pytest.fixture
def pair(monkeypatch):
    """A model, and a copy whose layers are behind a graph that is called, not replayed."""
    monkeypatch.setattr(graphs.Graphed, "_capture", lambda self, *_: self._stack)
    plain = model().train()
    other = copy.deepcopy(plain)
    return plain, other, graphs.Graphed(other.model.layers, "cpu")


def batch(rows, tokens=12):
    torch.manual_seed(rows)
    return torch.randint(0, 300, (rows, tokens))


def test_layers_compute_the_same_behind_a_graph(pair):
    plain, other, graph = pair
    for ids in (batch(4), batch(3), batch(4)):
        told = [one(input_ids=ids, labels=ids, use_cache=False).loss for one in (plain, other)]
        assert torch.equal(*told)
        for one in told:
            one.backward()
    for one, same in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, same.grad)
    assert (graph.replays, graph.eager) == (2, 1)


def test_evaluation_runs_as_before(pair):
    plain, other, graph = pair
    ids = batch(4)
    other(input_ids=ids, use_cache=False)
    with torch.no_grad():
        assert torch.equal(
            plain.eval()(input_ids=ids, use_cache=False).logits,
            other.eval()(input_ids=ids, use_cache=False).logits,
        )
    assert graph.replays == 1


def test_a_mask_is_nothing_for_a_graph(pair):
    plain, other, graph = pair
    ids = batch(2)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    told = [
        one(input_ids=ids, attention_mask=mask, use_cache=False).logits for one in (plain, other)
    ]
    assert torch.equal(*told)
    assert graph.replays == 0


@pytest.mark.parametrize(
    ("changes", "setting", "device", "quantizes"),
    [
        ({"graphs": False}, Setting(2, False), "cuda", True),
        ({"plan": "published"}, Setting(2, False), "cuda", True),
        ({"packing": "isolated"}, Setting(2, False), "cuda", True),
        ({"kernels": ("compile",)}, Setting(2, False), "cuda", True),
        ({}, Setting(2, True), "cuda", True),
        ({}, Setting(2, False), "cpu", True),
        ({}, Setting(2, False), "cuda", False),
    ],
)
def test_where_a_graph_cannot_serve_there_is_none(changes, setting, device, quantizes):
    training = PAPER.model_copy(update={"graphs": True} | changes)
    assert not graphs.serve(training, setting, torch.device(device), quantizes=quantizes)
    served = PAPER.model_copy(update={"graphs": True})
    assert graphs.serve(served, Setting(2, False), torch.device("cuda"), quantizes=True)
