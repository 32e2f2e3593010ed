"""``kill -9`` in the midst of the real stages: the same command ends with the same results."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from bench.measure import descendants
from tests.tiny_run import Place, below, executed, finished, undisturbed

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
