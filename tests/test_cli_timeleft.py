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
    assert after(one=1200) == "about 60 min left (scaled)"


def test_a_stage_that_had_next_to_nothing_to_do_says_nothing_of_the_others() -> None:
    assert after(base=0.2) == "about 30 min left (scaled)"
    assert after(base=0.2, one=900) == "about 30 min left (scaled)"


def test_at_the_end_nothing_is_left() -> None:
    assert after(base=1, one=1, two=1, three=1) == "nothing is left"
