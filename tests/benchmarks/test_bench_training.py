"""What an optimizer step costs: the loss beside the stock one, and the whole step.

Shapes are the smoke study's (8 rows of 512 tokens, a vocabulary of 2,048); the stock loss
is here to be compared with, at the same positions.
"""

from __future__ import annotations

import pytest
import torch

from bench.grid import study
from bench.train import bases, loss, methods

ROWS, ROW_TOKENS = 8, 512


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as the executor gives every stage one
    yield
    torch.set_num_threads(before)


def stock(hidden, head, targets):
    logits = (hidden @ head.T).float()
    return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")


@pytest.mark.parametrize("head", ["frozen", "trained"])
@pytest.mark.parametrize("kind", [loss.chunked_cross_entropy, stock], ids=["chunked", "stock"])
def test_loss(benchmark, kind, head):
    torch.manual_seed(0)
    hidden = torch.randn(ROWS * ROW_TOKENS, 160, requires_grad=True)
    weight = torch.randn(2048, 160, requires_grad=head == "trained")
    targets = torch.randint(2048, (ROWS * ROW_TOKENS,))

    def both_ways():
        hidden.grad = weight.grad = None
        total = kind(hidden, weight, targets)
        total.backward()
        return total

    total = benchmark.pedantic(both_ways, rounds=5, warmup_rounds=1)
    assert total.item() == pytest.approx(stock(hidden, weight, targets).item(), rel=1e-4)
    assert (weight.grad is not None) == (head == "trained")


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
@pytest.mark.parametrize("plan", ["tuned", "published"])
def test_step(benchmark, untrained, method, plan):
    if method == "mt-fft" and plan == "published":
        pytest.skip("the plan says how 4-bit weights are used; here there are none")
    training = study.load("smoke").training
    model, _ = bases.load(untrained, methods.quantizes(method), "cpu", dequantised=plan == "tuned")
    model = methods.prepare(model, training, method, 0)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    loss.install(inner)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    torch.manual_seed(0)
    ids = torch.randint(3, 2048, (ROWS, ROW_TOKENS))
    positions = torch.arange(ROW_TOKENS // 4).repeat(4).expand(ROWS, -1)
    losses = []

    def step():
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=bases.compute_type("cpu") == torch.bfloat16
        ):
            output = model(input_ids=ids, position_ids=positions, labels=ids)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(output.loss.item())

    benchmark.pedantic(step, rounds=3, warmup_rounds=1)
    tokens = ROWS * ROW_TOKENS
    benchmark.extra_info["tokens_per_s"] = round(tokens / benchmark.stats.stats.median)
    assert losses[-1] < losses[0]
