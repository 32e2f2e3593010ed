"""Muon in fp32 is torch's own, up to the rounding of bf16."""

from __future__ import annotations

import pytest
import torch

from bench.train import muon


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (16, 16)])
def test_steps_are_those_of_torch(shape):
    torch.manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(shape))
    theirs = torch.nn.Parameter(ours.detach().clone())
    start = ours.detach().clone()
    optimizers = [
        muon.Muon([ours], lr=0.03),
        torch.optim.Muon([theirs], lr=0.03, weight_decay=0.0, adjust_lr_fn="original"),
    ]
    for _ in range(4):
        gradient = torch.randn(shape)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert moved > 0.1
    assert (ours - theirs).norm() < 0.02 * moved


def test_an_update_is_nearly_orthogonal():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(muon.orthogonal(torch.randn(40, 12)))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_what_has_no_gradient_stays():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    muon.Muon([weight], lr=1.0).step()
    assert torch.equal(weight, torch.ones(2, 2))
