"""Kills in the midst of the real stages: the same command ends with the same results."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from bench.measure import descendants
from tests.tiny_run import STAGES, Place, below, executed, finished, undisturbed

__all__ = ["finished", "undisturbed"]  # fixtures

pytestmark = pytest.mark.slow

CELL = "mt-qlora-tiny"
TRAIN, GENERATE, SCORE = below(CELL)


@pytest.fixture
def unfinished(finished: Place) -> Place:
    """The finished run without one cell."""
    shutil.rmtree(finished.run / "cells" / CELL)
    return finished


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in time"
        time.sleep(0.002)


def has_checkpoint(place: Place) -> bool:
    """Whether the training has finished a checkpoint, and so has some steps behind it."""
    return any((place.run / f"{TRAIN}.partial").glob("checkpoints/checkpoint-*/complete"))


def has_line(place: Place) -> bool:
    """Whether the generation has written a batch, and has others before it."""
    path = place.run / f"{GENERATE}.partial" / "generations.jsonl"
    return path.is_file() and path.stat().st_size > 0


def stage_process(runner: int, stage: Path) -> int:
    """The process that works in a stage's folder: its log is its standard output."""
    for pid, _ in descendants(runner):
        try:
            if Path(f"/proc/{pid}/fd/1").readlink() == stage / "log.txt":
                return pid
        except OSError:
            continue
    raise AssertionError(f"no process works in {stage}")


def all_gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)


def check_continued(place: Place, reference: Place, before, stages: list[str]) -> None:
    """The same command runs just these stages, continues the first, and ends the same."""
    done = place.execute(jobs=1)
    assert done.code == 0, done.said
    assert executed(before, place) == stages
    assert place.record(stages[0])["details"]["resumed"] is True
    assert place.outputs() == reference.outputs()
    here, there = (one.record(TRAIN)["details"] for one in (place, reference))
    assert (here["steps"], here["best_step"]) == (there["steps"], there["best_step"])
    assert here["losses"] == there["losses"]
    for stage in (TRAIN, GENERATE):
        assert place.record(stage)["tokens"] == reference.record(stage)["tokens"]
    assert not place.processes()


@pytest.mark.parametrize(
    ("midst", "stages"),
    [(has_checkpoint, [TRAIN, GENERATE, SCORE]), (has_line, [GENERATE, SCORE])],
    ids=["training", "generation"],
)
def test_a_killed_runner(unfinished: Place, undisturbed: Place, midst, stages) -> None:
    runner = unfinished.start(jobs=1)
    wait_until(lambda: midst(unfinished), "stage in its midst")
    runner.kill()
    started = {pid for pid, _ in descendants(runner.pid)} | set(unfinished.processes())
    runner.wait()
    wait_until(lambda: all_gone(started) and not unfinished.processes(), "end of all processes")
    partial = unfinished.run / f"{stages[0]}.partial"
    assert partial.is_dir(), "the stage was done before the kill: nothing was tested"
    before = unfinished.stamps()
    assert not set(stages) & set(before)
    kept = partial / "generations.jsonl"
    lines = kept.read_bytes() if kept.exists() else b""
    check_continued(unfinished, undisturbed, before, stages)
    if lines:
        final = unfinished.run / GENERATE / "generations.jsonl"
        assert final.read_bytes().startswith(lines.rpartition(b"\n")[0])


@pytest.mark.parametrize(
    ("midst", "stages"),
    [(has_checkpoint, [TRAIN, GENERATE, SCORE]), (has_line, [GENERATE, SCORE])],
    ids=["training", "generation"],
)
def test_a_killed_stage(unfinished: Place, undisturbed: Place, midst, stages) -> None:
    runner = unfinished.start(jobs=1)
    wait_until(lambda: midst(unfinished), "stage in its midst")
    pid = stage_process(runner.pid, unfinished.run / f"{stages[0]}.partial")
    os.kill(pid, signal.SIGKILL)
    ended = unfinished.wait(runner)
    assert ended.code == 1
    assert "killed by signal 9 SIGKILL" in ended.said
    assert not unfinished.processes()
    cell = next(cell for cell in unfinished.results()["cells"] if cell["id"] == CELL)
    (model,) = cell["models"]
    outcomes = {stage["name"]: stage["outcome"] for stage in model["stages"]}
    failed = stages[0].rpartition("/")[2]
    assert outcomes[failed] == "failed"
    assert outcomes["score"] == "skipped"
    check_continued(unfinished, undisturbed, unfinished.stamps(), stages)


