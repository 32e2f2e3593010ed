"""What surely does not fit is refused with a way out that helps; what hardly fits is a warning."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import MachineError
from bench.grid import fit, study
from bench.grid.estimates import Figure, estimate
from bench.grid.recorded import Run
from tests.planned import GB, known, machine, measured, stages_of

PAPER, SMOKE = study.load("paper"), study.load("smoke")


def problems(loaded, here, folder, *runs, jobs=1, downloads=None, pattern=""):
    facts = known(loaded, here, *runs)
    planned = [one for one in stages_of(loaded, folder) if pattern in one.id]
    found = estimate(facts, planned)
    return fit.problems(loaded, here, planned, found, downloads or {}, jobs, facts.shape_of)


def test_what_fits_is_no_problem(tmp_path):
    assert problems(PAPER, machine("NVIDIA H200"), tmp_path) == []
    assert problems(SMOKE, machine(), tmp_path, jobs=2) == []
    fit.require([])


def test_a_model_that_is_too_large_is_refused_by_its_cell(tmp_path):
    found = problems(PAPER, machine("NVIDIA A100-SXM4-40GB"), tmp_path)
    assert [one.sure for one in found] == [True]
    assert "mt-fft-7b: train does not fit NVIDIA A100-SXM4-40GB" in found[0].what
    assert "--cells" in found[0].hint
    with pytest.raises(MachineError, match="mt-fft-7b") as refused:
        fit.require(found)
    assert "--anyway" in refused.value.hint


def as_in_the_study(**changes):
    """The paper's trainings with the study's own micro-batches and optimizers."""
    tables = {}
    for name, optimizer in (("qlora", "adamw_bnb_8bit"), ("full", "adamw_torch")):
        own = {"rows_per_micro_batch": 2, "optimizer": optimizer}
        own["gradient_checkpointing"] = name == "full"
        tables[name] = getattr(PAPER.training, name).model_copy(update=own)
    training = PAPER.training.model_copy(update={**tables, **changes})
    return PAPER.model_copy(update={"training": training})


def test_the_largest_training_fits_80_gigabytes(tmp_path):
    assert problems(PAPER, machine("NVIDIA H100 80GB HBM3"), tmp_path) == []


def test_what_hardly_fits_is_a_warning(tmp_path):
    found = problems(as_in_the_study(), machine("NVIDIA H100 80GB HBM3"), tmp_path)
    assert [one.sure for one in found] == [False]
    assert "mt-fft-7b: train may not fit" in found[0].what
    fit.require(found)


def test_the_way_out_that_is_named_makes_it_fit(tmp_path):
    here = machine("NVIDIA L4")
    found = problems(as_in_the_study(dequantised=True), here, tmp_path, pattern="mt-qlora-7b")
    assert "training.dequantised = false" in found[0].hint
    assert problems(as_in_the_study(), here, tmp_path, pattern="mt-qlora-7b") == []
    assert problems(PAPER, here, tmp_path, pattern="mt-qlora-7b") == []


def test_each_setting_takes_less_than_none(tmp_path):
    facts = known(PAPER, machine("NVIDIA H200"))
    for stage in stages_of(PAPER, tmp_path):
        if stage.stage in ("train", "generate"):
            shape = facts.shape_of(PAPER.base(stage.size))
            now = estimate(facts, [stage])[0].memory.value
            ways = fit.less(PAPER, stage, shape, facts.machine.gpu.memory_bytes)
            assert ways
            # A smaller micro-batch is no help where the optimiser's step is what takes most.
            assert all(size <= now for _, size in ways)
            if stage.method != "mt-fft":
                assert any(size < now for _, size in ways)


def test_a_hub_model_needs_a_gpu(tmp_path):
    found = problems(PAPER, machine(), tmp_path)
    assert "base 1.5b: generate needs a CUDA GPU" in found[0].what
    stored = [
        dataclasses.replace(one, state="done")
        for one in stages_of(PAPER, tmp_path)
        if one.stage != "score"
    ]
    assert fit.without_gpu(PAPER, stored) == []


@pytest.mark.parametrize(("free", "sure"), [(100 * GB, True), (160 * GB, False)])
def test_a_disk_without_room_for_checkpoints_is_named(tmp_path, free, sure):
    # Three checkpoints of 6 bytes a parameter, and the weights: 152 GB.
    found = problems(PAPER, machine("NVIDIA H200", free=free), tmp_path, pattern="mt-fft-7b")
    assert [one.sure for one in found] == [sure]
    assert "mt-fft-7b" in found[0].what
    assert "--results" in found[0].hint


def test_downloads_count_on_the_disk_that_they_go_to(tmp_path):
    here = machine("NVIDIA H200", free=160 * GB)
    one = {"pattern": "mt-qlora-3b", "downloads": {"3b": 200 * GB}}
    assert any(found.sure for found in problems(PAPER, here, tmp_path, **one))
    apart = dataclasses.replace(here, cache=dataclasses.replace(here.cache, device=2))
    found = problems(PAPER, apart, tmp_path, **one)
    assert "BENCH_CACHE" in found[0].hint


def test_stages_that_fit_alone_may_not_fit_together(tmp_path):
    owner = "cells/mt-qlora-2m/multi-task"
    run = Run("smoke", SMOKE, (measured(owner, "train", "2m", "mt-qlora"),))  # 3 GB each
    here = machine(memory=8 * GB)
    found = problems(SMOKE, here, tmp_path, run, jobs=4)
    assert "--jobs 1" in found[0].hint
    assert not found[0].sure
    assert problems(SMOKE, here, tmp_path, run, jobs=1) == []
    # A GPU has one stage at a time, whatever goes on beside it.
    gpu = machine("NVIDIA A100-SXM4-40GB")
    assert problems(PAPER, gpu, tmp_path, pattern="mt-qlora-7b", jobs=8) == []


def test_a_gpu_that_others_use_is_named(tmp_path):
    here = machine("NVIDIA H200")
    stages = estimate(known(PAPER, here), stages_of(PAPER, tmp_path))
    free = {"GPU 0 (NVIDIA H200)": 140 * GB, "GPU 1 (NVIDIA H200)": 20 * GB}
    (full,) = fit.busy(free, [], stages)
    assert full.sure
    assert full.what.startswith("mt-fft-7b: train needs about")
    assert "of GPU 1 (NVIDIA H200) 20 GB are free" in full.what
    (taken,) = fit.busy({}, ["process 7 holds 3.0 GB of GPU 0"], stages)
    assert "process 7" in taken.what
    with pytest.raises(MachineError, match="--anyway"):
        fit.require([taken])
    assert fit.busy(free, ["process 7"], [one for one in stages if not one.gpu]) == []


def test_as_many_jobs_as_memory_holds(tmp_path):
    owner = "cells/mt-qlora-2m/multi-task"
    run = Run("smoke", SMOKE, (measured(owner, "train", "2m", "mt-qlora"),))  # 3 GB each
    stages = stages_of(SMOKE, tmp_path)
    small = machine(memory=8 * GB)
    found = estimate(known(SMOKE, small, run), stages)
    trainings = [one for one in found if one.memory.value]
    several = trainings * 4
    assert fit.fitting_jobs(small, several, cores=16) == 2
    assert fit.fitting_jobs(machine(), several, cores=2) == 2


def test_a_processor_without_the_memory_is_refused(tmp_path):
    owner = "cells/mt-qlora-2m/multi-task"
    run = Run("smoke", SMOKE, (measured(owner, "train", "2m", "mt-qlora"),))
    found = problems(SMOKE, machine(memory=2 * GB), tmp_path, run, pattern=owner)
    assert found[0].sure
    assert "recorded" in found[0].what


def test_a_measured_peak_needs_no_reserve_for_fragments(tmp_path):
    facts = known(PAPER, machine("NVIDIA H200"))
    planned = [one for one in stages_of(PAPER, tmp_path) if "mt-fft-7b" in one.id]
    limit = facts.machine.gpu.memory_bytes

    def told(basis):
        found = [
            dataclasses.replace(one, memory=Figure(limit * 0.95, basis))
            for one in estimate(facts, planned)
            if one.stage == "train"
        ]
        return fit.problems(PAPER, facts.machine, planned, found, {}, 1, facts.shape_of)

    assert told("recorded") == []
    assert [one.sure for one in told("analytic")] == [False]
