"""Engines: the same answers by transformers' own batching; vLLM by what it is handed."""

from __future__ import annotations

import sys
import types

import pytest

from bench.errors import MachineError
from bench.generate import engines
from tests.tiny_model import model, sentence, tokenizer

IDS = [tokenizer()(sentence(number, 3 + number))["input_ids"] for number in range(5)]
LIMITS = [9, 3, 9, 1, 9]


@pytest.mark.slow
def test_continuous_batching_answers_as_the_kits_own_loop():
    of = model(stop_share=2.5)
    engine = engines.Continuous(of, tokenizer())
    found = engine.answer(IDS, LIMITS)
    assert found == engines.Greedy(of, tokenizer()).answer(IDS, LIMITS)
    assert of.config._attn_implementation == "sdpa"
    lengths = [len(row) for row in IDS], [len(row) for row in found]
    assert engine.slots(*lengths) == sum(map(sum, lengths)) - len(IDS)


def test_a_library_without_continuous_batching_is_named():
    with pytest.raises(MachineError, match="no continuous batching") as told:
        engines.Continuous(object(), tokenizer())
    assert "greedy" in told.value.hint


def test_vllm_that_is_not_installed_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MachineError, match="vLLM cannot be imported") as told:
        engines.Vllm(tmp_path, tokenizer(), 64)
    assert "bench[vllm]" in told.value.hint


class Served:
    """What stands for vLLM: it notes what it is handed, and answers prompts' first tokens."""

    def __init__(self, **options):
        Served.options = options

    def generate(self, prompts, sampling, use_tqdm, lora_request):
        Served.asked = prompts, sampling, lora_request
        return [
            types.SimpleNamespace(
                outputs=[types.SimpleNamespace(token_ids=tuple(one["prompt_token_ids"][:2]))]
            )
            for one in prompts
        ]


@pytest.mark.parametrize("rank", [None, 4, 32])
def test_vllm_is_handed_token_ids_greedy_limits_and_the_adapter(monkeypatch, tmp_path, rank):
    requests = types.SimpleNamespace(LoRARequest=lambda *about: about)
    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(LLM=Served, SamplingParams=dict))
    monkeypatch.setitem(sys.modules, "vllm.lora.request", requests)
    adapter = None if rank is None else (tmp_path / "adapter", rank)
    engine = engines.Vllm(tmp_path, tokenizer(), 64, adapter)
    assert engine.answer(IDS, LIMITS) == [row[:2] for row in IDS]
    prompts, sampling, lora = Served.asked
    assert [one["prompt_token_ids"] for one in prompts] == IDS
    assert [one["max_tokens"] for one in sampling] == LIMITS
    assert {one["temperature"] for one in sampling} == {0.0}
    assert set(sampling[0]["stop_token_ids"]) == engines.stop_ids(tokenizer())
    if rank is None:
        assert lora is None
        assert "enable_lora" not in Served.options
    else:
        assert lora == ("adapter", 1, str(tmp_path / "adapter"))
        assert Served.options["max_lora_rank"] == max(8, rank)
