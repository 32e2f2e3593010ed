"""The token budget of a machine: what fits its GPU, a number without one."""

from __future__ import annotations

import types

import pytest
import torch

from bench import costs
from bench.errors import MachineError
from bench.generate import budget
from bench.generate.batches import Encoded, Prompt
from bench.grid import study
from bench.records import Track
from tests.tiny_model import BASE, model

PAPER = study.load("paper").decoding
ENCODED = [Encoded(Prompt("1", "s", Track("generation", "python"), ""), (0,) * 1188, 512)]


def on_a_gpu(monkeypatch, gigabytes):
    """The model, as if it lay on a GPU of that size."""
    properties = types.SimpleNamespace(total_memory=int(gigabytes * 1e9), name="Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    weight = types.SimpleNamespace(device=torch.device("cuda:0"))
    embeddings = types.SimpleNamespace(weight=weight)
    return types.SimpleNamespace(config=model().config, get_input_embeddings=lambda: embeddings)


def test_a_processor_gets_a_number():
    tokens = budget.of_machine(model(), PAPER, quantised=False, lora=False)
    assert tokens(ENCODED) == budget.CPU_TOKENS


def test_a_gpu_gets_what_the_memory_model_says_fits(monkeypatch):
    of = on_a_gpu(monkeypatch, 80)
    tokens = budget.of_machine(of, PAPER, quantised=False, lora=True)(ENCODED)
    assert tokens == costs.generation_tokens(
        costs.Shape.of(of.config),
        quantised=False,
        memory_bytes=costs.usable_bytes(80 * 10**9),
        rows=PAPER.batch_rows,
        prompt_tokens=1188,
        lora=True,
    )
    assert costs.Shape.of(of.config).kv_width == BASE.hidden_size // BASE.heads * BASE.kv_heads


def test_a_model_that_fills_its_gpu_is_named(monkeypatch):
    tokens = budget.of_machine(on_a_gpu(monkeypatch, 1), PAPER, quantised=False, lora=False)
    with pytest.raises(MachineError, match="Some GPU: the model leaves no room"):
        tokens(ENCODED)
