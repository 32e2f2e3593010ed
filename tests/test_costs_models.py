"""The analytic model against models that torch builds: weights, activations, operations."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench import costs
from bench.costs import Lora, Shape
from bench.grid import analytic, durations, study
from bench.train import loss, methods

PAPER = study.load("paper")
TINY = Shape(64, 2, 4, 2, 160, 512, tied=True)
TOKENS = 128
#: Operations that start nothing on a device.
VIEWS = ("view", "t.", "transpose", "expand", "detach", "alias", "slice", "unsqueeze")
VIEWS += ("squeeze", "permute", "split", "_reshape", "as_strided", "select.", "empty", "_unsafe")


def built(shape, method=None, **where):
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
    )
    config._attn_implementation = "sdpa"
    with torch.device(where.get("device", "cpu")):
        model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    if method is None:
        return model
    model = methods.prepare(model, PAPER.training, method, 1).train()
    loss.install(model.get_base_model() if method == "mt-qlora" else model)
    return model


def forward(model):
    ids = torch.randint(0, TINY.vocabulary, (1, TOKENS))
    with torch.autocast("cpu", torch.bfloat16):
        return model(input_ids=ids, labels=ids, position_ids=torch.arange(TOKENS)[None]).loss


@pytest.mark.parametrize(
    "shape",
    [TINY, dataclasses.replace(TINY, tied=False), Shape(1536, 28, 12, 2, 8960, 151_936, tied=True)],
)
def test_parameters_are_those_that_transformers_makes(shape):
    model = built(shape, device="meta")
    assert sum(weight.numel() for weight in model.parameters()) == shape.parameters


def test_lora_is_as_large_as_pefts():
    model = built(TINY, "mt-qlora")
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert analytic.lora(PAPER, "mt-qlora").parameters(TINY) == trained


def saved(model):
    """Bytes that autograd keeps for the backward pass, the model's own weights left out."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(model)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("method", ["mt-fft", "mt-qlora"])
def test_a_layer_keeps_the_activations_that_are_counted(method):
    deeper = dataclasses.replace(TINY, layers=3)
    measured = saved(built(deeper, method)) - saved(built(TINY, method))
    fit = analytic.fit(PAPER, method, PAPER.tasks, gpu=False)
    copies = 0
    if fit.lora is not None:  # autocast's bf16 copies of the weights, counted with the weights
        copies = 2 * fit.lora.parameters(dataclasses.replace(TINY, layers=1))
    assert costs.saved_bytes(TINY, fit) * TOKENS + copies == measured


class Counted(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).removeprefix("aten.")
        self.names[name] += not name.startswith(VIEWS)
        return function(*args, **(kwargs or {}))


def operations(model):
    with Counted() as counted:
        told = forward(model)
        first = counted.names.total()
        told.backward()
    return first, counted.names.total() - first


@pytest.mark.parametrize("method", ["mt-fft", "mt-qlora"])
def test_a_layer_starts_about_the_operations_that_are_counted(method):
    deeper = dataclasses.replace(TINY, layers=3)
    measured = [
        more - less
        for more, less in zip(
            operations(built(deeper, method)), operations(built(TINY, method)), strict=True
        )
    ]
    # Versions of transformers and PEFT differ by a few.
    assert measured == pytest.approx(durations.OPERATIONS[method == "mt-qlora"], rel=0.15)


def test_the_loss_holds_as_many_logits_as_are_counted():
    assert costs.CHUNK_ROWS == loss.CHUNK_ROWS


def test_8_bit_states_are_those_of_bitsandbytes():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    shape = dataclasses.replace(TINY, hidden=512, layers=1)
    lora = Lora(8, ("q_proj", "k_proj"))
    weights = [torch.nn.Parameter(torch.ones(count)) for count in lora.matrices(shape)]
    optimizer = bitsandbytes.optim.AdamW8bit(weights)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    held = sum(
        value.nbytes
        for state in optimizer.state.values()
        for name, value in state.items()
        if name in ("state1", "state2", "absmax1", "absmax2")
    )
    assert costs.lora_state_bytes(shape, lora, "adamw_bnb_8bit") == held


def test_nf4_with_double_quantisation_is_as_large_as_bitsandbytes_makes_it():
    functional = pytest.importorskip("bitsandbytes").functional
    weights = torch.randn(512, 512)
    packed, state = functional.quantize_4bit(
        weights, blocksize=64, compress_statistics=True, quant_type="nf4"
    )
    held = packed.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes
    assert costs.NF4_BYTES * weights.numel() == held
