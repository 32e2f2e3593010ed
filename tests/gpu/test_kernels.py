"""On a GPU: 4-bit weights against dequantised ones, attention, loss, optimizers."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench.costs import Shape
from bench.grid import study
from bench.profile import measure
from bench.profile.items import Item
from bench.train import attention, bases, batches, graphs, kernels, loss, methods
from tests.tiny_model import rows

PAPER = study.load("paper")
SMALL = Shape(256, 2, 4, 2, 768, 4096, tied=True)
NARROW = Shape(128, 2, 4, 2, 320, 2048, tied=False)


def wrapped(shape, device, *, dequantised, precision, dropout=0.0):
    """A PEFT model on an NF4 base with weights that are always the same, LoRA made non-zero.

    Without dropout: PEFT drops inputs of another type with a 4-bit base, so that the masks differ.
    """
    item = Item("train", "s", shape, "qlora", dequantised=dequantised, precision=precision)
    model = measure.random_model(item, device)
    training = item.training(PAPER)
    lora = training.lora.model_copy(update={"dropout": dropout})
    training = training.model_copy(update={"lora": lora})
    model = methods.prepare(model, training, "mt-qlora", 1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.manual_seed(len(name))
                weight.normal_(std=0.02)
    loss.install(model.get_base_model())
    return model


@pytest.mark.parametrize("precision", ["published", "corrected"])
@pytest.mark.parametrize("shape", [SMALL, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("tokens", [16, 1000])
def test_dequantised_weights_compute_what_4_bit_ones_do(device, shape, precision, tokens):
    torch.manual_seed(0)
    ids = torch.randint(0, shape.vocabulary, (1, tokens + 1), device=device)
    found = []
    for dequantised in (True, False):
        model = wrapped(shape, device, dequantised=dequantised, precision=precision).train()
        with torch.autocast("cuda", torch.bfloat16):
            told = model(input_ids=ids, labels=ids, use_cache=False).loss
        told.backward()
        grads = [one.grad for one in model.parameters() if one.grad is not None]
        assert len(grads) == 14 * shape.layers
        found.append((told.detach(), grads))
    (first, ours), (second, theirs) = found
    # Few tokens are a kernel of their own in bitsandbytes, which rounds differently.
    equal = [torch.equal(first, second), *map(torch.equal, ours, theirs)]
    print(f"{sum(equal)} of {len(equal)} bitwise equal")
    assert first.item() == pytest.approx(second.item(), rel=1e-3)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() <= 0.03 * one.norm()
    if tokens == 1000:
        assert all(equal)


def test_layers_as_a_graph_compute_what_they_do_without(device):
    ids = torch.randint(0, SMALL.vocabulary, (3, 4, 128), device=device)
    found = []
    for graphed in (True, False):
        model = wrapped(SMALL, device, dequantised=False, precision="published").train()
        graph = graphs.install(model.get_base_model()) if graphed else None
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
        losses = []
        for batch in (ids[0], ids[1], ids[2][:2], ids[2]):  # one of another shape
            with torch.autocast("cuda", torch.bfloat16):
                told = model(input_ids=batch, labels=batch, use_cache=False).loss
            told.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(told.item())
        with torch.no_grad():
            losses.append(
                model.eval()(input_ids=ids[0], labels=ids[0], use_cache=False).loss.item()
            )
        found.append((losses, [p.detach() for p in model.parameters() if p.requires_grad]))
        if graph is not None:
            assert (graph.replays, graph.eager) == (3, 2)
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert (one - other).norm() <= 1e-3 * one.norm()


def test_compiled_layers_compute_what_eager_ones_do(device):
    ids = torch.randint(0, SMALL.vocabulary, (4, 256), device=device)
    found = []
    for names in ((), ("compile",)):
        model = wrapped(SMALL, device, dequantised=False, precision="published").train()
        kernels.install(model.get_base_model(), names)
        with torch.autocast("cuda", torch.bfloat16):
            told = model(input_ids=ids, labels=ids, use_cache=False).loss
        told.backward()
        grads = [one.grad for one in model.parameters() if one.grad is not None]
        found.append((told.item(), grads))
    pairs = list(zip(found[0][1], found[1][1], strict=True))
    worst = max(((one - other).norm() / one.norm()).item() for one, other in pairs)
    print(f"compiled: loss {found[0][0]} and {found[1][0]}, gradients differ by {worst:.1e}")
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
    assert worst < 0.02


def test_a_graph_draws_new_masks_each_time(device):
    model = wrapped(SMALL, device, dequantised=False, precision="published", dropout=0.3).train()
    graph = graphs.install(model.get_base_model())
    ids = torch.randint(0, SMALL.vocabulary, (2, 128), device=device)
    told = []
    for _ in range(4):
        with torch.autocast("cuda", torch.bfloat16):
            told.append(model(input_ids=ids, labels=ids, use_cache=False).loss.item())
    assert graph.replays == 4
    assert len(set(told)) == 4


def causal(device, implementation="sdpa", width=64):
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=4 * width,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.08,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM._from_config(config, attn_implementation=implementation)
    return model.to(device, torch.bfloat16)


@pytest.mark.parametrize("width", [64, 128])
def test_attention_without_padding_is_the_block_masks(device, width):
    if not attention.available(device):
        pytest.skip("this torch has no variable-length attention for this GPU")
    items = list(batches.Rows(rows(7)))
    plain = causal(device, width=width).train()
    joined = copy.deepcopy(plain)
    attention.install(joined)
    told = []
    for model, collate in ((plain, batches.collate), (joined, batches.collate_joined)):
        loss.install(model)
        batch = {
            name: one.to(device) if isinstance(one, torch.Tensor) else one
            for name, one in collate(items).items()
        }
        out = model(**batch, num_items_in_batch=100).loss
        out.backward()
        told.append((out, {name: one.grad for name, one in model.named_parameters()}))
    assert told[0][0].item() == pytest.approx(told[1][0].item(), rel=2e-3)
    for name, grad in told[0][1].items():
        other = told[1][1][name]
        assert (grad - other).norm() <= 0.03 * grad.norm() + 1e-6, name


def test_a_document_sees_itself_alone(device):
    if not attention.available(device):
        pytest.skip("this torch has no variable-length attention for this GPU")
    model = causal(device)
    attention.install(model)
    items = list(batches.Rows(rows(7)))
    batch = batches.collate_joined(items)
    bounds = batch["cu_seq_lens_q"].tolist()
    moved = {
        n: one.to(device) if isinstance(one, torch.Tensor) else one for n, one in batch.items()
    }
    moved.pop("labels")
    with torch.no_grad():
        before = model(**moved).logits
        changed = moved["input_ids"].clone()
        changed[0, : bounds[3]] = 7  # three documents become something else
        after = model(**{**moved, "input_ids": changed}).logits
    assert torch.equal(before[0, bounds[3] :], after[0, bounds[3] :])
    assert not torch.equal(before[0, : bounds[3]], after[0, : bounds[3]])


@pytest.mark.parametrize("full", [True, False])
def test_the_chunked_loss_is_the_stock_loss(device, full):
    stock = causal(device).train()
    ours = copy.deepcopy(stock)
    loss.install(ours, chunk_rows=64)
    batch = batches.collate(list(batches.Rows(rows(9))))
    moved = {
        n: one.to(device) if isinstance(one, torch.Tensor) else one for n, one in batch.items()
    }
    told = []
    for model in (stock, ours):
        model.lm_head.requires_grad_(requires_grad=full)
        with torch.autocast("cuda", torch.bfloat16):
            out = model(**moved, num_items_in_batch=torch.tensor(100, device=device)).loss
        out.backward()
        told.append((out.item(), model.model.layers[0].mlp.up_proj.weight.grad))
    assert told[0][0] == pytest.approx(told[1][0], rel=2e-3)
    assert (told[0][1] - told[1][1]).norm() <= 0.03 * told[0][1].norm()


def test_a_gpu_computes_in_bf16_and_keeps_the_published_fp16(device):
    assert bases.default_device() == device
    assert bases.compute_type(device) == torch.bfloat16
    assert bases.unquantized_type("published", device) == torch.float16
