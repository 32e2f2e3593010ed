"""Adapters: every weight in its place or an error, and what merging changes."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from bench.errors import DataError
from bench.generate import adapters, engines
from tests.tiny_model import model, sentence, tokenizer

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = [tokenizer()(sentence(number, 3 + number))["input_ids"] for number in range(6)]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """An adapter with random weights, as QLoRA saves one."""
    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
    torch.manual_seed(1)
    wrapped = get_peft_model(model(), config)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    wrapped.save_pretrained(folder)
    return folder


def changed(adapter, folder, change):
    """A copy of an adapter with other weights."""
    save_file(change(load_file(adapter / WEIGHTS)), folder / WEIGHTS)
    (folder / CONFIG).write_bytes((adapter / CONFIG).read_bytes())
    return folder


def logits(of):
    with torch.inference_mode():
        return of(input_ids=torch.tensor([IDS[-1]])).logits


def test_an_adapter_stands_beside_the_weights_or_is_added_to_them(adapter):
    beside = adapters.attach(model(), adapter, merge=False)
    merged = adapters.attach(model(), adapter, merge=True)
    assert isinstance(beside, PeftModel)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (logits(beside) - logits(model())).abs().max() > 0.1
    torch.testing.assert_close(logits(beside), logits(merged), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merged_adapter_is_not_bitwise_the_unmerged_one(adapter, dtype):
    """Why merging is a study's choice: a sum of weights is rounded, in fp32 too."""
    beside = adapters.attach(model().to(dtype), adapter, merge=False)
    merged = adapters.attach(model().to(dtype), adapter, merge=True)
    assert not torch.equal(logits(beside), logits(merged))


def test_an_adapter_that_adds_nothing_is_merged_bitwise(adapter, tmp_path):
    def emptied(weights):
        return {name: weight * ("lora_A" in name) for name, weight in weights.items()}

    changed(adapter, tmp_path, emptied)
    for merge in (False, True):
        found = adapters.attach(model(), tmp_path, merge=merge)
        assert torch.equal(logits(found), logits(model()))


def test_the_kits_loop_answers_with_an_adapter_as_transformers_does(adapter):
    wrapped = adapters.attach(model(stop_share=2.5), adapter, merge=False)
    found = engines.Greedy(wrapped, tokenizer()).answer(IDS, [9] * len(IDS))
    for row, output in zip(IDS, found, strict=True):
        reference = wrapped.generate(
            input_ids=torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            do_sample=False,
            max_new_tokens=9,
            eos_token_id=sorted(engines.stop_ids(tokenizer())),
            pad_token_id=0,
        )
        assert reference[0, len(row) :].tolist() == output


def without_one(weights):
    return dict(sorted(weights.items())[1:])


def of_another_layer(weights):
    name, weight = min(weights.items())
    return {**weights, name.replace("layers.0", "layers.7"): weight.clone()}


@pytest.mark.parametrize(
    ("change", "what"), [(without_one, "lacks"), (of_another_layer, "has an unknown")]
)
@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_weight_that_is_missing_or_of_another_model_is_an_error(adapter, tmp_path, change, what):
    changed(adapter, tmp_path, change)
    with pytest.raises(DataError, match=f"the adapter {what} weight base_model.*1 in all"):
        adapters.attach(model(), tmp_path, merge=False)


def test_a_tied_head_is_no_weight_of_an_adapters(adapter, tmp_path):
    head = {"base_model.model.lm_head.weight": torch.zeros(300, 64)}
    changed(adapter, tmp_path, lambda weights: weights | head)
    adapters.check(adapters.attach(model(), adapter, merge=False), tmp_path)


def test_the_rank_of_a_saved_adapter(adapter):
    assert adapters.rank(adapter) == 4
