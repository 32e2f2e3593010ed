"""Rates of steady steps: of several trainings together, on a GPU and without one."""

from __future__ import annotations

import copy

import pytest

from bench.report import rates
from tests.fabricated_run import reported


@pytest.fixture
def stages():
    """The three trainings of a cell."""
    content = copy.deepcopy(reported("mt-fft-6m")[0])
    single = next(cell for cell in content["cells"] if cell["id"] == "st-qlora-2m")
    return [model["stages"][0] for model in single["models"]]


def on_gpu(stage, mfu=0.4, joules=200.0, idle=0.0):
    stage["peak_device_bytes"] = 2**30
    stage["cost"] |= {"mfu": mfu, "mfu_reason": None}
    stage["cost"]["steady"] |= {
        "energy_j_per_step": joules,
        "energy_reason": None,
        "device_idle_share": idle,
    }


def test_trainings_are_weighted_by_their_tokens(stages):
    slow = stages[2]["cost"]["steady"]
    slow["cpu_s_per_step"] *= 3
    tokens = [stage["tokens"]["processed"] for stage in stages]
    steps = [count / 512 for count in tokens]
    seconds = [0.52 * steps[0], 0.52 * steps[1], 1.56 * steps[2]]
    found = rates.of(stages)
    assert not found.gpu
    assert found.per_s["real"] == pytest.approx(500 * sum(steps) / sum(seconds))
    assert found.step_s == pytest.approx(sum(seconds) / sum(steps))
    assert found.seconds == pytest.approx(1e6 / found.per_s["real"])
    assert found.setting == "2 rows at once, dequantised base"
    assert (found.mfu, found.joules) == (None, None)
    assert found.lacks == {"mfu": "no GPU", "energy": "no GPU"}


def test_on_a_gpu_seconds_are_the_device_s(stages):
    for stage in stages:
        on_gpu(stage)
    found = rates.of(stages)
    assert found.gpu
    assert found.per_s["real"] == pytest.approx(500 / 0.26)
    assert found.mfu == pytest.approx(0.4)
    assert found.joules == pytest.approx(200 / 500 * 1e6)
    assert not found.launch_bound and not found.lacks


@pytest.mark.parametrize(("idle", "bound"), [(0.5, False), (0.51, True)])
def test_one_training_that_waits_for_launches_marks_all(stages, idle, bound):
    for stage in stages:
        on_gpu(stage)
    on_gpu(stages[1], idle=idle)
    assert rates.of(stages).launch_bound is bound


def test_joules_of_a_part_are_not_those_of_all(stages):
    for stage in stages[:2]:
        on_gpu(stage)
    stages[2]["peak_device_bytes"] = 2**30
    stages[2]["cost"]["steady"]["energy_reason"] = "the device has no energy counter"
    found = rates.of(stages)
    assert (found.joules, found.mfu) == (None, None)
    assert found.lacks["energy"] == "the device has no energy counter"


def test_what_has_no_steady_steps_says_why(stages):
    stages[1]["cost"] |= {"steady": None, "steady_reason": "too few steps for a rate: 2"}
    assert rates.of(stages) == "too few steps for a rate: 2"
    stages[1]["cost"] = None
    assert rates.of(stages) == "steady steps are not recorded"
    stages[0] |= {"outcome": "oom", "reason": "killed"}
    assert rates.of(stages) == "train: oom: killed"
