"""What was measured on a GPU comes before what is scaled or calculated, and says so."""

from __future__ import annotations

import pytest

from bench.costs import training_memory
from bench.grid import analytic, devices, durations, fit, study
from bench.grid.estimates import estimate
from bench.grid.profiles import Profile
from bench.grid.recorded import Run
from tests import gpu_profiles
from tests.planned import GB, known, machine, measured, stages_of

AUTO = study.load("paper")
H200, H100, L4 = "NVIDIA H200", "NVIDIA H100 80GB HBM3", "NVIDIA L4"
TRAIN, GENERATE = (f"cells/mt-qlora-1.5b/multi-task/{stage}" for stage in ("train", "generate"))
TOKENS = 325_669 * 512 * 5


def profile(*items, **changes):
    return Profile.model_validate(gpu_profiles.profile(*items, **changes))


def with_qlora(**changes):
    """The paper with another setting of QLoRA."""
    qlora = AUTO.training.qlora.model_copy(update=changes)
    training = AUTO.training.model_copy(update={"qlora": qlora})
    return AUTO.model_copy(update={"training": training})


def with_batches(loaded, rows):
    """A study that answers in batches of so many rows."""
    decoding = loaded.decoding.model_copy(update={"batch_rows": rows})
    return loaded.model_copy(update={"decoding": decoding})


#: The paper with rows that no card changes: 2 in training, 32 of answers.
PAPER = with_batches(with_qlora(rows_per_micro_batch=2), 32)


def found(folder, gpu, *profiles, runs=(), loaded=PAPER):
    facts = known(loaded, machine(gpu), *runs, profiles=profiles)
    return {one.id: one for one in estimate(facts, stages_of(loaded, folder))}


def time_of(gpu, loaded=PAPER, size="1.5b"):
    shape = known(loaded, machine()).shape_of(loaded.base(size))
    setting = analytic.fit(loaded, "mt-qlora", loaded.tasks)
    return durations.training_time(shape, setting, TOKENS, devices.limits(gpu)).seconds


def test_the_same_setting_on_the_same_card_is_its_tokens_by_the_rate(tmp_path):
    one = found(tmp_path, H200, profile(gpu_profiles.training()))[TRAIN]
    assert one.hours.value == pytest.approx(TOKENS / 50_000 / 3600)
    assert one.hours.basis == "profiled on NVIDIA H200"
    assert (one.memory.value, one.memory.basis) == (10 * GB, "profiled")


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
def test_rows_that_are_chosen_for_a_card_are_looked_up_as_such(tmp_path, method):
    card, name = machine(H200).gpu, TRAIN.replace("mt-qlora", method)
    item = gpu_profiles.chosen(AUTO, method, "1.5b", card, 50_000.0)
    assert item["micro_rows"] > 2
    one = found(tmp_path, H200, profile(item), loaded=AUTO)[name]
    assert one.hours.value == pytest.approx(TOKENS / 50_000 / 3600)
    assert one.hours.basis == "profiled on NVIDIA H200"
    assert (one.memory.value, one.memory.basis) == (10 * GB, "profiled")
    two = found(tmp_path, H200, profile({**item, "micro_rows": 2}), loaded=AUTO)[name]
    rows = f"from 2 rows to {item['micro_rows']}"
    assert two.hours.basis == f"profiled on NVIDIA H200, scaled {rows}"


def test_of_several_items_the_nearest_setting_counts(tmp_path):
    items = (
        gpu_profiles.training(rate=1.0, checkpointing=True),
        gpu_profiles.training(rate=2.0, dequantised=True),
        gpu_profiles.training(rate=3.0, micro_rows=16),
        gpu_profiles.training(rate=4.0, packing="isolated"),
        gpu_profiles.training(rate=5.0),
        gpu_profiles.training(rate=6.0, outcome="failed"),
        gpu_profiles.training(rate=7.0, method="full"),
        gpu_profiles.training(rate=8.0, plan="published"),
        gpu_profiles.training(rate=9.0, size="3b"),
    )
    whole = profile(*items)
    assert found(tmp_path, H200, whole)[TRAIN].hours.value == pytest.approx(TOKENS / 5 / 3600)
    elsewhere = profile(gpu_profiles.training(rate=10.0), gpu=H100)
    both = found(tmp_path, H200, elsewhere, whole)[TRAIN]
    assert both.hours.value == pytest.approx(TOKENS / 5 / 3600)


