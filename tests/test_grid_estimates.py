"""Every figure names where it is from; what nobody knows is None with a reason."""

from __future__ import annotations

import dataclasses

import pytest

from bench.grid import analytic, devices, durations, study, totals
from bench.grid.estimates import NOTHING, estimate
from bench.grid.recorded import Run
from bench.grid.store import State
from tests.planned import GB, known, machine, measured, stages_of

SMOKE, PAPER = study.load("smoke"), study.load("paper")
TRAIN = "cells/mt-qlora-2m/multi-task/train"


def smoke_run(*stages, **changes):
    return Run("smoke", SMOKE.model_copy(update=changes), stages)


def found(loaded, here, folder, *runs):
    return {one.id: one for one in estimate(known(loaded, here, *runs), stages_of(loaded, folder))}


def training(**changes):
    one = measured("cells/mt-qlora-2m/multi-task", "train", "2m", "mt-qlora")
    return dataclasses.replace(one, **changes)


def test_the_same_on_the_same_processor_is_recorded(tmp_path):
    one = found(SMOKE, machine(), tmp_path, smoke_run(training()))[TRAIN]
    assert (one.hours.value, one.hours.basis) == (1.0, "recorded")  # CPU hours, not wall
    assert (one.memory.value, one.memory.basis) == (3 * GB, "recorded")
    assert (one.disk.value, one.disk.basis) == (5_000_000, "recorded")
    assert not one.gpu


@pytest.mark.parametrize(
    ("run", "basis"),
    [
        (smoke_run(training(device="Other CPU")), "scaled from smoke on Other CPU"),
        (smoke_run(training(), seed=1), "scaled from smoke"),
    ],
)
def test_what_differs_is_never_told_as_recorded(tmp_path, run, basis):
    one = found(SMOKE, machine(), tmp_path, run)[TRAIN]
    assert one.hours.basis == basis
    assert one.hours.value == pytest.approx(1.0)


def test_a_measuring_arm_is_a_training_of_a_few_steps_that_leaves_nothing(tmp_path):
    loaded = study.load("paper", ["published-cost"])
    all_of = found(loaded, machine("NVIDIA H200"), tmp_path)
    measuring = {name: one for name, one in all_of.items() if one.stage == "measure"}
    assert len(measuring) == 3 * 2  # both methods with one multi-task model, at each size
    one = measuring["cells/mt-qlora-1.5b/multi-task/measure"]
    assert one.gpu
    assert (one.disk, one.scratch_bytes) == (NOTHING, 0)
    # 30 steps of 32 rows of 512 tokens, at the 2,360 tokens a second that an H200 took
    assert 3600 * one.hours.value == pytest.approx(30 * 32 * 512 / 2360, rel=0.05)
    tuned = all_of["cells/mt-qlora-1.5b/multi-task/train"]
    assert one.memory.value < tuned.memory.value  # its base stays in 4 bits


def test_twice_the_epochs_take_twice_as_long(tmp_path):
    longer = SMOKE.training.qlora.model_copy(update={"epochs": 2 * SMOKE.training.qlora.epochs})
    wider = SMOKE.model_copy(
        update={"training": SMOKE.training.model_copy(update={"qlora": longer})}
    )
    one = found(wider, machine(), tmp_path, smoke_run(training()))[TRAIN]
    assert (one.hours.value, one.hours.basis) == (2.0, "scaled from smoke")


def test_more_rows_at_once_take_more_memory(tmp_path):
    chosen = {"rows_per_step": 4, "rows_per_micro_batch": 4}
    qlora = SMOKE.training.qlora.model_copy(update=chosen)
    wider = SMOKE.model_copy(
        update={"training": SMOKE.training.model_copy(update={"qlora": qlora})}
    )
    one = found(wider, machine(), tmp_path, smoke_run(training()))[TRAIN]
    assert one.memory.value > 3 * GB
    assert one.memory.basis == "scaled from smoke"


@pytest.mark.parametrize(
    "other",
    [
        training(size="6m"),
        training(method="mt-fft"),
        training(gpu=True, device="NVIDIA H200", peak_device_bytes=1),
    ],
)
def test_another_size_method_or_device_tells_nothing_of_a_processor(tmp_path, other):
    one = found(SMOKE, machine(), tmp_path, smoke_run(other))[TRAIN]
    assert one.hours.value is None
    assert "no run has recorded" in one.hours.basis


def test_answers_and_scores_go_by_the_prompts(tmp_path):
    owner = "cells/mt-qlora-2m/multi-task"
    run = smoke_run(
        measured(owner, "generate", "2m", "mt-qlora"), measured(owner, "score", "2m", "mt-qlora")
    )
    half = SMOKE.model_copy(
        update={"suites": (SMOKE.suites[0].model_copy(update={"max_problems_per_track": 33}),)}
    )
    told = found(half, machine(), tmp_path, run)
    assert told[f"{owner}/generate"].hours.value == pytest.approx(0.5)
    assert told[f"{owner}/score"].hours.value == pytest.approx(0.5)
    # What scores cost hardly depends on who wrote the answers.
    assert told["bases/6m/score"].hours.basis == "scaled from smoke"


