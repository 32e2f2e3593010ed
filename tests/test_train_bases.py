"""Bases: made once and alike, keyed by all that decides them, quantised as the study does."""

from __future__ import annotations

import json
import shutil
import socket
from types import SimpleNamespace

import bitsandbytes
import huggingface_hub
import pytest
import torch
from bitsandbytes.nn import modules
from transformers import Qwen2ForCausalLM

from bench.data import embedded
from bench.data import hub as repositories
from bench.data.fetching import fetch
from bench.data.fetching.needs import Needs
from bench.data.hub import lock as hublock
from bench.errors import MachineError
from bench.grid import batching, study
from bench.train import arithmetic, bases, fit, loss, methods
from tests.stand_in import StandIn, serving
from tests.tiny_model import BASE, random_base, rows

__all__ = ["random_base"]  # a fixture

Linear4bit = bitsandbytes.nn.Linear4bit
TRAINING = study.load("smoke").training


def arguments(folder, model):
    """The Trainer's arguments for QLoRA of the smoke study."""
    setting = batching.published(TRAINING.qlora, full=False)
    return fit.arguments(TRAINING, "mt-qlora", 42, folder / "none", model, setting)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache with one tiny base, and the base's folder."""
    cache = tmp_path_factory.mktemp("cache")
    steps = []
    folder = bases.base_folder(BASE, 42, cache, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    return cache, folder


def test_a_base_made_twice_is_the_same_bytes(made, tmp_path):
    cache, folder = made
    assert folder == cache / "bases" / bases.key(BASE, 42)
    again = bases.base_folder(BASE, 42, tmp_path)
    assert again.name == folder.name
    assert content(again) == content(folder)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= content(folder).keys()


def test_another_seed_makes_another_base(made, tmp_path):
    other = content(bases.base_folder(BASE, 43, tmp_path))
    assert other["model.safetensors"] != content(made[1])["model.safetensors"]


def test_a_base_is_made_once(made, monkeypatch):
    cache, folder = made
    monkeypatch.setattr(bases, "make", None)
    assert bases.base_folder(BASE, 42, cache) == folder
    assert [path.name for path in (cache / "bases").iterdir()] == [folder.name]


def test_a_base_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(base, seed, folder, progress):
        (folder / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(bases, "make", fail)
    with pytest.raises(KeyboardInterrupt):
        bases.base_folder(BASE, 42, tmp_path)
    assert not list((tmp_path / "bases").iterdir())


def test_whoever_comes_second_takes_the_firsts_base(made, tmp_path, monkeypatch):
    """Two processes make the same base at a time: the later one's is thrown away."""
    target = tmp_path / "bases" / bases.key(BASE, 42)

    def late(base, seed, folder, progress):
        shutil.copytree(made[1], target)
        (folder / "config.json").write_text("the later one's")

    monkeypatch.setattr(bases, "make", late)
    assert bases.base_folder(BASE, 42, tmp_path) == target
    assert content(target) == content(made[1])
    assert list((tmp_path / "bases").iterdir()) == [target]


def test_a_made_base_is_ready_to_use(made):
    model, tokens = bases.load(made[1], quantize=False, device="cpu")
    assert model.dtype == bases.compute_type("cpu")
    assert model.config.vocab_size == BASE.vocabulary == len(tokens)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tokens.chat_template
    assert tokens.padding_side == "left"


# keys


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": 96}, {"layers": 3}, {"vocabulary": 301}, {"pretrain_steps": 3},
     {"pretrain_rows_per_step": 3}, {"pretrain_learning_rate": 1e-3}],
    ids=str,
)  # fmt: skip
def test_the_key_follows_the_recipe(change):
    assert bases.key(BASE.model_copy(update=change), 42) != bases.key(BASE, 42)


def test_the_key_follows_the_seed_and_not_the_name():
    assert bases.key(BASE, 43) != bases.key(BASE, 42)
    assert bases.key(BASE.model_copy(update={"name": "other"}), 42) == bases.key(BASE, 42)


def test_the_key_follows_the_corpus_that_the_material_leaves_out(tmp_path, monkeypatch):
    before = bases.key(BASE, 42)
    (tmp_path / "functions.jsonl").write_bytes(embedded.FILE.read_bytes() + b"\n")
    monkeypatch.setattr(embedded, "files", lambda: [tmp_path / "functions.jsonl"])
    assert bases.key(BASE, 42) != before


def test_the_key_follows_the_code_and_the_arithmetic(monkeypatch):
    monkeypatch.setenv(arithmetic.VARIABLE, "fp32")
    keys = {bases.key(BASE, 42)}
    monkeypatch.setenv(arithmetic.VARIABLE, "bf16")
    keys.add(bases.key(BASE, 42))
    monkeypatch.setattr(bases, "RECIPE", 99)
    keys.add(bases.key(BASE, 42))
    assert len(keys) == 3


