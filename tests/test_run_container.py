"""Stages in real containers: what they see, what they use, and that nothing of them is left.

Needs --slow, an engine and the image `run`; without them everything here is skipped, with
the command that builds it. CI builds it first.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.containers import engine as engines
from bench.containers import images
from bench.containers.engine import Engine
from bench.errors import MachineError
from bench.grid.store import Store, read_record
from bench.records import Outcome, StageRecord
from bench.run import container
from bench.run.child import Task
from bench.run.job import Job
from bench.run.slots import CPU, Slot
from tests.container_runner import OWNER, around, job

pytestmark = pytest.mark.slow  # not by their time: unit tests need neither engine nor images

TESTS = Path(__file__).parent
KEY = "k" * 64


@pytest.fixture(scope="module")
def engine() -> Engine:
    try:
        return engines.find()
    except MachineError as error:
        pytest.skip(f"needs a container engine: {error}")


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    found = images.here(engine, "run", images.Wanted())
    if found is None:
        pytest.skip("needs the image run: nox -s images")
    return found.reference


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Store]:
    # The container's user has to pass through what pytest keeps to itself.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    store = Store(tmp_path / "run")
    with store.locked():
        yield store


@pytest.fixture
def containers(
    engine: Engine, image: str, results: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[container.Containers]:
    given = {"run": image, "score": image}
    with container.Containers(
        engine,
        given,
        results.folder,
        around(),
        preload=dict.fromkeys(("run", "score"), ("decimal",)),
    ) as started:
        yield started
    assert left_behind(engine, results.folder) == []


def left_behind(engine: Engine, folder: Path) -> list[str]:
    """Containers, control groups, mounts and folders that a run has not cleared away."""
    deadline = time.monotonic() + 120
    while (found := _left_now(engine, folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _left_now(engine: Engine, folder: Path) -> list[str]:
    found = engine.names(f"{container.LABEL}={container.label(folder)}")
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if str(folder) in line]
    prefix = container.prefix(folder)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    found += [line for line in listed.stdout.splitlines() if prefix in line]
    return found + [path.name for path in folder.glob(".control-*")]


def finish(
    containers: container.Containers,
    results: Store,
    function: str,
    what: Job,
    *,
    during: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> tuple[StageRecord | None, Mapping[str, Any]]:
    owner = what.id.rpartition("/")[0]
    work, resumed = results.prepare(owner, what.stage, what.key)
    containers.start(Task(what, f"container_stages:{function}", work, resumed), results.lock_fd)
    while (message := containers.poll(1)) is None or message["event"] != "exit":
        if message is not None:
            during(message)
    return read_record(work), message


def test_a_stage_sees_its_inputs_and_writes_into_its_folder_alone(containers, results, tmp_path):
    base = results.folder / "bases" / "0.5m" / "base"
    base.mkdir(parents=True)
    (base / "weights").write_text("some")
    folder = results.folder
    paths = [container.ROOT, folder, folder / OWNER, base, base.parent, "/", "/usr", "/etc"]
    options = {"paths": [str(path) for path in paths]}
    record, _ = finish(
        containers, results, "look", job(KEY, options=options, inputs={"base": base})
    )
    assert record is not None
    assert record.outcome is Outcome.OK
    seen = record.details
    assert set(seen["written"].values()) <= {"OSError", "PermissionError"}
    assert seen["network"] == ["OSError", ["lo"]]
    assert seen["uid"] == engines_user(containers)
    assert int(seen["capabilities"], 16) == 0
    assert seen["no_new_privileges"] == "1"
    assert seen["server"] == 1
    assert seen["inputs"] == {"base": ["weights"]}
    result = results.work(OWNER, "base") / "result.txt"
    assert result.read_text() == "written"
    assert result.stat().st_uid == os.geteuid()


def engines_user(containers: container.Containers) -> int:
    return containers._engine.user[0]


def test_one_container_serves_a_cell_and_tells_each_stage_s_use(containers, engine, results):
    first, _ = finish(containers, results, "use", job(KEY, options={"mib": 120}))
    names = engine.names(f"{container.LABEL}={container.label(results.folder)}")
    second, _ = finish(containers, results, "use", job("m" * 64, options={"mib": 40}))
    assert len(names) == 1
    assert engine.names(f"{container.LABEL}={container.label(results.folder)}") == names
    assert first is not None
    assert second is not None
    used = [record.details["container"] for record in (first, second)]
    assert 120 << 20 < used[0]["peak_bytes"] < 300 << 20
    assert used[0]["exact"]
    assert 40 << 20 < used[1]["peak_bytes"] < used[0]["peak_bytes"]
    assert not used[1]["exact"]  # the first stage's mark stands higher
    assert all(0.6 <= use["cpu_s"] < 6 for use in used)


def test_a_results_folder_may_be_named_from_where_one_stands(engine, image, results, monkeypatch):
    monkeypatch.chdir(results.folder.parent)
    near = Store(Path(results.folder.name))
    given = {"run": image, "score": image}
    with container.Containers(engine, given, near.folder, around(), preload={}) as started:
        record, _ = finish(started, near, "use", job(KEY, options={"mib": 1}))
    assert record is not None
    assert record.outcome is Outcome.OK


def test_another_cell_gets_another_container(containers, engine, results):
    finish(containers, results, "use", job(KEY, options={"mib": 1}))
    before = engine.names(f"{container.LABEL}={container.label(results.folder)}")
    assert containers.warm("base", results.work(OWNER, "base"))
    other = job(KEY, owner="bases/6m", options={"mib": 1})
    assert not containers.warm("base", results.work("bases/6m", "base"))
    finish(containers, results, "use", other)
    after = engine.names(f"{container.LABEL}={container.label(results.folder)}")
    assert len(after) == 1
    assert after != before


def test_a_stage_that_takes_too_much_memory_ends_alone(containers, results, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    record, message = finish(containers, results, "use", job(KEY, options={"mib": 4096}))
    assert record is None
    assert message["code"] == -signal.SIGKILL
    again, _ = finish(containers, results, "use", job("m" * 64, options={"mib": 1}))
    assert again is not None
    assert again.outcome is Outcome.OK
    assert list(here.iterdir()) == []  # podman's monitor would note it where it was started


def test_what_a_stage_raises_is_its_record(containers, results):
    record, _ = finish(containers, results, "fail", job(KEY))
    assert record is not None
    assert (record.outcome, record.reason) == (Outcome.FAILED, "RuntimeError: as asked")


def test_a_stage_can_be_told_to_end(containers, results):
    record, _ = finish(
        containers,
        results,
        "wait",
        job(KEY),
        during=lambda message: (
            containers.stop(f"{OWNER}/base", signal.SIGTERM)
            if message["event"] == "progress"
            else None
        ),
    )
    assert record is not None
    assert record.outcome is Outcome.INTERRUPTED


def test_a_container_that_is_killed_ends_its_stage(containers, engine, results):
    def kill(message: Mapping[str, Any]) -> None:
        if message["event"] == "progress":
            engine.remove(*engine.names(f"{container.LABEL}={container.label(results.folder)}"))

    record, message = finish(containers, results, "wait", job(KEY), during=kill)
    assert record is None
    assert message["code"] != 0


def test_an_image_that_is_not_there_is_one_clear_line(engine, results):
    absent = {"run": "localhost/bench-absent", "score": "localhost/bench-absent"}
    with (
        container.Containers(engine, absent, results.folder, around()) as started,
        pytest.raises(MachineError, match=r"could not be started.*bench-absent"),
    ):
        finish(started, results, "use", job(KEY, options={"mib": 1}))
    assert left_behind(engine, results.folder) == []


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGTERM, signal.SIGINT)),
    ],
)
def test_nothing_is_left_of_a_runner_that_was_killed(engine, image, results, tmp_path, how):
    folder = tmp_path / "killed"
    command = [sys.executable, str(TESTS / "container_runner.py"), str(folder), image, "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "begun\n"
        runner.send_signal(how)
        runner.wait(20)
    assert left_behind(engine, folder) == []
    with Store(folder).locked():  # what held it is gone, too
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may describe devices")
def test_a_described_gpu_reaches_the_container(engine, image, results):
    """A stand-in for NVIDIA's description shows that the arguments are what podman wants."""
    if engine.name != "podman":
        pytest.skip("docker knows no device descriptions here")
    description = Path("/etc/cdi/bench-test.json")
    if engines.cdi_devices():
        pytest.skip("this machine describes real GPUs")
    node = {"path": "/dev/bench-gpu", "hostPath": "/dev/null", "type": "c", "major": 1, "minor": 3}
    device = {"name": "3", "containerEdits": {"deviceNodes": [node]}}
    content = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [device]}
    made = not description.parent.exists()
    description.parent.mkdir(exist_ok=True)
    description.write_text(json.dumps(content))
    try:
        given = {"run": image, "score": image}
        with container.Containers(engine, given, results.folder, around(), preload={}) as started:
            for slot in (Slot((3,)), CPU):
                asked = job(KEY, slot=slot, options={"paths": []})
                record, _ = finish(started, results, "look", asked)
                assert record is not None
                assert record.details["gpu_node"] is bool(slot.gpus)
                # The container of a GPU ends with its stage.
                names = engine.names(f"{container.LABEL}={container.label(results.folder)}")
                assert bool(names) is not bool(slot.gpus)
    finally:
        description.unlink()
        if made:
            description.parent.rmdir()
