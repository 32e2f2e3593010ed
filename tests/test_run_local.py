"""A stage's process starts ready: libraries loaded, environment set, log redirected."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.grid import store, study
from bench.grid.store import Store
from bench.records import Outcome, StageRecord
from bench.run.child import Task
from bench.run.job import Job
from bench.run.local import Local
from bench.run.slots import CPU, Slot

OWNER, KEY = "bases/2m", "a" * 64

STAGES = """
import decimal, logging, os, subprocess, sys, time
from bench.run.job import StageResult

def tell(job, work, meter, progress):
    environment = {name: os.environ.get(name) for name in job.options["names"]}
    return StageResult(details={
        "environment": environment,
        "preloaded": [name for name in job.options["modules"] if name in sys.modules],
        "hash": hash("text"),
    })

def noisy(job, work, meter, progress):
    print("from Python")
    subprocess.run(["echo", "from a program"], check=True)
    print("to stderr", file=sys.stderr)
    return StageResult()

def unpackable(job, work, meter, progress):
    return StageResult(details={"number": object()})

def lingering(job, work, meter, progress):
    try:
        progress(1, 10, "begun")
        time.sleep(60)
    finally:
        (work / "cleaned").write_text("yes")

def crash(job, work, meter, progress):
    import ctypes
    ctypes.string_at(0)

def parallel(job, work, meter, progress):
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return StageResult(details={"sum": sum(pool.map(abs, [-1, 2, -3]))})
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    (tmp_path / "local_stages.py").write_text(STAGES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Job(
        id=f"{OWNER}/base",
        stage="base",
        key=KEY,
        study=study.load("smoke"),
        cell=None,
        method=None,
        size="2m",
        model=None,
        tasks=("generation",),
        inputs={},
        options={
            "names": ["OMP_WAIT_POLICY", "OMP_NUM_THREADS", "PYTHONHASHSEED", "HF_HUB_OFFLINE"],
            "modules": ["decimal", "wsgiref", "graphlib"],
        },
    )


def until_exit(executor: Local, timeout_s: float = 120) -> list[Mapping[str, Any]]:
    messages: list[Mapping[str, Any]] = []
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        message = executor.poll(0.5)
        if message is not None:
            messages.append(message)
            if message["event"] == "exit":
                return messages
    raise AssertionError(f"no exit, only {messages}")


def one(
    job: Job, tmp_path: Path, function: str, slot: Slot = CPU, **options: Any
) -> tuple[StageRecord | None, Path]:
    results = Store(tmp_path / "run")
    work, resumed = results.prepare(OWNER, "base", KEY)
    with Local(**options) as executor:
        job = dataclasses.replace(job, slot=slot)
        executor.start(Task(job, f"local_stages:{function}", work, resumed), None)
        until_exit(executor)
    return store.read_record(work), work


def test_the_environment_is_set_before_python_starts(job: Job, tmp_path: Path) -> None:
    told = [one(job, tmp_path, "tell", Slot(threads=3), preload=())[0] for _ in range(2)]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0].details["environment"] == {
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "3",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
    }
    # Texts hash alike in every run, so that the order of a set of them cannot differ.
    assert told[0].details["hash"] == told[1].details["hash"]


def test_the_runners_own_environment_is_untouched(job: Job, tmp_path: Path) -> None:
    before = dict(os.environ)
    one(job, tmp_path, "tell", Slot(threads=3), preload=())
    assert dict(os.environ) == before


def test_modules_are_preloaded_and_absent_ones_tolerated(job: Job, tmp_path: Path) -> None:
    results = Store(tmp_path / "run")
    work, _ = results.prepare(OWNER, "base", KEY)
    with Local(preload=("no_such_module", "wsgiref")) as executor:
        executor.start(Task(job, "local_stages:tell", work, False), None)
        until_exit(executor)
        assert executor.ready is not None
        assert executor.ready["absent"] == ["no_such_module"]
        assert executor.ready["threads"] == 1
        assert executor.ready["cpu_s"] > 0
    record = store.read_record(work)
    assert record is not None
    assert "wsgiref" in record.details["preloaded"]
    assert "graphlib" not in record.details["preloaded"]


def test_all_output_goes_to_the_log(
    job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, work = one(job, tmp_path, "noisy", preload=())
    log = (work / "log.txt").read_text()
    assert sorted(log.split("\n")) == ["", "from Python", "from a program", "to stderr"]
    assert capfd.readouterr() == ("", "")


def test_a_result_that_is_not_plain_data_fails(job: Job, tmp_path: Path) -> None:
    record, work = one(job, tmp_path, "unpackable", preload=())
    assert record is not None
    assert record.outcome is Outcome.FAILED
    assert "Traceback" in (work / "log.txt").read_text()


def test_a_crash_leaves_its_trace_in_the_log(job: Job, tmp_path: Path) -> None:
    record, work = one(job, tmp_path, "crash", preload=())
    assert record is None
    assert "Segmentation fault" in (work / "log.txt").read_text()


def test_a_stage_may_use_processes_of_its_own(job: Job, tmp_path: Path) -> None:
    record, _ = one(job, tmp_path, "parallel", preload=())
    assert record is not None
    assert record.details["sum"] == 6


def test_a_stopped_stage_cleans_up(job: Job, tmp_path: Path) -> None:
    results = Store(tmp_path / "run")
    work, _ = results.prepare(OWNER, "base", KEY)
    with Local(preload=()) as executor:
        executor.start(Task(job, "local_stages:lingering", work, False), None)
        while (message := executor.poll(20)) and message["event"] != "progress":
            pass
        assert message is not None
        assert (message["done"], message["total"], message["note"]) == (1.0, 10.0, "begun")
        executor.stop(job.id, signal.SIGTERM)
        until_exit(executor)
    record = store.read_record(work)
    assert record is not None
    assert record.outcome is Outcome.INTERRUPTED
    assert (work / "cleaned").read_text() == "yes"


def test_leaving_ends_what_still_runs(job: Job, tmp_path: Path) -> None:
    results = Store(tmp_path / "run")
    work, _ = results.prepare(OWNER, "base", KEY)
    with Local(preload=()) as executor:
        executor.start(Task(job, "local_stages:lingering", work, False), None)
        while (message := executor.poll(20)) and message["event"] != "progress":
            pass
        (server,) = executor._servers.values()
        below = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        (pid,) = below.read_text().split()
    assert not Path(f"/proc/{pid}").exists()
