"""Stages side by side: never two on one GPU, never before what they build on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.grid.estimates import NOTHING, Figure, StageEstimate
from bench.grid.schedule import wall


def stage(id_, hours, *, gpu=True):
    known = hours if isinstance(hours, Figure) else Figure(hours, "recorded")
    return StageEstimate(id_, None, "1b", "train", gpu, known, NOTHING, NOTHING, 0)


def test_nothing_takes_no_time():
    found = wall([], {}, gpus=1, slots=1)
    assert (found.hours, found.chain) == (0, None)


def test_models_are_spread_longest_first():
    stages = [stage(name, hours) for name, hours in zip("abcde", (2, 3, 4, 5, 6), strict=True)]
    assert wall(stages, {}, gpus=1, slots=1).hours == 20
    assert wall(stages, {}, gpus=2, slots=1).hours == 11  # 6 + 3 and 5 + 4, then 2
    assert wall(stages, {}, gpus=8, slots=1).hours == 6
    assert not wall(stages, {}, gpus=2, slots=1).bound
    assert wall(stages, {}, gpus=8, slots=1).bound


def test_scoring_runs_beside_the_gpu():
    stages = [stage("a", 2), stage("a scored", 3, gpu=False), stage("b", 2)]
    needs = {"a scored": ("a",)}
    assert wall(stages, needs, gpus=1, slots=1).hours == 5
    assert wall(stages, needs, gpus=2, slots=1).hours == 5


def test_a_chain_is_no_shorter_on_more_gpus():
    stages = [stage("base", 1), stage("train", 2), stage("generate", 3)]
    needs = {"train": ("base",), "generate": ("train",)}
    found = wall(stages, needs, gpus=8, slots=1)
    assert found.hours == found.chain_hours == 6
    assert found.chain == "base 1b"


def test_what_becomes_ready_together_starts_longest_first():
    bases = [stage(f"base {name}", NOTHING, gpu=False) for name in "ab"]
    stages = [*bases, stage("a", 1), stage("b", 5)]
    needs = {"a": ("base a",), "b": ("base b",)}
    assert wall(stages, needs, gpus=1, slots=2).hours == 6
    short = stage("short", 2)
    found = wall([*stages, short], {**needs, "short": ("base a",)}, gpus=2, slots=2)
    assert found.hours == 5
    assert found.bound


def test_what_is_stored_is_not_waited_for():
    assert wall([stage("train", 2)], {"train": ("base",)}, gpus=1, slots=1).hours == 2


@pytest.mark.parametrize(("hours", "whole"), [(NOTHING, True), (Figure(None, "why"), False)])
def test_hours_that_nobody_knows_are_told_apart_from_none(hours, whole):
    found = wall([stage("a", hours), stage("b", 1)], {"b": ("a",)}, gpus=1, slots=1)
    assert (found.hours, found.whole) == (1, whole)


HOURS = st.lists(st.integers(0, 20), min_size=1, max_size=12)


@given(HOURS, st.data(), st.integers(1, 8), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_it_lies_between_what_must_be_and_one_after_the_other(hours, data, gpus, slots):
    stages, needs = [], {}
    for at, length in enumerate(hours):
        stages.append(stage(str(at), length, gpu=data.draw(st.booleans())))
        needs[str(at)] = tuple(data.draw(st.sets(st.sampled_from(range(at)))) if at else ())
        needs[str(at)] = tuple(map(str, needs[str(at)]))
    chains = {}
    for at, length in enumerate(hours):
        chains[str(at)] = length + max((chains[one] for one in needs[str(at)]), default=0)
    found = wall(stages, needs, gpus=gpus, slots=slots)
    on_gpus = sum(one.hours.value for one in stages if one.gpu)
    assert max(max(chains.values()), on_gpus / gpus) <= found.hours <= sum(hours)
    assert found.chain_hours == max(chains.values())