@pytest.mark.parametrize(("asked", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_arithmetic_is_that_of_pretraining_training_and_generation(
    monkeypatch, random_base, asked, dtype
):
    monkeypatch.setenv(arithmetic.VARIABLE, asked)
    for quantize in (True, False):
        model, _ = bases.load(random_base, quantize, "cpu")
        weights = [one for one in model.parameters() if one.is_floating_point()]
        assert {weight.dtype for weight in weights} == {dtype}
        assert evaluate(model, autocast=False).dtype == dtype
        trained = arguments(random_base, model)
        assert trained.bf16 is (asked == "bf16")


# the study's sizes


@pytest.mark.parametrize(("size", "millions"), [("0.5m", 0.5), ("2m", 2), ("6m", 6)])
def test_the_smoke_studys_bases_are_as_large_as_they_are_called(size, millions):
    tokens = SimpleNamespace(eos_token_id=0, pad_token_id=0)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(bases.architecture(study.load("smoke").base(size), tokens))
    count = sum(one.numel() for one in model.parameters())
    assert abs(count / 1e6 - millions) <= 0.35 * millions, f"{count:,} parameters"


# hub models


def hub(repository):
    return study.HubBase(kind="hub", name="3b", repository=repository, revision="0" * 40)


def test_a_hub_model_that_is_nowhere_is_named_with_the_next_step(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match=r"base 3b: Some/Model at 0{12} is not on this m") as it:
        bases.base_folder(hub("Some/Model"), 42, tmp_path)
    assert "nox -s fetch" in it.value.hint


def test_a_fetched_hub_model_loads_without_a_network(random_base, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hublock, "PATH", tmp_path / "project.lock.json")
    model = hub("org/tiny")
    with serving(StandIn()) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.add_hub(model.repository, content(random_base), model.revision)
        wanted = Needs((), (repositories.model(model.repository, model.revision),))
        assert not fetch.fetch(wanted, tmp_path / "cache" / "data").failed
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("the network was touched"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was touched"))
    folder = bases.base_folder(model, 42, tmp_path / "cache")
    loaded, tokens = bases.load(folder, quantize=False, device="cpu")
    assert loaded.num_parameters() > 0
    assert tokens.eos_token_id is not None


def test_a_hub_model_may_be_a_folder(random_base, tmp_path):
    assert bases.base_folder(hub(str(random_base)), 42, tmp_path) == random_base


# quantisation


def linear4bit(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, Linear4bit)}


def test_the_published_plan_keeps_nf4_with_double_quantisation(random_base):
    model, _ = bases.load(random_base, True, "cpu", dequantised=False)
    layers = linear4bit(model)
    assert len(layers) == 7 * BASE.layers
    assert not [name for name in layers if "lm_head" in name or "embed" in name]
    for layer in layers.values():
        state = layer.weight.quant_state
        assert layer.weight.dtype == torch.uint8
        assert layer.weight.numel() == layer.in_features * layer.out_features // 2
        assert (state.quant_type, state.nested) == ("nf4", True)
        assert layer.compute_dtype == bases.compute_type("cpu")


def test_the_tuned_plan_has_plain_layers_with_sixteen_values_a_block(random_base):
    model, _ = bases.load(random_base, True, "cpu")
    assert not linear4bit(model)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert all(len(block.unique()) <= 16 for block in weight.flatten().split(64))
    plain, _ = bases.load(random_base, False, "cpu")
    assert not torch.equal(weight, plain.model.layers[0].mlp.up_proj.weight)
    assert "quantization_config" not in json.loads(model.config.to_json_string())


def batch():
    packed = rows(8)
    columns = ("input_ids", "position_ids", "labels")
    return {name: torch.from_numpy(getattr(packed, name)).long() for name in columns}


def adapted(folder, plan):
    model, _ = bases.load(folder, True, "cpu", dequantised=plan == "tuned")
    wrapped = open_lora(methods.prepare(model, TRAINING, "mt-qlora", 42))
    loss.install(model)
    return wrapped


def open_lora(wrapped):
    """The model with an adapter that changes something: LoRA begins with a zero matrix."""
    torch.manual_seed(1)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.05)
    return wrapped


def bf16():
    return bases.compute_type("cpu") == torch.bfloat16


def gradients(model):
    """The LoRA gradients of one training pass; dropout drawn alike."""
    model.train()
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16()):
        model(**batch(), use_cache=False).loss.backward()
    return {n: one.grad.clone() for n, one in model.named_parameters() if one.requires_grad}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def evaluate(model, autocast=True):
    """Logits as training evaluates; ``autocast`` off: as generation computes them."""
    model.eval()
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=autocast and bf16())
    with torch.no_grad(), mixed:
        return model(input_ids=batch()["input_ids"], use_cache=False).logits


