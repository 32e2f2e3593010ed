"""The measuring arm: a training of a few steps as published, of which only the cost is kept."""

from __future__ import annotations

import shutil

import pytest

from bench.grid import study
from bench.measure import Meter
from bench.run import stages
from bench.run.job import Job
from tests.tiny_model import random_base

__all__ = ["random_base"]  # a fixture

STEPS = 3


def few(loaded):
    """The smoke study on a few rows."""
    data = loaded.data.model_copy(update={"max_samples_per_track": 2})
    measuring = loaded.measuring.model_copy(update={"steps": STEPS})
    update = {"data": data, "measuring": measuring, "tasks": ("translation",)}
    return loaded.model_copy(update=update)


@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
def test_a_few_steps_are_measured_and_nothing_is_kept(random_base, tmp_path, method):
    base, work, cache = tmp_path / "base", tmp_path / "work", tmp_path / "cache"
    shutil.copytree(random_base, base / stages.MODEL)
    work.mkdir()
    cache.mkdir()
    job = Job(
        id="cells/x/multi-task/measure",
        stage="measure",
        key="key",
        study=few(study.load("smoke", ["published-cost"])),
        cell=f"{method}-2m",
        method=method,
        size="2m",
        model="multi-task",
        tasks=("translation",),
        inputs={"base": base},
        options={"cache": str(cache)},
    )
    with Meter(threads=1) as meter:
        result = stages.measure(job, work, meter, lambda *_: None)
    assert not list(work.rglob("*.safetensors"))
    assert result.artifact_bytes is None
    details = result.details
    assert details["steps"] == STEPS
    assert details["setting"] == {
        "plan": "published",
        "micro_rows": 1,
        "base": "full" if method == "mt-fft" else "4-bit",
    }
    assert details["steady"]["steps"] + details["steady"]["warmup_steps"] == STEPS
    assert details["train_s"]["save"] == details["train_s"]["evaluate"] == 0.0
    assert (details["mfu"], details["mfu_reason"]) == (None, "no GPU")
