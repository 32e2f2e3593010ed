"""Time left: a forecast, held against what the stages that ended took."""

from __future__ import annotations

import dataclasses

from bench.cli.timeleft import TimeLeft
from bench.grid.estimates import NOTHING, Figure, StageEstimate
from bench.records import Outcome
from bench.run.outcomes import bare_record


def estimate(stage: str, minutes: float) -> StageEstimate:
    hours = Figure(minutes / 60, "scaled from smoke")
    return StageEstimate(
        stage, None, "2m", "train", gpu=False, hours=hours, memory=NOTHING, disk=NOTHING,
        scratch_bytes=0,
    )  # fmt: skip


def after(**took_s: float) -> str:
    """What is told of four stages of ten minutes, one after the other, once some have ended."""
    names = ("base", "one", "two", "three")
    left = TimeLeft([estimate(name, 10) for name in names], {}, gpus=0, jobs=1)
    for name, wall_s in took_s.items():
        record = bare_record("a" * 64, "train", Outcome.OK, None)
        left.ended(name, dataclasses.replace(record, wall_s=wall_s))
    return left.told()


def test_a_machine_that_is_slower_takes_longer() -> None:
    assert after() == "about 40 min left (scaled)"
    assert after(one=600) == "about 30 min left (scaled)"
    assert after(one=1200) == "about 55 min left (scaled)"


def test_a_stage_that_had_next_to_nothing_to_do_says_nothing_of_the_others() -> None:
    assert after(base=0.2) == "about 30 min left (scaled)"
    assert after(base=0.2, one=900) == "about 28 min left (scaled)"


def test_at_the_end_nothing_is_left() -> None:
    assert after(base=1, one=1, two=1, three=1) == "nothing is left"


def left(*hours, basis="recorded", jobs=1):
    found = [
        StageEstimate(str(i), None, "2m", "train", False, Figure(h, basis), NOTHING, NOTHING, 0)
        for i, h in enumerate(hours)
    ]
    return TimeLeft(found, {}, gpus=0, jobs=jobs)


def test_the_time_left_is_that_of_a_schedule():
    assert left(1.0, 1.0).told() == "about 2.0 h left (recorded)"
    assert left(1.0, 1.0, jobs=2).told() == "about 60 min left (recorded)"
    assert left(0.25, basis="scaled from mini").told() == "about 15 min left (scaled)"
    assert left(0.01).told() == "less than a minute left (recorded)"
    assert left().told() == "nothing is left"


def test_what_nobody_knows_is_said():
    assert left(None, basis="no run has recorded the like").told() == (
        "time left not known: no run has recorded the like"
    )
    assert left(0.5, None).told() == "at least 30 min left (recorded)"
    assert left(0.001, None).told() == "time left not known"


def test_what_is_done_and_how_slow_it_was_counts():
    time_left = left(1.0, 1.0)
    time_left.progress("1", 0.5)
    assert time_left.told() == "about 90 min left (recorded)"
    time_left.ended(
        "0", dataclasses.replace(bare_record("k", "train", Outcome.OK, None), wall_s=7200.0)
    )
    assert time_left.told() == "about 57 min left (recorded)"  # some twice as slow
    time_left.ended("1", bare_record("k", "train", Outcome.FAILED, "why"))
    assert time_left.told() == "nothing is left"
