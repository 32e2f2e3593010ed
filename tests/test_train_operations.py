"""Operations that an optimizer step starts: what a GPU's host has to do, whatever it computes.

Counted at a quarter of the 1.5B depth: the count does not depend on widths, and hardly, as a
ratio, on depth (at 28 layers: 101,684 to 6,376 for QLoRA, 68,340 to 2,896 for full fine-tuning).
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bench.costs import Shape
from bench.grid import study
from bench.grid.batching import Setting
from bench.profile import measure
from bench.profile.items import Item
from bench.train import fit
from tests.test_costs_models import Counted

DEPTH = 7
SHAPE = Shape(32, DEPTH, 4, 2, 64, 256, tied=True)
PAPER = study.load("paper")
SHORT = PAPER.model_copy(update={"training": PAPER.training.model_copy(update={"row_tokens": 16})})
METHODS = {"qlora": "mt-qlora", "full": "mt-fft"}


def operations(item, rows, tmp_path):
    """Those of one optimizer step of 32 rows: two steps less one."""
    found = []
    for steps in (1, 2):
        training = item.training(SHORT)
        model = measure.random_model(item, torch.device("cpu"))
        packed = {"train": measure.random_rows(item.shape, 64, 16, "published")}
        work = tmp_path / f"{item.label}-{steps}"
        setting = Setting(rows, item.method == "full" and item.plan == "published")
        trainer, _ = fit.assemble(
            model, None, packed, training, METHODS[item.method], 0, work, setting=setting
        )
        trainer.args.save_strategy, trainer.args.max_steps = "no", steps
        with Counted() as counted:
            trainer.train()
        found.append(counted.names.total())
    return found[1] - found[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["qlora", "full"])
def test_a_step_starts_twelve_times_fewer_operations_than_as_published(tmp_path, method):
    item = Item("train", "1.5b", SHAPE, method)
    tuned = operations(item, 32, tmp_path)
    published = operations(dataclasses.replace(item, plan="published"), 2, tmp_path)
    print(f"{method}: {published:,} operations as published, {tuned:,} tuned")
    assert published >= 12 * tuned
