"""What an extra brings is named before anything starts that needs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bench.errors import MachineError
from bench.grid import keys, study
from bench.grid.plan import plan
from bench.grid.store import Store
from bench.run import extras

SMOKE = study.load("smoke")
INGREDIENTS = keys.Ingredients(sources={stage: {} for stage in keys.ENTRIES}, environment={})


def stages(*names):
    planned = plan(SMOKE, study.expand(SMOKE), Store(Path("absent")), INGREDIENTS)
    return [one for one in planned if one.stage in names]


@pytest.fixture
def without(monkeypatch):
    """Some modules as if they were not installed."""
    absent, find = set(), importlib.util.find_spec
    monkeypatch.setattr(
        extras.importlib.util, "find_spec", lambda name: None if name in absent else find(name)
    )
    return absent.update


@pytest.mark.parametrize(
    ("absent", "names", "problem", "extra"),
    [
        (["torch"], ["train"], "torch: not installed", "[train]"),
        (["torch", "peft"], ["base", "score"], "torch, peft: not installed", "[train]"),
        (["lizard"], ["score", "generate"], "lizard: not installed", "[score]"),
        (["lizard", "torch"], ["base", "score"], "torch, lizard: not installed", "[train,score]"),
    ],
)
def test_stages_are_refused_with_the_extra_that_they_need(without, absent, names, problem, extra):
    without(absent)
    with pytest.raises(MachineError) as told:
        extras.require(stages(*names))
    assert told.value.problem == problem
    assert f"pip install '.{extra}'" in told.value.hint


def test_what_is_not_needed_may_be_absent(without):
    without(["torch", "peft", "no_such_module"])
    extras.require(stages("score"))
    without(["lizard"])
    extras.require([])