def live_stage(runner: int, place: Place) -> int | None:
    """The process that works in a folder of the cell's stages; None between two of them."""
    for pid, _ in descendants(runner):
        try:
            log = Path(f"/proc/{pid}/fd/1").readlink()
        except OSError:
            continue
        if log.name == "log.txt" and log.is_relative_to(place.run / "cells" / CELL):
            return pid
    return None


def test_kills_at_any_moment(unfinished: Place, undisturbed: Place, request) -> None:
    """Each meets a live stage, of any kind; whatever is left ends as if there had been none."""
    kills, chance = request.config.getoption("--kills"), random.Random(20260115)
    met: list[str] = []
    while len(met) < kills:
        if (unfinished.run / SCORE).is_dir():
            shutil.rmtree(unfinished.run / "cells" / CELL)
        runner = unfinished.start(jobs=1)
        wait_until(lambda one=runner: live_stage(one.pid, unfinished), "stage")
        time.sleep(chance.expovariate(1))
        stage = live_stage(runner.pid, unfinished)
        if stage is not None:
            name = Path(f"/proc/{stage}/fd/1").readlink().parent.stem
            whole = len(met) % 2 == 0  # the runner, or the stage alone
            os.kill(runner.pid if whole else stage, signal.SIGKILL)
            met.append(f"{'runner' if whole else 'stage'} in {name}")
        runner.wait()
        wait_until(lambda: not unfinished.processes(), "end of all processes")
    print(", ".join(met))
    done = unfinished.execute(jobs=1)
    assert done.code == 0, done.said
    assert unfinished.outputs() == undisturbed.outputs()


def last_step(place: Place) -> int:
    """The step of the newest complete checkpoint; 0 without one."""
    complete = (place.run / f"{TRAIN}.partial").glob("checkpoints/checkpoint-*/complete")
    return max((int(path.parent.name.rpartition("-")[2]) for path in complete), default=0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end(unfinished: Place, undisturbed: Place, how) -> None:
    """Its training writes a checkpoint of the step that it is in, and goes on behind it."""
    runner = unfinished.start(jobs=1)
    wait_until(lambda: has_checkpoint(unfinished), "training in its midst")
    runner.send_signal(how)
    ended = unfinished.wait(runner)
    assert ended.code == 130, ended.said
    assert not unfinished.processes()
    record = json.loads((unfinished.run / f"{TRAIN}.partial" / "record.json").read_text())
    assert record["outcome"] == "interrupted"
    kept = last_step(unfinished)
    steps = undisturbed.record(TRAIN)["details"]["steps"]
    assert 0 < kept < steps
    done = unfinished.execute(jobs=1)
    assert done.code == 0, done.said
    assert unfinished.outputs() == undisturbed.outputs()
    here, there = (one.record(TRAIN)["details"] for one in (unfinished, undisturbed))
    assert (here["steps"], here["best_step"]) == (there["steps"], there["best_step"])
    valid = [[one["valid"] for one in each["losses"] if one["valid"]] for each in (here, there)]
    assert valid[0] == valid[1]


def test_a_mixture_is_tokenized_once(undisturbed: Place) -> None:
    trained = [stage for stage in STAGES if stage.endswith("/train")]
    told = [undisturbed.record(stage)["details"]["rows_cache"] for stage in trained]
    # Three of one task, and one mixture that both multi-task models share.
    assert len(told) == 5
    assert sorted(told) == ["made"] * 4 + ["reused"]
