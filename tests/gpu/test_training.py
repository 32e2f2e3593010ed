"""On a GPU: each method trains, stops, goes on and answers; memory is what the model says."""

from __future__ import annotations

import gc

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from bench import costs
from bench.costs import Shape
from bench.errors import MachineError
from bench.generate import engines
from bench.generate.greedy import greedy
from bench.grid import batching, study
from bench.profile import measure
from bench.profile.items import Item
from bench.train import bases, fit, methods, microbatch
from tests.test_train_fit import protocol
from tests.tiny_model import random_base, rows

__all__ = ["random_base"]  # a fixture

PAPER = study.load("paper")
PACKED = {"train": rows(30), "valid": rows(6, first=40)}


def load(folder, method, training):
    return bases.load(
        folder,
        methods.quantizes(method),
        dequantised=training.dequantises,
        precision=training.precision,
    )


def run(folder, work, method, training, progress=None):
    model, tokens = load(folder, method, training)
    setting = microbatch.choose(model, training, method, work)
    result = fit.train(model, tokens, PACKED, training, method, 7, work, progress, setting=setting)
    return result, next((work / "model").glob("*.safetensors"))


class _Stop(Exception):
    pass


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
@pytest.mark.parametrize("plan", ["tuned", "published"])
@pytest.mark.parametrize("packing", ["isolated", "published"])
def test_a_training_that_was_stopped_goes_on(device, random_base, tmp_path, method, plan, packing):
    training = protocol(plan=plan, dequantised=False, packing=packing)

    def stop(done, total):
        if done == 3:
            raise _Stop

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for work in (whole, cut):
        work.mkdir()
    first, weights = run(random_base, whole, method, training)
    with pytest.raises(_Stop):
        run(random_base, cut, method, training, stop)
    second, again = run(random_base, cut, method, training)
    assert first.steps == second.steps == 4
    one, other = load_file(weights), load_file(again)
    for name, weight in one.items():
        assert torch.allclose(weight.float(), other[name].float(), rtol=0.05, atol=2e-3), name
    assert first.losses[-1].valid == pytest.approx(second.losses[-1].valid, rel=0.02)


def test_a_trained_model_answers(device, random_base, tmp_path):
    training = protocol(dequantised=False)
    _, weights = run(random_base, tmp_path, "mt-qlora", training)
    model, tokens = bases.load(random_base, quantize=True, dequantised=False)
    model = PeftModel.from_pretrained(model, weights.parent).eval()
    ids = [tokens(text)["input_ids"] for text in ("sum even numbers", "count a list of text value")]
    stops = engines.stop_ids(tokens)
    both = greedy(model, ids, [12, 12], stops, 0)
    alone = [greedy(model, [one], [12], stops, 0)[0] for one in ids]
    assert [len(one) > 0 for one in both] == [True, True]
    # A batch may flip a near-tie, so that only the first token is promised.
    assert [one[0] for one in both] == [one[0] for one in alone]


def test_out_of_memory_is_followed_by_a_smaller_micro_batch(device, random_base, tmp_path):
    training = protocol()
    auto = training.qlora.model_copy(update={"rows_per_micro_batch": "auto"})
    training = training.model_copy(update={"qlora": auto})
    model, _ = load(random_base, "mt-qlora", training)
    tried = []
    for _ in range(8):
        try:
            with microbatch.fitting(model, training, "mt-qlora", tmp_path) as one:
                torch.empty(1 << 50, device=device)
        except MachineError:
            break
        tried.append(one.failed["rows"])
    assert tried == sorted(tried, reverse=True)
    assert tried[0] == training.qlora.rows_per_step


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", ["qlora", "full"])
def test_the_memory_model_holds(device, tmp_path, method, checkpointing):
    shape = Shape(1536, 4, 12, 2, 8960, 151_936, tied=True)
    item = Item("train", "s", shape, method, micro_rows=8, rows_per_step=8)
    training = item.training(PAPER)
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()  # what earlier tests left
    model = measure.random_model(item, device)
    setting = batching.Setting(8, checkpointing)
    packed = {"train": measure.random_rows(shape, 24, 512, "published")}
    name = {"qlora": "mt-qlora", "full": "mt-fft"}[method]
    trainer, _ = fit.assemble(model, None, packed, training, name, 0, tmp_path, setting=setting)
    trainer.args.save_strategy, trainer.args.max_steps = "no", 3
    torch.cuda.reset_peak_memory_stats()
    trainer.train()
    measured = torch.cuda.max_memory_allocated() - before
    said = costs.training_memory(
        shape, item.fit(PAPER, 8, checkpointing=checkpointing, gpu=True)
    ).total
    assert said == pytest.approx(measured, rel=0.1)