def test_a_gpu_that_is_listed_is_calculated(tmp_path):
    told = found(PAPER, machine("NVIDIA H200"), tmp_path)
    one = told["cells/mt-qlora-7b/multi-task/train"]
    assert one.gpu
    assert one.hours.basis == "analytic, at 26 % of peak"
    tokens = 325_669 * 512 * 5
    shape = known(PAPER, machine()).shape_of(PAPER.base("7b"))
    here = devices.named("NVIDIA H200")
    on = {"shape": shape, "memory_bytes": here.memory_bytes, "device": here.limits}
    fit = analytic.fit(PAPER, "mt-qlora", PAPER.tasks, **on)
    assert fit.micro_rows > 2  # the study leaves it open
    took = durations.training_time(shape, fit, tokens, here.limits)
    assert one.hours.value == pytest.approx(took.seconds / 3600)
    assert one.memory.basis == "analytic"
    # Nothing is computed where a hub model is only verified: no hours, and no reason.
    assert told["bases/7b/base"].hours == told["bases/7b/base"].memory
    assert told["bases/7b/base"].hours.basis == ""


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [("NVIDIA GeForce GTX 970", "not in datasets/gpus.toml"), (None, "none is here")],
)
def test_hours_on_an_unknown_gpu_are_none_with_a_reason(tmp_path, gpu, reason):
    one = found(PAPER, machine(gpu), tmp_path)["cells/mt-fft-3b/multi-task/train"]
    assert one.hours.value is None
    assert reason in one.hours.basis
    assert one.memory.value > 24 * GB  # memory does not depend on it


def test_a_recorded_gpu_run_tells_other_sizes_and_gpus(tmp_path):
    run = Run(
        "paper",
        PAPER,
        (
            measured(
                "cells/mt-qlora-3b/multi-task",
                "train",
                "3b",
                "mt-qlora",
                gpu=True,
                device="NVIDIA H200",
                peak_device_bytes=20 * GB,
                wall_s=36_000.0,
                tokens=325_669 * 512 * 5,
            ),
        ),
    )
    told = found(PAPER, machine("NVIDIA H200"), tmp_path, run)
    same = told["cells/mt-qlora-3b/multi-task/train"]
    assert (same.hours.value, same.hours.basis) == (10.0, "recorded")  # wall hours on a GPU
    assert (same.memory.value, same.memory.basis) == (20 * GB, "recorded")
    larger = told["cells/mt-qlora-7b/multi-task/train"]
    assert larger.hours.basis == "scaled from paper 3b"
    assert larger.memory.basis == "analytic"  # a peak is not scaled between shapes
    fewer = told["cells/st-qlora-3b/translation/train"]
    assert fewer.hours.basis == "scaled from paper"
    assert fewer.hours.value == pytest.approx(10.0 * 6_213 / 325_669, rel=1e-3)
    assert told["cells/mt-fft-3b/multi-task/train"].hours.basis.startswith("analytic")
    slower = found(PAPER, machine("NVIDIA L4"), tmp_path, run)["cells/mt-qlora-3b/multi-task/train"]
    assert slower.hours.basis == "scaled from paper on NVIDIA H200"
    assert slower.hours.value > 10.0


def test_what_is_stored_costs_nothing_more(tmp_path):
    stages = stages_of(SMOKE, tmp_path)
    done = [dataclasses.replace(one, state=State.DONE) for one in stages if one.stage == "train"]
    assert estimate(known(SMOKE, machine()), done) == []


def test_cells_sum_hours_and_take_the_highest_memory(tmp_path):
    run = smoke_run(training(), training(method="st-qlora", tasks=("translation",)))
    told = found(SMOKE, machine(), tmp_path, run)
    cells = {one.id: one for one in totals.cells(study.expand(SMOKE), list(told.values()), {})}
    assert set(cells) == {
        *(f"base {size}" for size in ("0.5m", "2m", "6m")),
        *(cell.id for cell in study.expand(SMOKE)),
    }
    cell = cells["mt-qlora-2m"]
    assert cell.cpu_hours == 1.0
    assert not cell.cpu_whole  # of its answers and scores nothing was recorded
    assert cell.gpu_hours is None
    assert cell.process_bytes == 3 * GB
    assert any("generate 2m" in reason for reason in cell.reasons)
    assert cell.device_bytes is None
    assert cells["base 2m"].base


def test_a_download_belongs_to_its_base(tmp_path):
    amounts = known(PAPER, machine()).amounts_of(PAPER)
    missing = [{"what": "Qwen/Qwen2.5-Coder-3B-Instruct (model of the hub)", "bytes": 7, "how": ""}]
    told = totals.downloads(PAPER, dataclasses.replace(amounts, missing=missing))
    assert told == {"1.5b": 0, "3b": 7, "7b": 0}