def test_another_card_is_scaled_by_the_limits_of_both(tmp_path):
    """At 32 rows computing binds both: products by the peaks, the rest by the bandwidths."""
    wide = with_qlora(rows_per_micro_batch=32)
    measured_there = profile(gpu_profiles.training("7b", micro_rows=32, rate=20_000.0))
    name = TRAIN.replace("1.5b", "7b")
    one = found(tmp_path, L4, measured_there, loaded=wide)[name]
    assert one.hours.basis == "profiled on NVIDIA H200, scaled to NVIDIA L4"
    ratio = time_of(L4, wide, "7b") / time_of(H200, wide, "7b")
    assert 4.8e12 / 300e9 > ratio > 989 / 121
    assert one.hours.value == pytest.approx(TOKENS / 20_000 / 3600 * ratio)
    assert one.memory.basis == "profiled"  # tensors are of one size on every card


def test_another_micro_batch_is_scaled_and_told(tmp_path):
    told = profile(gpu_profiles.training(micro_rows=32, rate=60_000.0))
    one = found(tmp_path, H200, told)[TRAIN]
    assert one.hours.basis == "profiled on NVIDIA H200, scaled from 32 rows to 2"
    # Starting operations binds two rows, but not 32 at that rate: at most what it allows.
    assert TOKENS / 60_000 / 3600 < one.hours.value <= TOKENS / 60_000 * 16 / 3600
    assert one.memory.basis == "analytic"  # 10 GB less what 30 rows take would be less than none


def test_a_smaller_micro_batch_takes_less_by_what_the_model_says(tmp_path):
    told = profile(gpu_profiles.training(micro_rows=32, peak_reserved_bytes=120 * GB))
    one = found(tmp_path, H200, told)[TRAIN]
    shape = known(PAPER, machine()).shape_of(PAPER.base("1.5b"))
    few, many = (
        training_memory(shape, analytic.fit(loaded, "mt-qlora", loaded.tasks)).total
        for loaded in (PAPER, with_qlora(rows_per_micro_batch=32))
    )
    assert one.memory.value == 120 * GB - (many - few)
    assert one.memory.basis == "profiled, scaled from 32 rows"


def test_a_larger_micro_batch_takes_the_measured_peak_and_what_is_more(tmp_path):
    told = profile(gpu_profiles.training())
    one = found(tmp_path, H200, told, loaded=with_qlora(rows_per_micro_batch=8))[TRAIN]
    assert one.memory.value > 10 * GB
    assert one.memory.basis == "profiled, scaled from 2 rows"


def test_a_processor_tells_nothing_of_a_gpu(tmp_path):
    told = profile(gpu_profiles.training(), gpu="Example CPU 3000")
    one = found(tmp_path, H200, told)[TRAIN]
    assert one.hours.basis.startswith("analytic")
    assert one.memory.basis == "analytic"


def test_a_card_that_starts_operations_faster_is_not_slower_than_measured(tmp_path):
    """The rate at two rows contradicts the estimate of a launch; more rows are not slower."""
    fast = profile(gpu_profiles.training("7b", rate=15_000.0))
    name = TRAIN.replace("1.5b", "7b")
    wide = found(tmp_path, H200, fast, loaded=with_qlora(rows_per_micro_batch=32))[name]
    assert TOKENS / 30_000 / 3600 < wide.hours.value <= TOKENS / 15_000 / 3600 * (1 + 1e-9)


def test_checkpointing_is_scaled_by_its_operations_and_its_memory_is_not(tmp_path):
    told = profile(gpu_profiles.training("7b", micro_rows=32, rate=20_000.0, checkpointing=True))
    loaded = with_qlora(rows_per_micro_batch=32)
    one = found(tmp_path, H200, told, loaded=loaded)[TRAIN.replace("1.5b", "7b")]
    assert one.hours.basis == "profiled on NVIDIA H200, scaled to no checkpointing"
    assert one.hours.value < TOKENS / 20_000 / 3600
    assert one.memory.basis == "analytic"


def test_a_base_of_other_weights_is_scaled_and_its_memory_is_not(tmp_path):
    told = profile(gpu_profiles.training(dequantised=True))
    one = found(tmp_path, H200, told)[TRAIN]
    assert one.hours.basis == "profiled on NVIDIA H200, scaled to 4-bit weights"
    assert one.hours.value >= TOKENS / 50_000 / 3600
    assert one.memory.basis == "analytic"


