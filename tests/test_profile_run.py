"""A profile's items one by one: each answer is kept, what comes too late is dropped."""

from __future__ import annotations

import json

import pytest

from bench.costs import Shape
from bench.grid import study
from bench.profile import items, run

PAPER = study.load("paper")
TINY = Shape(64, 2, 4, 2, 160, 512, tied=True)
ITEMS = items.of_study({"tiny": TINY}, gpu=True)[:4]
DEVICE = {"name": "NVIDIA Fake", "memory_bytes": 1, "capability": "9.0"}


class Answers:
    """A worker that knows its answer; counts those that were started and closed."""

    open = 0

    def __init__(self, item, study_, *, cpu):
        assert not cpu
        Answers.open += 1

    def measure(self, limit_s):
        assert 0 < limit_s <= run.ITEM_S
        found = {"outcome": "ok", "reason": None, "step_s": {"median": 1.0}}
        return {"device": DEVICE, "software": {"torch": "2"}, "found": found}

    def close(self):
        Answers.open -= 1


def alone(item, limit_s):
    worker = run.Worker(item, PAPER, cpu=True)
    try:
        return worker.measure(limit_s)["found"]
    finally:
        worker.close()


def test_what_is_known_lies_on_the_disk_after_each_item(tmp_path):
    out = tmp_path / "deep" / "profile.json"
    for count, one in enumerate(run.run(ITEMS, PAPER, out, 60, {}, worker=Answers), 1):
        content = json.loads(out.read_text())
        assert len(content["items"]) == count
        assert content["items"][-1]["label"] == one.item.label
        assert content["device"] == DEVICE
    assert count == len(ITEMS)


def test_what_comes_too_late_is_dropped_and_said(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))
    found = list(run.run(ITEMS, PAPER, tmp_path / "p.json", 35, {}, worker=Answers))
    assert [one.outcome for one in found] == ["ok", "dropped", "dropped", "dropped"]
    assert "35 s were up" in found[-1].values["reason"]
    assert Answers.open == 0


@pytest.mark.parametrize("cores", [1, 16])
def test_the_next_item_loads_beside_one_where_a_core_is_left(tmp_path, monkeypatch, cores):
    monkeypatch.setattr(run.os, "sched_getaffinity", lambda _: set(range(cores)))
    started = run.run(ITEMS, PAPER, tmp_path / "p.json", 60, {}, worker=Answers)
    next(started)
    assert Answers.open == (cores > 4)
    started.close()
    assert Answers.open == 0


@pytest.mark.slow
def test_an_item_that_fails_takes_no_other_with_it(tmp_path):
    broken = items.Item("train", "tiny", Shape(64, 1, 3, 2, 16, 16, tied=True), "full")
    answer = alone(broken, 120)
    assert answer["outcome"] == "failed"
    assert answer["reason"] and len(answer["log"]) > 1


def test_an_item_that_takes_too_long_is_ended():
    answer = alone(ITEMS[0], 0.01)
    assert answer["outcome"] == "timeout"
