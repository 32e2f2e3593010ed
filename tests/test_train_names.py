"""Names of the libraries that a study may hold, which plans know without the libraries."""

from __future__ import annotations

from typing import get_args

import torch
from transformers import Qwen2Config, Qwen2Model, SchedulerType, get_scheduler
from transformers.training_args import OptimizerNames

from bench.grid import checks, study


def test_the_schedulers_are_those_of_transformers_that_need_nothing_else():
    ours = set(get_args(checks.Scheduler))
    theirs = {one.value for one in SchedulerType}
    assert ours <= theirs
    for name in theirs:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        try:
            made = get_scheduler(name, optimizer, num_warmup_steps=1, num_training_steps=4)
        except (TypeError, ValueError):
            assert name not in ours
        else:  # those that follow a metric are no schedules of steps
            assert (name in ours) == isinstance(made, torch.optim.lr_scheduler.LambdaLR)


def test_the_optimizers_are_those_of_transformers():
    known = {one.value for one in OptimizerNames}
    assert set(get_args(study.Optimization.model_fields["optimizer"].annotation)) <= known


def test_the_projections_are_those_of_qwen2():
    config = Qwen2Config(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=8,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen2Model(config)
    linear = [n for n, one in model.named_modules() if isinstance(one, torch.nn.Linear)]
    assert {name.rpartition(".")[2] for name in linear} == set(get_args(checks.Target))
    assert study.Lora().targets == get_args(checks.Target)