def test_an_unprofiled_shape_is_corrected_by_what_the_nearest_took(tmp_path):
    loaded = with_qlora(rows_per_micro_batch=32)
    rate = TOKENS / time_of(H200, loaded, "3b") / 1.25
    items = (
        gpu_profiles.training("3b", micro_rows=32, rate=rate),
        gpu_profiles.training("0.5b", micro_rows=32, rate=1_000_000.0),  # nearer to 1.5b alone
    )
    one = found(tmp_path, H200, profile(*items), loaded=loaded)[TRAIN.replace("1.5b", "7b")]
    assert one.hours.basis == "analytic, times 1.25 as measured at 3b"
    assert one.hours.value == pytest.approx(1.25 * time_of(H200, loaded, "7b") / 3600)


def test_steps_bound_by_launches_say_nothing_of_products(tmp_path):
    slow = profile(gpu_profiles.training("3b", rate=9_000.0))  # two rows
    one = found(tmp_path, H200, slow, loaded=with_qlora(rows_per_micro_batch=32))[TRAIN]
    assert one.hours.basis.startswith("analytic, at ") and "measured" not in one.hours.basis


def test_a_recorded_stage_comes_first_and_a_scaled_run_last(tmp_path):
    recorded = measured(
        "cells/mt-qlora-1.5b/multi-task",
        "train",
        "1.5b",
        "mt-qlora",
        gpu=True,
        device=H200,
        peak_device_bytes=20 * GB,
        wall_s=36_000.0,
        tokens=TOKENS,
    )
    told = profile(gpu_profiles.training(), gpu_profiles.training("3b", rate=30_000.0))
    all_ = found(tmp_path, H200, told, runs=(Run("paper", PAPER, (recorded,)),))
    assert (all_[TRAIN].hours.value, all_[TRAIN].hours.basis) == (10.0, "recorded")
    assert all_[TRAIN].memory.basis == "recorded"
    larger = all_[TRAIN.replace("1.5b", "3b")]
    assert larger.hours.basis == "profiled on NVIDIA H200"
    assert all_[TRAIN.replace("1.5b", "7b")].hours.basis == "scaled from paper 1.5b"


def test_answers_are_as_many_times_longer_as_the_rate_is_smaller(tmp_path, request):
    mirror = request.config.getoption("--mirror")
    if mirror is None:
        pytest.skip("needs the public sources (--mirror DIR): the suites' problems")

    def hours(rate, gpu=H200, **changes):
        told = (profile(gpu_profiles.generation(rate=rate, **changes)),)
        facts = known(PAPER, machine(gpu), mirror=mirror, profiles=told)
        stages = [one for one in stages_of(PAPER, tmp_path) if one.id == GENERATE]
        return estimate(facts, stages)[0].hours

    assert hours(8_000.0).value == pytest.approx(hours(16_000.0).value * 2)
    assert hours(8_000.0).basis == "profiled on NVIDIA H200"
    assert hours(8_000.0, rows=16).basis == "profiled on NVIDIA H200, scaled from 16 rows to 32"
    assert hours(8_000.0, merged=True).basis.startswith("analytic")  # this adapter is not
    elsewhere = hours(8_000.0, L4)
    assert elsewhere.basis == "profiled on NVIDIA H200, scaled to NVIDIA L4"
    assert elsewhere.value >= hours(8_000.0).value


def test_a_setting_that_ran_out_of_memory_is_refused_by_its_cell(tmp_path):
    ran_out = gpu_profiles.training(outcome="oom", tokens_per_s=None, peak_reserved_bytes=None)
    facts = known(PAPER, machine(H200), profiles=(profile(ran_out),))
    planned = [one for one in stages_of(PAPER, tmp_path) if one.cell == "mt-qlora-1.5b"]
    stages = estimate(facts, planned)
    (train,) = (one for one in stages if one.stage == "train")
    assert train.memory.value is None
    assert train.memory.basis == "profiled on NVIDIA H200: out of memory"
    (problem,) = fit.problems(PAPER, machine(H200), planned, stages, {}, 1, facts.shape_of)
    assert problem.sure
    assert problem.what.startswith("mt-qlora-1.5b: train does not fit")
    assert "--cells" in problem.hint


def test_a_chosen_setting_that_ran_out_of_memory_is_a_warning(tmp_path):
    """A run takes fewer rows then."""
    card = machine(H200).gpu
    ran_out = gpu_profiles.chosen(AUTO, "mt-qlora", "1.5b", card, 1.0, outcome="oom")
    facts = known(AUTO, machine(H200), profiles=(profile(ran_out),))
    planned = [one for one in stages_of(AUTO, tmp_path) if one.cell == "mt-qlora-1.5b"]
    stages = estimate(facts, planned)
    (problem,) = fit.problems(AUTO, machine(H200), planned, stages, {}, 1, facts.shape_of)
    assert not problem.sure
    assert "out of memory" in problem.what
