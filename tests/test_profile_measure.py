"""The items of a profile on a tiny shape: each trains, answers and counts as it says."""

from __future__ import annotations

import dataclasses

import bitsandbytes
import pytest
import torch

from bench import costs
from bench.costs import Shape
from bench.grid import study
from bench.profile import measure
from bench.profile.items import Item
from bench.train import bases

PAPER = study.load("paper")
TINY = Shape(64, 2, 4, 2, 160, 512, tied=True)
SHORT = PAPER.model_copy(update={"training": PAPER.training.model_copy(update={"row_tokens": 32})})


def item(kind="train", method="qlora", **changes):
    return Item(kind, "tiny", TINY, method, rows_per_step=4, rows=3, **changes)


@pytest.mark.parametrize(
    "one",
    [
        item(),
        item(plan="published", trace=True),
        item(method="full"),
        item(method="full", checkpointing=True),
        item(dequantised=True, packing="isolated", precision="corrected"),
    ],
    ids=lambda one: one.label,
)
def test_a_training_is_timed_and_counted(one):
    found = measure.measure(one, SHORT)
    assert found["outcome"] == "ok", found
    assert found["micro_rows"] == (2 if one.plan == "published" else 4)
    assert found["checkpointing"] is bool(one.checkpointing)
    step_s = found["step_s"]
    assert 0 < step_s["p20"] <= step_s["median"] <= step_s["p80"]
    processed = found["tokens_per_s"]["processed"]
    assert processed == pytest.approx(4 * 32 / step_s["median"])
    assert found["tokens_per_s"]["trained"] < found["tokens_per_s"]["real"] <= processed
    assert found["mfu"] is None and found["peak_allocated_bytes"] is None
    assert (found["kernels_per_step"] is not None) is one.trace


def test_a_checkpoint_is_written_and_weighed():
    found = measure.measure(item("checkpoint", "full"), SHORT)
    # Weights and two moments in the computing type.
    each = 3 * bases.compute_type("cpu").itemsize
    assert found["bytes"] == pytest.approx(each * TINY.parameters, rel=0.2)
    assert found["wall_s"] > 0


@pytest.mark.parametrize("merged", [True, False])
def test_answers_are_written_to_their_limit(merged, monkeypatch):
    monkeypatch.setattr(measure, "PROMPT_TOKENS", 8)
    monkeypatch.setattr(measure, "NEW_TOKENS", 5)
    found = measure.measure(item("generate", merged=merged), SHORT)
    assert found["outcome"] == "ok"
    assert found["tokens_per_s"] > 0 and found["step_s"] > 0


def test_random_weights_are_quantised_where_loaded_ones_are():
    model = measure.random_model(item(), torch.device("cpu"))
    four = [one for one in model.modules() if isinstance(one, bitsandbytes.nn.Linear4bit)]
    assert len(four) == 7 * TINY.layers
    assert all(one.weight.quant_state.nested for one in four)
    assert not isinstance(model.lm_head, bitsandbytes.nn.Linear4bit)


def test_random_weights_are_as_many_as_the_shape_says():
    model = measure.random_weights(TINY, torch.device("cpu"))
    assert sum(one.numel() for one in model.parameters()) == TINY.parameters
    assert model.get_input_embeddings().weight.dtype == bases.compute_type("cpu")


def test_out_of_memory_is_a_result(monkeypatch):
    def fails(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    monkeypatch.setattr(measure, "_training", fails)
    found = measure.measure(item(), SHORT)
    assert found == {"outcome": "oom", "reason": "CUDA out of memory. Tried to allocate 2 GiB"}


def test_the_memory_model_is_told_beside_the_peak():
    found = measure.measure(item(method="full"), SHORT)
    fit = dataclasses.replace(
        item(method="full").fit(SHORT, 4, checkpointing=False, gpu=False),
    )
    assert found["memory_model_bytes"] == costs.training_memory(TINY, fit).total
