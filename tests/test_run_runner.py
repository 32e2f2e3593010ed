"""The runner executes each stage once, in order, and survives what goes wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, MachineError
from bench.grid import intact, keys, store, study
from bench.grid.plan import PlannedStage, plan
from bench.grid.store import DiskError, State, Store
from bench.records import Outcome
from bench.run.local import Local
from bench.run.runner import Event, Summary, run
from bench.run.slots import Slots
from tests.amended import seal_again

TESTS = Path(__file__).parent
FUNCTIONS = dict.fromkeys(keys.ENTRIES, "fake_stages:stage")
INGREDIENTS = keys.Ingredients(sources={stage: {} for stage in keys.ENTRIES}, environment={})
CELL = "cells/mt-qlora-0.5m/multi-task"
BASE = "bases/0.5m"


@pytest.fixture(scope="module")
def smoke() -> study.Study:
    whole = study.load("smoke")
    return whole.model_copy(update={"sizes": whole.sizes[:1]})


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS))


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "run")


@dataclasses.dataclass
class Outcomes:
    summary: Summary
    events: list[Event]
    journal: list[list[str]]

    def outcome(self, stage: str) -> Outcome:
        return self.summary.records[stage].outcome


def execute(
    smoke: study.Study,
    results: Store,
    *,
    jobs: int = 2,
    gpus: tuple[int | str, ...] = (),
    limits_s: dict[str, float] | None = None,
    cells: tuple[str, ...] = (),
    **options: Any,
) -> Outcomes:
    journal = results.folder.parent / "journal.txt"
    journal.unlink(missing_ok=True)
    events: list[Event] = []
    with results.locked(), Local(preload=("bench.run.child",)) as executor:
        stages = planned(smoke, results, cells)
        summary = run(
            stages,
            smoke,
            results,
            executor,
            functions=FUNCTIONS,
            slots=Slots(jobs, gpus, cores=4),
            limits_s=limits_s,
            options={"journal": str(journal), **options},
            provenance="0123456789ab",
            on_event=events.append,
        )
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Outcomes(summary, events, [line.split(maxsplit=3) for line in lines])


def planned(
    smoke: study.Study, results: Store, patterns: tuple[str, ...] = ()
) -> tuple[PlannedStage, ...]:
    chosen = study.cells.select(study.expand(smoke), patterns)
    return plan(smoke, chosen, results, INGREDIENTS)


def outputs(results: Store) -> dict[str, str]:
    return {
        path.relative_to(results.folder).as_posix(): path.read_text()
        for path in results.folder.rglob("output.txt")
    }


def test_every_stage_runs_once_after_what_it_needs(smoke: study.Study, results: Store) -> None:
    done = execute(smoke, results)
    assert done.summary.ok
    assert not done.summary.interrupted
    assert len(done.summary.executed) == len(set(done.summary.executed)) == 3 + 5 * 3
    order = [(id_, what) for _, _, id_, what in done.journal]
    for stage in planned(smoke, results):
        assert stage.state is State.DONE
        for need in stage.needs:
            assert order.index((need, "end")) < order.index((stage.id, "start"))
    # One process per stage.
    assert len({pid for _, pid, _, _ in done.journal}) == 18
    record = done.summary.records[f"{CELL}/score"]
    assert record.details == {
        "inputs": ["base", "generate", "train"],
        "slot": {"gpus": [], "threads": 1},
        "device": "cpu",
        "built_on": {"generate": intact.digest(done.summary.records[f"{CELL}/generate"])},
    }
    assert set(record.files) == {"output.txt", "log.txt"}
    assert record.tokens is not None
    assert record.tokens.trained == 1
    assert [phase.name for phase in record.phases] == ["work"]
    assert record.provenance == "0123456789ab"
    assert record.software["python"] == platform.python_version()
    for stage in planned(smoke, results):
        made = (results.path(stage.owner, stage.stage) / "key.json").read_bytes()
        assert hashlib.sha256(made).hexdigest() == stage.key
    assert record.peak_rss_bytes is not None
    assert record.peak_rss_bytes > 5_000_000
    assert results.path(CELL, "score").joinpath("log.txt").read_text() == f"done {CELL}/score\n"
    assert not list(results.folder.rglob("*.partial"))
    kinds = {event.kind for event in done.events}
    assert kinds == {"started", "progress", "finished"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_at_most_jobs_run_at_once(smoke: study.Study, results: Store, jobs: int) -> None:
    done = execute(smoke, results, jobs=jobs, step_s=dict.fromkeys(keys.ENTRIES, 0.02))
    most = now = 0
    for _, _, _, what in sorted(done.journal):
        now += 1 if what == "start" else -1
        most = max(most, now)
    assert most == jobs


def test_a_second_run_does_nothing(smoke: study.Study, results: Store) -> None:
    execute(smoke, results)
    before = {path: path.stat().st_mtime_ns for path in results.folder.rglob("record.json")}
    again = execute(smoke, results)
    assert again.summary.ok
    assert again.summary.executed == ()
    assert again.events == []
    assert before == {p: p.stat().st_mtime_ns for p in results.folder.rglob("record.json")}


def test_only_a_deleted_cell_runs_again(smoke: study.Study, results: Store) -> None:
    execute(smoke, results)
    first = outputs(results)
    subprocess.run(["rm", "-r", str(results.folder / "cells" / "mt-fft-0.5m")], check=True)
    again = execute(smoke, results)
    owner = "cells/mt-fft-0.5m/multi-task"
    assert again.summary.executed == (f"{owner}/train", f"{owner}/generate", f"{owner}/score")
    assert outputs(results) == first


def test_what_was_altered_is_not_built_on_and_alone_made_anew(
    smoke: study.Study, results: Store
) -> None:
    execute(smoke, results, cells=("mt-qlora-*",))
    first = outputs(results)
    weights = results.path(CELL, "train") / "output.txt"
    weights.write_text("other weights")
    shutil.rmtree(results.path(CELL, "generate"))
    again = execute(smoke, results, cells=("mt-qlora-*",))
    record = again.summary.records[f"{CELL}/generate"]
    assert record.outcome is Outcome.FAILED
    assert record.reason == (
        f"{weights}: its SHA-256 is not the recorded one — delete {weights.parent} and give the "
        "run's command again: that stage alone is made anew"
    )
    shutil.rmtree(weights.parent)
    assert execute(smoke, results, cells=("mt-qlora-*",)).summary.ok
    assert outputs(results) == first


def test_what_was_built_on_another_training_is_stale(smoke: study.Study, results: Store) -> None:
    execute(smoke, results, cells=("mt-qlora-*",))
    trained = results.path(CELL, "train")
    (trained / "output.txt").write_text("not bit by bit the same, as on a GPU")
    seal_again(trained)
    states = {stage.id: stage for stage in planned(smoke, results, ("mt-qlora-*",))}
    assert states[f"{CELL}/train"].state is State.DONE
    assert states[f"{CELL}/generate"].state is State.STALE
    assert states[f"{CELL}/generate"].why == ("the train that it was built on was made anew",)
    again = execute(smoke, results, cells=("mt-qlora-*",))
    assert again.summary.ok
    assert f"{CELL}/generate" in again.summary.executed
    assert f"{CELL}/train" not in again.summary.executed


def test_one_cell_runs_with_its_base_only(smoke: study.Study, results: Store) -> None:
    done = execute(smoke, results, cells=("mt-qlora-*",))
    assert {stage.rsplit("/", 1)[0] for stage in done.summary.executed} == {BASE, CELL}


@pytest.mark.parametrize(
    ("behaviour", "outcome", "reason"),
    [
        ("raise", Outcome.FAILED, "ValueError: no such luck"),
        ("refuse", Outcome.FAILED, "no JDK — install one"),
        ("memory", Outcome.OOM, "MemoryError"),
        ("die", Outcome.FAILED, "killed by signal 9 SIGKILL"),
        ("exit", Outcome.FAILED, "ended with code 3 and left no record"),
    ],
)
def test_a_failure_takes_only_its_dependants(
    smoke: study.Study, results: Store, behaviour: str, outcome: Outcome, reason: str
) -> None:
    done = execute(smoke, results, behave={f"{CELL}/train": behaviour})
    record = done.summary.records[f"{CELL}/train"]
    assert (record.outcome, record.reason) == (outcome, reason)
    assert record.provenance == "0123456789ab"
    for stage in ("generate", "score"):
        skipped = done.summary.records[f"{CELL}/{stage}"]
        assert skipped.outcome is Outcome.SKIPPED
        assert skipped.reason == f"{CELL}/train ended as {outcome}"
    others = [r for id_, r in done.summary.records.items() if not id_.startswith(CELL)]
    assert all(record.outcome is Outcome.OK for record in others)
    states = {s.id: s.state for s in planned(smoke, results)}
    assert states[f"{CELL}/train"] is State.FAILED
    log = (results.work(CELL, "train") / "log.txt").read_text()
    assert ("Traceback" in log) == (behaviour in ("raise", "memory"))
    # The next run mends it, and runs nothing else.
    again = execute(smoke, results)
    assert again.summary.ok
    assert set(again.summary.executed) == {f"{CELL}/{s}" for s in ("train", "generate", "score")}


def test_a_failed_base_skips_its_whole_size(smoke: study.Study, results: Store) -> None:
    done = execute(smoke, results, behave={f"{BASE}/base": "raise"})
    assert done.summary.executed == (f"{BASE}/base",)
    assert {record.reason for record in done.summary.records.values()} == {
        "ValueError: no such luck",
        f"{BASE}/base ended as failed",
    }


def test_a_stage_past_its_limit_is_ended(smoke: study.Study, results: Store) -> None:
    done = execute(smoke, results, limits_s={"train": 0.3}, behave={f"{CELL}/train": "hang"})
    record = done.summary.records[f"{CELL}/train"]
    assert record.outcome is Outcome.TIMEOUT
    assert record.reason == "ran longer than its limit of 0.3 s"
    assert record.wall_s is not None


def test_what_a_stage_leaves_behind_is_ended(smoke: study.Study, results: Store) -> None:
    done = execute(smoke, results, behave={f"{BASE}/base": "orphan"})
    (orphan,) = [what.split()[1] for _, _, _, what in done.journal if what.startswith("orphan")]
    assert done.summary.ok
    assert not Path(f"/proc/{orphan}").exists()


def test_a_full_disk_stops_the_run_in_one_line(smoke: study.Study, results: Store) -> None:
    with pytest.raises(DiskError, match="no space left") as caught:
        execute(smoke, results, behave={f"{CELL}/train": "disk"})
    assert "\n" not in str(caught.value)
    assert results.path(BASE, "base").is_dir()
    assert execute(smoke, results).summary.ok


def test_a_disk_that_really_fills_loses_nothing(smoke: study.Study, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        results = Store(disk / "run")
        with pytest.raises(DiskError, match=f"no space left on the disk of {disk}"):
            execute(smoke, results, behave={f"{CELL}/train": "fill"})
        states = {stage.id: stage.state for stage in planned(smoke, results)}
        assert states[f"{BASE}/base"] is State.DONE
        (results.work(CELL, "train") / "weights").unlink()  # the user frees some space
        assert execute(smoke, results).summary.ok
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_dead_server_is_one_line(smoke: study.Study, results: Store) -> None:
    # A stage's parent is the server.
    code = "import os, signal\ndef stage(*_):\n    os.kill(os.getppid(), signal.SIGKILL)\n"
    (results.folder.parent / "murderous.py").write_text(code)
    sys.path.insert(0, str(results.folder.parent))
    try:
        with (
            pytest.raises(MachineError, match="ended with code -9"),
            results.locked(),
            Local(preload=()) as executor,
        ):
            functions = dict.fromkeys(keys.ENTRIES, "murderous:stage")
            run(planned(smoke, results), smoke, results, executor, functions=functions)
    finally:
        sys.path.remove(str(results.folder.parent))


RUNNER = """
import json, sys
from pathlib import Path
sys.path[:0] = {path!r}
import importlib.util
spec = importlib.util.spec_from_file_location("runner_tests", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules["runner_tests"] = module
spec.loader.exec_module(module)
whole = module.study.load("smoke")
smoke = whole.model_copy(update={{"sizes": whole.sizes[:1]}})
done = module.execute(smoke, module.Store(Path({folder!r})), step_s={{'train': 0.1}}, steps=10)
print(json.dumps({{"interrupted": done.summary.interrupted, "ok": done.summary.ok}}))
"""


def launch(folder: Path) -> subprocess.Popen[str]:
    path = [str(TESTS), str(TESTS.parent)]
    code = RUNNER.format(path=path, file=__file__, folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for_training(results: Store) -> list[tuple[int, str]]:
    """The journal's (process, stage) of the stages that run once training has begun."""
    journal = results.folder.parent / "journal.txt"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        lines = (
            [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []
        )
        ended = {line[2] for line in lines if line[3] == "end"}
        live = [(int(line[1]), line[2]) for line in lines if line[2] not in ended]
        if any(_is_training(results, stage) for _, stage in live):
            return live
        time.sleep(0.01)
    raise AssertionError("no training began")


def _is_training(results: Store, stage: str) -> bool:
    """Whether a training is in the middle of its steps."""
    output = results.work(*stage.rsplit("/", 1)) / "output.txt"
    return stage.endswith("train") and output.exists() and len(output.read_text().splitlines()) >= 2


@pytest.fixture(scope="module")
def undisturbed(smoke: study.Study, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run leaves that nobody disturbs."""
    reference = Store(tmp_path_factory.mktemp("reference") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        execute(smoke, reference, steps=10)
    return outputs(reference)


def test_a_killed_runner_leaves_nothing_and_continues(
    smoke: study.Study, results: Store, undisturbed: dict[str, str]
) -> None:
    runner = launch(results.folder)
    live = wait_for_training(results)
    runner.kill()
    runner.wait()
    # The new runner waits for the last one's stages by itself: no sleep here.
    again = execute(smoke, results, steps=10)
    assert not any(Path(f"/proc/{pid}").exists() for pid, _ in live)
    assert again.summary.ok
    assert 0 < len(again.summary.executed) < 18
    resumed = [r for r in again.summary.records.values() if r.details.get("resumed")]
    assert resumed
    assert outputs(results) == undisturbed


def test_a_killed_stage_fails_and_continues(
    smoke: study.Study, results: Store, undisturbed: dict[str, str]
) -> None:
    runner = launch(results.folder)
    pid, stage = next((p, s) for p, s in wait_for_training(results) if s.endswith("train"))
    os.kill(pid, signal.SIGKILL)
    said = json.loads(runner.communicate()[0])
    assert said == {"interrupted": False, "ok": False}
    record = results.record(*stage.rsplit("/", 1))
    assert record is not None
    assert record.reason == "killed by signal 9 SIGKILL"
    again = execute(smoke, results, steps=10)
    assert set(again.summary.executed) == {
        f"{stage.rsplit('/', 1)[0]}/{name}" for name in ("train", "generate", "score")
    }
    assert again.summary.records[stage].details["resumed"] is True
    assert outputs(results) == undisturbed


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_and_continues(
    smoke: study.Study, results: Store, undisturbed: dict[str, str], how: signal.Signals
) -> None:
    runner = launch(results.folder)
    live = wait_for_training(results)
    runner.send_signal(how)
    said = json.loads(runner.communicate(timeout=120)[0])
    assert said == {"interrupted": True, "ok": False}
    assert not any(Path(f"/proc/{pid}").exists() for pid, _ in live)
    record = store.read_record(results.work(*live[-1][1].rsplit("/", 1)))
    assert record is not None
    assert record.outcome is Outcome.INTERRUPTED
    again = execute(smoke, results, steps=10)
    assert again.summary.ok
    assert outputs(results) == undisturbed


def test_two_runners_exclude_each_other(smoke: study.Study, results: Store) -> None:
    runner = launch(results.folder)
    wait_for_training(results)
    with pytest.raises(BenchError, match=f"in use by process {runner.pid}"):
        execute(smoke, results)
    runner.terminate()
    assert json.loads(runner.communicate()[0])["interrupted"] is True
