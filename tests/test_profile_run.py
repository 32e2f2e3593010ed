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


def answers(item, study_, limit_s, cpu):
    assert 0 < limit_s <= run.ITEM_S
    assert not cpu
    found = {"outcome": "ok", "reason": None, "step_s": {"median": 1.0}}
    return {"device": DEVICE, "software": {"torch": "2"}, "found": found}


def test_what_is_known_lies_on_the_disk_after_each_item(tmp_path):
    out = tmp_path / "deep" / "profile.json"
    for count, one in enumerate(run.run(ITEMS, PAPER, out, 60, {}, measure=answers), 1):
        content = json.loads(out.read_text())
        assert len(content["items"]) == count
        assert content["items"][-1]["label"] == one.item.label
        assert content["device"] == DEVICE
    assert count == len(ITEMS)


def test_what_comes_too_late_is_dropped_and_said(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))
    found = list(run.run(ITEMS, PAPER, tmp_path / "p.json", 35, {}, measure=answers))
    assert [one.outcome for one in found] == ["ok", "dropped", "dropped", "dropped"]
    assert "35 s were up" in found[-1].values["reason"]


@pytest.mark.slow
def test_an_item_that_fails_takes_no_other_with_it(tmp_path):
    broken = items.Item("train", "tiny", Shape(64, 1, 3, 2, 16, 16, tied=True), "full")
    answer = run.in_a_process(broken, PAPER, 120, True)["found"]
    assert answer["outcome"] == "failed"
    assert answer["reason"] and len(answer["log"]) > 1


def test_an_item_that_takes_too_long_is_ended():
    answer = run.in_a_process(ITEMS[0], PAPER, 0.01, True)["found"]
    assert answer["outcome"] == "timeout"
