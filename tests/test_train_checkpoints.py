"""A training that is told to end, or that lasts, loses at most a step and changes nothing."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import types

import pytest

from bench import interruption
from bench.errors import BenchError
from bench.grid import study
from bench.train import bases, checkpoints, fit, methods, placement
from tests.tiny_model import random_base, rows

__all__ = ["random_base"]  # a fixture

QLORA, FULL = "mt-qlora", "mt-fft"


def protocol(stop):
    """The smoke protocol for 16 steps; ``stop``: evaluate every so many, or never."""
    smoke = study.load("smoke").training
    step = {"rows_per_step": 2, "rows_per_micro_batch": 1, "warmup_steps": 1, "epochs": 4}
    parts = {name: getattr(smoke, name).model_copy(update=step) for name in ("qlora", "full")}
    stopping = study.EarlyStopping(every_steps=stop, patience=9, threshold=0.0) if stop else None
    return smoke.model_copy(update={**parts, "row_tokens": 64, "early_stopping": stopping})


@pytest.fixture(scope="module")
def packed():
    found = {"train": rows(30), "valid": rows(6, first=40)}
    assert 6 < len(found["train"]) <= 8  # four steps an epoch, the last perhaps a short one
    return found


@pytest.fixture(scope="module")
def undisturbed(random_base, packed, tmp_path_factory):
    """Trainings that nobody disturbs, by method and evaluations: their result and weights."""

    @functools.cache
    def of(method, stop):
        work = tmp_path_factory.mktemp("whole")
        return train(random_base, packed, work, method, stop), weights(work / "model")

    return of


@pytest.fixture
def terminated():
    """SIGTERM asks this process to end, as it does a stage's."""
    before = signal.signal(signal.SIGTERM, lambda *_: interruption.ask())
    yield
    signal.signal(signal.SIGTERM, before)
    interruption._request.deferred, interruption._request.asked_s = False, None


def train(base, packed, work, method, stop, progress=None, **options):
    loaded, tokens = bases.load(base, methods.quantizes(method), "cpu")
    return fit.train(loaded, tokens, packed, protocol(stop), method, 42, work, progress, **options)


def terminate_at(step):
    def progress(done, _):
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return progress


def weights(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*.safetensors")
    }


@pytest.mark.parametrize(
    ("method", "stop", "step"),
    # In the middle of an epoch, at an evaluation, at an epoch's end, and before any checkpoint.
    [(QLORA, 3, 4), (QLORA, 3, 6), (QLORA, None, 8), (FULL, 3, 1)],
)
def test_a_terminated_training_goes_on_where_it_was(
    random_base, packed, undisturbed, tmp_path, terminated, method, stop, step
):
    whole, expected = undisturbed(method, stop)
    work = tmp_path / "work"
    with pytest.raises(interruption.Stopped):
        train(random_base, packed, work, method, stop, terminate_at(step))
    last = fit.last_checkpoint(work / "checkpoints")
    assert last is not None
    assert last.name == f"checkpoint-{step}"
    seen = []
    result = train(random_base, packed, work, method, stop, lambda done, _: seen.append(done))
    assert seen[0] == step + 1
    assert weights(work / "model") == expected
    assert (result.steps, result.best_step, result.tokens) == (
        whole.steps,
        whole.best_step,
        whole.tokens,
    )
    valid = [(one.step, one.valid) for one in result.losses if one.valid is not None]
    assert valid == [(one.step, one.valid) for one in whole.losses if one.valid is not None]


def test_at_the_last_step_a_training_just_ends(random_base, packed, tmp_path, terminated):
    with pytest.raises(interruption.Stopped):  # with the end of the training, its last act left
        train(random_base, packed, tmp_path, FULL, None, terminate_at(16))
    assert fit.last_checkpoint(tmp_path / "checkpoints").name == "checkpoint-16"
    assert train(random_base, packed, tmp_path, FULL, None).steps == 16


def test_the_clock_adds_checkpoints_and_changes_nothing(
    random_base, packed, undisturbed, tmp_path, monkeypatch
):
    whole, expected = undisturbed(QLORA, None)
    monkeypatch.setattr(checkpoints, "_MOST_SHARE", float("inf"))
    kept_at = set()

    def progress(done, _):
        folder = tmp_path / "often" / "checkpoints"
        kept_at.update(path.parent.name for path in folder.glob("*/complete"))

    always = {"checkpoint_minutes": 1e-9}
    often = train(random_base, packed, tmp_path / "often", QLORA, None, progress, **always)
    assert {"checkpoint-5", "checkpoint-10"} <= kept_at  # where the loss is logged
    assert often == whole
    assert weights(tmp_path / "often" / "model") == expected


# the clock


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def kept(keeper, clock, seconds, *, logging=True, asked=False, step=1):
    """Whether a step that ends after so many seconds is kept."""
    clock.now += seconds
    control = types.SimpleNamespace(should_log=logging, should_save=False)
    state = types.SimpleNamespace(global_step=step, max_steps=100)
    keeper.on_step_end(None, state, control)
    return control.should_save


def test_checkpoints_come_by_the_clock_where_a_mean_of_the_loss_ends():
    clock = Clock()
    keeper = checkpoints.Keeper(2, clock)
    assert not kept(keeper, clock, 119)
    assert not kept(keeper, clock, 2, logging=False)
    assert kept(keeper, clock, 1)


def test_a_slow_disk_gets_fewer_checkpoints():
    clock = Clock()
    keeper = checkpoints.Keeper(1, clock)
    state = types.SimpleNamespace(global_step=5, max_steps=100)
    assert kept(keeper, clock, 61)
    keeper.on_log(None, state, None)
    clock.now += 10  # writing took ten seconds: the next is due after 200
    keeper.on_save(None, state, None)
    assert not kept(keeper, clock, 190)
    assert kept(keeper, clock, 11)


# requests to end


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(interruption, "_request", interruption._Request())


def test_a_request_ends_what_does_not_defer_it(fresh):
    with pytest.raises(interruption.Stopped):
        interruption.ask()


def test_a_second_request_ends_a_training_at_once(fresh, monkeypatch):
    interruption.defer()
    interruption.ask()
    interruption.ask()  # a scheduler and the runner told the same
    assert interruption.asked()
    monkeypatch.setattr(interruption, "SAME_REQUEST_S", 0.0)
    with pytest.raises(interruption.Stopped):
        interruption.ask()


def test_a_request_is_not_lost_when_nobody_looks_any_more(fresh):
    interruption.defer()
    interruption.settle()
    interruption.defer()
    interruption.ask()
    with pytest.raises(interruption.Stopped):
        interruption.settle()
    assert not interruption.asked()


# one device


@pytest.mark.parametrize(("visible", "used"), [(4, 1), (1, 4), (2, 2)])
def test_a_training_that_sees_several_devices_is_refused(monkeypatch, visible, used):
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: visible)
    with pytest.raises(BenchError, match=rf"sees {max(visible, used)} GPUs") as refused:
        placement.require_one_device(used)
    assert "CUDA_VISIBLE_DEVICES=0" in refused.value.hint
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: 1)
    placement.require_one_device()
