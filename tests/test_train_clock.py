"""Step times: steady steps alone, what interrupts them apart, and on a GPU the device's time."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from bench.grid import study
from bench.records import Tokens
from bench.train import bases, clock, fit
from tests.tiny_model import random_base, rows

__all__ = ["random_base"]  # a fixture

TOKENS = Tokens(processed=6400, real=6000, trained=3200)


class Times:
    """The host's clocks and a device that works behind them, moved by hand."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = self.device_s = 0.0
        self.joules = 0.0
        self.synchronized = 0

    def perf_counter(self) -> float:
        self.wall_s += 1e-6  # who polls sees time pass
        return self.wall_s

    def process_time(self) -> float:
        return self.cpu_s


class Event:
    """A CUDA event: it is reached when the device has done what was queued before it."""

    times: Times

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.times.device_s = max(self.times.device_s, self.times.wall_s)
        self.at_s = self.times.device_s

    def query(self) -> bool:
        return self.times.wall_s >= self.at_s

    def elapsed_time(self, end: Event) -> float:
        return 1000 * (end.at_s - self.at_s)


@pytest.fixture
def times(monkeypatch):
    made = Times()
    monkeypatch.setattr(clock, "time", made)
    return made


@pytest.fixture
def cuda(times, monkeypatch):
    """A fake CUDA build with an energy counter."""

    def synchronize():
        times.synchronized += 1
        times.wall_s = max(times.wall_s, times.device_s)

    Event.times = times
    properties = types.SimpleNamespace(uuid="a")
    for name, value in {
        "Event": Event,
        "synchronize": synchronize,
        "device_count": lambda: 1,
        "get_device_properties": lambda _index: properties,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    nvml = types.SimpleNamespace(
        NVMLError=ValueError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetTotalEnergyConsumption=lambda _handle: 1000 * times.joules,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


class Training:
    """Drives a clock through a training in the order in which the Trainer calls it."""

    def __init__(self, times, steps, device="cpu", done=0):
        self.times = times
        self.clock = clock.StepClock()
        self.args = types.SimpleNamespace(
            device=torch.device(device), per_device_train_batch_size=2
        )
        self.state = types.SimpleNamespace(global_step=done, max_steps=done + steps)
        self.call("on_train_begin")

    def call(self, name, *, ends=False, **kwargs):
        control = types.SimpleNamespace(
            should_evaluate=ends, should_save=False, should_training_stop=False
        )
        getattr(self.clock, name)(self.args, self.state, control, **kwargs)

    def step(self, host_s, wait_s=0.0, device_s=0.0, joules=0.0, ends=False):
        self.times.wall_s += wait_s
        self.call("on_step_begin")
        self.times.wall_s += host_s
        self.times.cpu_s += 2 * host_s
        self.times.device_s = max(self.times.device_s, self.times.wall_s - host_s) + device_s
        self.times.joules += joules
        self.call("on_pre_optimizer_step")
        self.state.global_step += 1
        self.call("on_step_end", ends=ends)

    def evaluate(self, seconds, joules=0.0):
        self.times.wall_s += seconds
        self.times.joules += joules
        self.call("on_log", logs={"eval_loss": 1.0})
        self.call("on_evaluate")

    def timing(self, tokens=TOKENS):
        return self.clock.timing(tokens, self.state.global_step)


def test_warm_up_evaluation_and_saving_are_left_out(times):
    run = Training(times, 32)
    for number in range(32):
        run.step(9.0 if number < 10 else 1.0, wait_s=0.5)
        if number == 20:
            run.evaluate(100.0)
            times.wall_s += 50
            run.call("on_save")
    timing = run.timing()
    steady = timing.steady
    assert (steady["steps"], steady["warmup_steps"], steady["notes"]) == (22, 10, [])
    assert steady["step_s"] == pytest.approx({"median": 1.5, "p20": 1.5, "p80": 1.5}, rel=1e-4)
    assert steady["cpu_s_per_step"] == pytest.approx(2.0)
    assert steady["data_wait_s"] == pytest.approx(0.5, rel=1e-4)
    # 200 token slots a step
    assert steady["tokens_per_s"]["processed"] == pytest.approx(200 / 1.5, rel=1e-4)
    assert steady["tokens_per_s"]["trained"] == pytest.approx(100 / 1.5, rel=1e-4)
    expected = {"steps": 112.0, "data_wait": 16.0, "evaluate": 100.0, "save": 50.0, "other": 0.0}
    assert timing.spent_s == pytest.approx(expected, abs=1e-3)
    assert (steady["energy_j_per_step"], steady["energy_reason"]) == (None, "no GPU")
    assert steady["device_idle_share"] is None
    assert timing.micro_rows == 2


def test_a_short_training_has_a_shorter_warm_up_and_says_so(times):
    run = Training(times, 6)
    for number in range(6):
        run.step(5.0 if number < 2 else 1.0)
    steady = run.timing().steady
    assert (steady["steps"], steady["warmup_steps"]) == (4, 2)
    assert steady["notes"] == ["warm-up of 2 instead of 10 steps: there were 6 in all"]
    assert steady["step_s"]["p80"] == pytest.approx(1.0, rel=1e-4)


def test_too_few_steps_have_no_rate_but_a_reason(times):
    run = Training(times, 2)
    run.step(1.0)
    run.step(1.0)
    timing = run.timing()
    assert timing.steady is None
    assert timing.reason == "too few steps for a rate: 2, of at least 3"
    assert timing.spent_s["steps"] == pytest.approx(2.0, rel=1e-4)


def test_after_a_resume_only_this_process_counts(times):
    run = Training(times, 30, done=70)
    for _ in range(30):
        run.step(1.0)
    steady = run.timing(Tokens(20000, 20000, 10000)).steady
    assert (steady["steps"], steady["warmup_steps"]) == (20, 10)
    assert steady["tokens_per_s"]["real"] == pytest.approx(200.0, rel=1e-4)


def test_a_gpu_step_is_timed_on_the_device_without_waiting_for_it(times, cuda):
    run = Training(times, 40, "cuda")
    for number in range(40):
        run.step(0.25, device_s=1.0, joules=300.0, ends=number == 39)
        if number < 39:
            assert times.synchronized <= 1, "only where energy is read"
    assert times.device_s > times.wall_s - 1
    steady = run.timing().steady
    assert steady["clock"] == "device events"
    assert steady["steps"] == 30
    assert steady["step_s"]["median"] == pytest.approx(1.0, rel=1e-3)
    assert steady["device_idle_share"] == 0.0
    assert steady["energy_j_per_step"] == pytest.approx(300.0)
    assert steady["energy_reason"] is None


def test_a_device_that_waits_for_launches_is_seen(times, cuda):
    run = Training(times, 30, "cuda")
    for _ in range(30):
        run.step(1.0, device_s=0.2)
    steady = run.timing().steady
    assert steady["device_idle_share"] == 1.0
    assert steady["step_s"]["median"] == pytest.approx(1.0, rel=1e-3)


def test_the_energy_of_an_evaluation_is_not_that_of_steps(times, cuda):
    run = Training(times, 36, "cuda")
    for number in range(36):
        stops = number in (15, 35)
        run.step(1.0, device_s=0.9, joules=100.0, ends=stops)
        if number == 15:
            run.evaluate(10.0, joules=5000.0)
    assert run.timing().steady["energy_j_per_step"] == pytest.approx(100.0)


def test_a_device_without_an_energy_counter_has_a_reason(times, cuda):
    def refuse(_handle):
        raise ValueError("not supported")

    cuda.nvmlDeviceGetTotalEnergyConsumption = refuse
    run = Training(times, 30, "cuda")
    for number in range(30):
        run.step(1.0, device_s=0.9, ends=number == 29)
    steady = run.timing().steady
    assert steady["energy_j_per_step"] is None
    assert steady["energy_reason"] == "the device has no energy counter"


def test_a_real_training_is_timed(random_base, tmp_path):
    smoke = study.load("smoke").training
    step = {"rows_per_step": 2, "rows_per_micro_batch": 1, "warmup_steps": 1, "epochs": 2}
    training = smoke.model_copy(
        update={
            "full": smoke.full.model_copy(update=step),
            "row_tokens": 64,
            "early_stopping": study.EarlyStopping(every_steps=3, patience=9, threshold=0.0),
        }
    )
    base, tokens = bases.load(random_base, False, "cpu")
    packed = {"train": rows(30), "valid": rows(6, first=40)}
    result = fit.train(base, tokens, packed, training, "mt-fft", 42, tmp_path)
    steady, spent_s = result.timing.steady, result.timing.spent_s
    assert steady["steps"] + steady["warmup_steps"] == result.steps
    assert 0 < steady["step_s"]["p20"] <= steady["step_s"]["median"] <= steady["step_s"]["p80"]
    per_step = result.tokens.real / result.steps
    assert steady["tokens_per_s"]["real"] == pytest.approx(per_step / steady["step_s"]["median"])
    assert steady["cpu_s_per_step"] > 0
    assert min(spent_s[name] for name in ("steps", "evaluate", "save")) > 0
