"""What a training's record says of its cost: the setting, the weights in memory, MFU."""

from __future__ import annotations

import pytest

from bench import costs
from bench.costs import Fit, Lora, Shape
from bench.grid import study
from bench.train import bases, efficiency
from tests.tiny_model import random_base

__all__ = ["random_base"]  # a fixture

H100 = "NVIDIA H100 80GB HBM3"
SHAPE = Shape(1536, 28, 12, 2, 8960, 151_936, tied=True)
PAPER = study.load("paper").training


def steady(tokens_per_s):
    return {"tokens_per_s": {"processed": tokens_per_s}}


@pytest.mark.parametrize(
    ("method", "flops_per_token"),
    [
        # 4 operations a frozen weight and token, 6 a trained one, and attention.
        ("mt-fft", 6 * 1.5437e9),
        ("mt-qlora", 4 * 1.5437e9 + 6 * 9_232_384),
    ],
)
def test_mfu_is_that_of_forward_and_backward(method, flops_per_token):
    share, reason = efficiency.mfu(SHAPE, PAPER, method, steady(40_000), H100)
    assert reason is None
    assert share == pytest.approx(40_000 * flops_per_token / 989e12, rel=0.05)


def test_what_checkpointing_computes_again_is_no_gain():
    full = PAPER.full.model_copy(update={"gradient_checkpointing": False})
    other = PAPER.model_copy(update={"full": full})
    assert PAPER.full.gradient_checkpointing
    a, b = (efficiency.mfu(SHAPE, one, "mt-fft", steady(1e4), H100) for one in (PAPER, other))
    assert a == b


@pytest.mark.parametrize(
    ("shape", "speed", "device", "reason"),
    [
        (SHAPE, steady(1.0), None, "no GPU"),
        (SHAPE, None, H100, "no steady steps"),
        ("the shape is not known", steady(1.0), H100, "the shape is not known"),
        (SHAPE, steady(1.0), "NVIDIA X", "the peak of NVIDIA X is not in datasets/gpus.toml"),
    ],
)
def test_no_mfu_has_a_reason(shape, speed, device, reason):
    assert efficiency.mfu(shape, PAPER, "mt-fft", speed, device) == (None, reason)


def test_the_base_is_named_as_it_lies_in_memory():
    published = PAPER.model_copy(update={"plan": "published"})
    assert efficiency.setting(published, "mt-qlora", 2) == {
        "plan": "published",
        "micro_rows": 2,
        "base": "4-bit",
    }
    assert efficiency.setting(PAPER, "mt-fft", 8)["base"] == "full"


@pytest.mark.parametrize("plan", ["published", "tuned"])
def test_weights_count_as_they_lie_in_memory(random_base, plan):
    model, _ = bases.load(random_base, True, "cpu", dequantised=plan == "tuned")
    config = model.config
    shape = Shape(
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.intermediate_size,
        config.vocab_size,
        tied=True,
    )
    found = efficiency.weight_bytes(model)
    compute = 2 if bases.compute_type(model.device).itemsize == 2 else 4
    rest = shape.parameters - shape.linear
    if plan == "tuned":
        assert found == compute * shape.linear + rest * _itemsize(model)
    else:
        assert found - rest * _itemsize(model) < 0.62 * shape.linear
        assert found - rest * _itemsize(model) >= shape.linear * 0.5


def _itemsize(model):
    return model.get_input_embeddings().weight.element_size()


def test_the_flops_are_those_of_the_cost_model():
    lora = Lora(PAPER.lora.rank, PAPER.lora.targets)
    flops = costs.training_flops(SHAPE, Fit(2, 512, "adamw_bnb_8bit", lora))
    share, _ = efficiency.mfu(SHAPE, PAPER, "mt-qlora", steady(1000.0), H100)
    assert share == pytest.approx(1000 * flops / 989e12)
