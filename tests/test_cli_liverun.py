"""What a run shows while it runs: what is measured, by the names of the report, on any stream."""

from __future__ import annotations

import dataclasses
import io
import os
import time

import pytest
from rich.console import Console

from bench.cli import livememory, liverun
from bench.cli.livememory import Memory
from bench.cli.timeleft import TimeLeft
from bench.grid import study
from bench.grid.estimates import NOTHING, Figure, StageEstimate
from bench.records import Outcome
from bench.run.outcomes import bare_record
from bench.run.runner import Event
from tests.planned import stages_of

SMOKE = study.load("smoke")
LOSSES = [{"step": 9, "train": 0.75, "valid": None}, {"step": 9, "train": None, "valid": 0.5}]
DONE = dataclasses.replace(
    bare_record("k", "train", Outcome.OK, None),
    wall_s=90.0,
    cpu_s=60.0,
    peak_rss_bytes=700 * 2**20,
    details={"losses": LOSSES, "steady": {"tokens_per_s": {"real": 1752.4}}},
)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    return stages_of(SMOKE, tmp_path_factory.mktemp("plan"))


def one(stages, id_):
    return next(stage for stage in stages if stage.id == id_)


def estimate(stage, hours=1.0, basis="recorded"):
    figure = Figure(hours, basis)
    return StageEstimate(
        stage.id, stage.cell, stage.size, stage.stage, False, figure, NOTHING, NOTHING, 0
    )


def shown(stages, *, terminal=False, left=None, memory=None, height=60, hours=1.0):
    console = Console(
        file=io.StringIO(), width=100, height=height, force_terminal=terminal, color_system=None
    )
    left = stages if left is None else left
    time_left = TimeLeft(
        [estimate(stage, hours) for stage in left], {s.id: s.needs for s in stages}, gpus=0, jobs=2
    )
    return liverun.Progress(console, stages, left, SMOKE, time_left, memory)


def drawn(progress):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(progress.table())
    return console.file.getvalue()


def lines(progress):
    return progress._console.file.getvalue().splitlines()


def test_a_stage_that_ended_is_one_line_with_what_was_measured(stages):
    progress = shown(stages)
    with progress:
        progress.show(Event("started", one(stages, "cells/mt-qlora-2m/multi-task/train")))
        progress.show(
            Event("finished", one(stages, "cells/mt-qlora-2m/multi-task/train"), record=DONE)
        )
    (line,) = lines(progress)
    assert line.startswith("[  1/54] MT-QLoRA 2m train ")
    for told in ("ok", "90.0 s", "60.0 cpu s", "700 MiB", "loss 0.500", "1,752 tokens/s", "left"):
        assert told in line
    assert "\x1b" not in line


def test_what_was_not_measured_is_no_number(stages):
    progress = shown(stages)
    bare = bare_record("k", "generate", Outcome.OK, None)
    progress.show(Event("finished", one(stages, "bases/2m/generate"), record=bare))
    (line,) = lines(progress)
    assert line.partition(" · ")[0].split() == ["[", "1/54]", "base", "2m", "generate", "ok"]


def test_what_failed_says_why_with_stages_by_their_names(stages):
    progress = shown(stages)
    reason = "cells/st-qlora-2m/generation/train ended as oom"
    record = bare_record("k", "generate", Outcome.SKIPPED, reason)
    progress.show(
        Event("finished", one(stages, "cells/st-qlora-2m/generation/generate"), record=record)
    )
    (line,) = lines(progress)
    assert "ST-QLoRA 2m generation generate" in line
    assert "skipped: ST-QLoRA 2m generation train ended as oom" in line


def test_the_table_has_a_row_a_model_and_what_runs_first(stages):
    progress = shown(stages, terminal=True)
    train = one(stages, "cells/mt-fft-6m/multi-task/train")
    progress.show(Event("finished", one(stages, "bases/6m/base"), record=DONE))
    progress.show(Event("started", train))
    progress.show(Event("progress", train, 20, 200, "a note"))
    progress.show(
        Event(
            "finished",
            one(stages, "cells/mt-qlora-2m/multi-task/train"),
            record=bare_record("k", "train", Outcome.OOM, "no memory"),
        )
    )
    summary, heads, *rows = drawn(progress).splitlines()
    assert "2 of 54 stages · 1 not ok" in summary
    assert heads.split() == ["base", "train", "generate", "score"]
    assert rows[0].split() == ["MT-FFT", "6m", "10", "%", "waits", "waits"]
    assert rows[1].split() == ["MT-QLoRA", "2m", "oom", "waits", "waits"]
    assert any(
        row.split() == ["base", "6m", "1:30,", "loss", "0.50", "waits", "waits"] for row in rows
    )
    assert sum("ST-QLoRA 2m" in row for row in rows) == 3
    assert "MT-FFT 6m train: 20 of 200, a note" in rows[-1]


def test_what_is_stored_already_is_told_apart(stages):
    left = [stage for stage in stages if stage.cell == "mt-fft-6m" and stage.stage != "train"]
    progress = shown(stages, terminal=True, left=left)
    row = next(row for row in drawn(progress).splitlines() if row.startswith("MT-FFT 6m"))
    assert row.split() == ["MT-FFT", "6m", "stored", "waits", "waits"]


def test_a_rate_is_that_since_the_training_was_taken_up(stages, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = shown(stages)
    train = one(stages, "cells/mt-fft-6m/multi-task/train")
    progress.show(Event("progress", train, 150, 200))  # resumed
    now[0] = 110.0
    progress.show(Event("progress", train, 160, 200))
    (line,) = progress._now()
    step = SMOKE.training.full.rows_per_step * SMOKE.training.row_tokens
    assert line == f"MT-FFT 6m train: 160 of 200, at most {step:,} tokens/s"


def test_a_low_terminal_says_how_many_models_have_no_room(stages):
    progress = shown(stages, terminal=True, height=12)
    assert "and 12 more models" in drawn(progress)


def test_a_terminal_gets_the_table_and_leaves_the_lines(stages):
    progress = shown(stages, terminal=True)
    with progress:
        progress.show(Event("finished", one(stages, "bases/2m/base"), record=DONE))
    assert any("base 2m base" in line and "left" not in line for line in lines(progress))


def test_memory_is_that_of_this_process_and_those_below_it(stages):
    memory = Memory()
    now = memory.now_bytes()
    assert now is not None and 10 * 2**20 < now < 2**36
    assert memory.peak_bytes == now
    assert "MiB now" in drawn(shown(stages, terminal=True, memory=memory))
    assert "MiB now" not in drawn(shown(stages, terminal=True))


def test_memory_is_asked_for_now_and_then_and_unknown_of_what_is_gone(monkeypatch):
    now = [0.0]
    memory = Memory(2**22 + 1, clock=lambda: now[0])
    assert memory.now_bytes() is None
    monkeypatch.setattr(livememory, "_share_bytes", lambda _: 5)
    assert memory.now_bytes() is None
    now[0] = 60.0
    assert (memory.now_bytes(), memory.peak_bytes) == (5, 5)
    assert livememory._share_bytes(os.getpid()) == 5
