"""Micro-batches: what is open, what fits, what is fastest, what comes after out of memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import costs
from bench.data import architectures
from bench.grid import analytic, batching, devices, study
from bench.grid.batching import Setting

PAPER = study.load("paper")
SHAPES = {base.name: architectures.shape(base, None) for base in PAPER.sizes}


def fit(method):
    return analytic.fit(PAPER, method, PAPER.tasks)


def test_a_step_is_divided_evenly():
    found = batching.settings(PAPER.training.full, 512, gpu=True)
    assert {one.rows for one in found} == {1, 2, 4, 8, 16, 32}
    assert all(one.rows * one.accumulation(32) == 32 for one in found)
    assert {one.checkpointing for one in found} == {False, True}


def test_what_a_study_says_is_not_open():
    fixed = PAPER.training.qlora.model_copy(update={"rows_per_micro_batch": 4})
    assert batching.settings(fixed, 512, gpu=True) == [Setting(4, False)]


def test_a_cpu_computes_few_rows_at_once():
    found = batching.settings(PAPER.training.qlora, 512, gpu=False)
    assert max(one.rows for one in found) * 512 <= batching.CPU_TOKENS


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
@pytest.mark.parametrize("size", SHAPES)
@given(memory=st.integers(8, 300))
def test_what_is_chosen_fits_and_nothing_that_fits_is_faster(method, size, memory):
    from bench.grid import durations

    shape, one = SHAPES[size], fit(method)
    chosen = PAPER.training.full if method == "mt-fft" else PAPER.training.qlora
    found = batching.settings(chosen, 512, gpu=True)
    room = costs.usable_bytes(memory * 1e9)
    best = batching.choose(shape, one, found, room, None)

    def needs(setting):
        return costs.training_memory(shape, batching.of(one, setting)).total

    def seconds(setting):
        device = devices.limits("NVIDIA H100 80GB HBM3")
        return durations.training_time(shape, batching.of(one, setting), 1.0, device).seconds

    fitting = [setting for setting in found if needs(setting) <= room]
    if not fitting:
        assert needs(best) == min(map(needs, found))
    else:
        assert best in fitting
        assert seconds(best) <= 1.002 * min(map(seconds, fitting))


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
def test_out_of_memory_leads_to_less_until_nothing_is_left(method):
    shape, one = SHAPES["1.5b"], fit(method)
    chosen = PAPER.training.full if method == "mt-fft" else PAPER.training.qlora
    found = batching.settings(chosen, 512, gpu=True)
    before, seen = Setting(32, False), []
    while (less := batching.smaller(shape, one, found, before)) is not None:
        seen.append(less)
        before = less
    needs = [costs.training_memory(shape, batching.of(one, setting)).total for setting in seen]
    assert needs == sorted(needs, reverse=True)
    assert before.rows == 1