@pytest.mark.parametrize("autocast", [True, False], ids=["training", "generation"])
def test_both_plans_are_the_same_base_bit_by_bit(random_base, autocast):
    published, tuned = (
        bases.load(random_base, True, "cpu", dequantised=plan == "tuned")[0]
        for plan in ("published", "tuned")
    )
    assert torch.equal(evaluate(published, autocast), evaluate(tuned, autocast))


def test_both_plans_train_the_same_adapter_bit_by_bit(random_base):
    published, tuned = (adapted(random_base, plan) for plan in ("published", "tuned"))
    assert torch.equal(evaluate(published), evaluate(tuned))
    ours, theirs = gradients(tuned), gradients(published)
    assert len(ours) == 2 * 7 * BASE.layers
    assert all(one.any() for one in ours.values())
    assert same(ours, theirs)


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("published", "cuda", torch.float16),
        ("corrected", "cuda", torch.bfloat16),
        ("published", "cpu", bases.compute_type("cpu")),
        ("corrected", "cpu", bases.compute_type("cpu")),
    ],
)
def test_what_is_not_quantised_is_fp16_on_a_gpu_as_published(precision, device, expected):
    assert bases.unquantized_type(precision, device) == expected


def trained_in_fp16(folder, plan, device, monkeypatch):
    """LoRA's gradients on a base whose unquantised weights are fp16, and its last stream's type."""
    monkeypatch.setattr(bases, "unquantized_type", lambda *_: torch.float16)
    monkeypatch.setattr(bases, "compute_type", lambda _: torch.bfloat16)
    model, _ = bases.load(folder, True, device, dequantised=plan == "tuned")
    wrapped = open_lora(methods.prepare(model, TRAINING, "mt-qlora", 42))
    loss.install(model)
    assert {w.dtype for n, w in wrapped.named_parameters() if "norm" in n} == {torch.float16}
    assert bases.types(wrapped) == {"device": device, "embeddings": "float16", "trained": "float32"}
    stream = []
    model.model.norm.register_forward_pre_hook(lambda _, given: stream.append(given[0].dtype))
    wrapped.train()
    torch.manual_seed(7)
    on_device = {name: column.to(device) for name, column in batch().items()}
    with torch.autocast(device, torch.bfloat16):
        wrapped(**on_device, use_cache=False).loss.backward()
    return {n: w.grad for n, w in wrapped.named_parameters() if w.requires_grad}, stream


def test_fp16_embeddings_train_under_bf16_autocast(random_base, monkeypatch):
    """LoRA is fp32, products are bf16, the residual stream is fp32; the Trainer is told so."""
    grown, stream = trained_in_fp16(random_base, "tuned", "cpu", monkeypatch)
    assert stream == [torch.float32]
    assert all(one.isfinite().all() and one.any() for one in grown.values())
    half = bases.load(random_base, True, "cpu")[0]
    assert arguments(random_base, half).bf16


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="bitsandbytes' own layers take fp16 on a GPU alone"
)
def test_both_plans_train_alike_on_fp16_embeddings(random_base, monkeypatch):
    ours, theirs = (
        trained_in_fp16(random_base, plan, "cuda", monkeypatch) for plan in ("tuned", "published")
    )
    assert ours[1] == theirs[1] == [torch.float32]
    for name, one in ours[0].items():
        torch.testing.assert_close(one, theirs[0][name], rtol=0.05, atol=1e-3)


def test_outside_of_autocast_an_adapted_model_differs_by_a_rounding_at_most(random_base):
    """PEFT rounds LoRA's part to bf16 before it adds it to a 4-bit layer's, and after the sum
    with a plain one's: what both plans write may differ where two tokens are as likely."""
    published, tuned = (evaluate(adapted(random_base, p), False) for p in ("published", "tuned"))
    torch.testing.assert_close(tuned, published, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("plan", ["published", "tuned"])
def test_gradients_after_an_evaluation_are_those_of_a_model_never_evaluated(random_base, plan):
    evaluated, fresh = adapted(random_base, plan), adapted(random_base, plan)
    for autocast in (True, False):
        evaluate(evaluated, autocast)
    assert same(gradients(evaluated), gradients(fresh))


@pytest.fixture
def repacked(monkeypatch):
    """How often bitsandbytes repacked a layer, as it does on CPUs with avx512_bf16."""
    layers = []

    def repack(weight, state, *_):
        layers.append(weight)
        return weight, state

    monkeypatch.setattr(modules, "has_avx512bf16", lambda: True)
    monkeypatch.setattr(modules, "_convert_weight_packed_for_cpu", repack)
    return layers


def test_no_evaluation_repacks_what_is_trained_further(random_base, repacked):
    model = adapted(random_base, "published")
    assert linear4bit(model)
    evaluate(model, autocast=False)
    assert not repacked


def test_an_evaluation_repacks_what_is_not_mended(random_base, repacked, monkeypatch):
    monkeypatch.setattr(bases, "mend_cpu_quantisation", lambda _: None)
    model = adapted(random_base, "published")
    evaluate(model, autocast=False)
    assert len(repacked) == len(linear4bit(model))
