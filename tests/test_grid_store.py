"""No kill, full disk or foreign file makes a stage look done that is not."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.grid import store
from bench.grid.store import DiskError, State, Store
from bench.records import DevicePeak, Outcome, Phase, StageRecord, Tokens

OWNER, KEY = "cells/mt-fft-2m/multi-task", "a" * 64
ROOT = Path(__file__).parent.parent
RECORD = StageRecord(
    key=KEY,
    stage="train",
    outcome=Outcome.OK,
    reason=None,
    phases=(Phase("load", 1.0, 2.0, 3, DevicePeak(4, 5, None), 0.5), Phase("train", 1, 2, 3)),
    wall_s=2.5,
    cpu_s=4.0,
    peak_rss_bytes=10,
    peak_device_bytes=5,
    tokens=Tokens(3, 2, 1),
    artifact_bytes=7,
    files={},
    details={"losses": [1.0, 0.5], "note": "é"},
)


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def finish(results: Store, content: str = "weights") -> StageRecord:
    work, _ = results.prepare(OWNER, "train", KEY)
    (work / "model").mkdir(exist_ok=True)
    (work / "model" / "adapter.bin").write_text(content)
    record = store.seal(work, RECORD)
    results.publish(OWNER, "train")
    return record


def test_a_record_reads_back_as_it_was_written(results: Store) -> None:
    record = finish(results)
    assert results.record(OWNER, "train") == record
    assert results.record(OWNER, "train", KEY) == record
    assert results.record(OWNER, "train", "b" * 64) is None
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert record.files == {"model/adapter.bin": sha256}
    written = json.loads((results.path(OWNER, "train") / "record.json").read_text())
    assert written["schema"] == 1
    assert written["tokens"] == {"processed": 3, "real": 2, "trained": 1}
    assert sorted(p.name for p in results.path(OWNER, "train").iterdir()) == [
        "model",
        "record.json",
    ]


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    import dataclasses

    store.write_record(tmp_path, dataclasses.replace(RECORD, details={"loss": math.nan}))
    read = store.read_record(tmp_path)
    assert read is not None
    assert read.details == {"loss": None}


@pytest.mark.parametrize("length", [0, 1, 40, -2])
def test_a_truncated_record_reads_as_missing(results: Store, length: int) -> None:
    finish(results)
    path = results.path(OWNER, "train") / "record.json"
    path.write_bytes(path.read_bytes()[:length])
    assert results.record(OWNER, "train") is None
    assert results.state(OWNER, "train", KEY) is State.MISSING


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"key": 7},
        {"outcome": "fine"},
        {"phases": [{"name": "load"}]},
        {"files": None},
    ],
)
def test_a_foreign_record_reads_as_missing(results: Store, change: dict[str, Any]) -> None:
    finish(results)
    path = results.path(OWNER, "train") / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert results.state(OWNER, "train", KEY) is State.MISSING


def test_a_lost_output_is_a_lost_stage(results: Store) -> None:
    finish(results)
    assert results.state(OWNER, "train", KEY) is State.DONE
    assert results.state(OWNER, "train", "b" * 64) is State.STALE
    (results.path(OWNER, "train") / "model" / "adapter.bin").unlink()
    assert results.state(OWNER, "train", KEY) is State.MISSING


def test_work_is_continued_only_for_its_own_key(results: Store) -> None:
    work, resumed = results.prepare(OWNER, "train", KEY)
    assert not resumed
    (work / "checkpoints").mkdir()
    (work / "checkpoints" / "step-1").write_text("x")
    assert results.prepare(OWNER, "train", KEY) == (work, True)
    assert (work / "checkpoints" / "step-1").exists()
    assert results.prepare(OWNER, "train", "b" * 64) == (work, False)
    assert not (work / "checkpoints").exists()


def test_checkpoints_do_not_outlive_their_stage(results: Store) -> None:
    work, _ = results.prepare(OWNER, "train", KEY)
    (work / "checkpoints").mkdir()
    (work / "checkpoints" / "step-1").write_text("x")
    record = finish(results)
    assert list(record.files) == ["model/adapter.bin"]
    assert not (results.path(OWNER, "train") / "checkpoints").exists()


def test_the_former_result_stays_until_the_new_one_is_whole(results: Store) -> None:
    finish(results, "old")
    work, _ = results.prepare(OWNER, "train", KEY)
    (work / "half").write_text("x")
    assert results.state(OWNER, "train", KEY) is State.DONE
    finish(results, "new")
    assert (results.path(OWNER, "train") / "model" / "adapter.bin").read_text() == "new"
    assert sorted(p.name for p in results.path(OWNER, "train").parent.iterdir()) == ["train"]


@pytest.mark.parametrize("moved", [0, 1])
def test_a_publication_that_was_cut_short_is_settled(results: Store, moved: int) -> None:
    """The runner died after the record was written: before any rename, or between the two."""
    finish(results, "old")
    work, _ = results.prepare(OWNER, "train", KEY)
    (work / "model").mkdir()
    (work / "model" / "adapter.bin").write_text("new")
    store.seal(work, RECORD)
    final = results.path(OWNER, "train")
    if moved:
        final.rename(final.with_name("train.replaced"))
    with results.locked():
        assert results.state(OWNER, "train", KEY) is State.DONE
    assert (final / "model" / "adapter.bin").read_text() == "new"
    assert [path.name for path in final.parent.iterdir()] == ["train"]


def test_reports_stand_until_a_stage_comes_or_goes(results: Store) -> None:
    finish(results)
    assert not results.reported()
    for name in (store.RESULTS, store.STATISTICS, store.CLAIMS, store.MARKDOWN, store.HTML):
        (results.folder / name).write_text("report")
    assert results.reported()
    finish(results, "other weights")
    assert not results.reported()
    (results.folder / store.RESULTS).write_text("report")
    assert not results.reported(), "the others are older than the stage"
    for name in (store.STATISTICS, store.CLAIMS, store.MARKDOWN, store.HTML):
        (results.folder / name).write_text("report")
    assert results.reported()
    shutil.rmtree(results.path(OWNER, "train"))
    assert not results.reported()


def test_one_runner_at_a_time(results: Store) -> None:
    other = Store(results.folder)
    with (
        results.locked(),
        pytest.raises(BenchError, match=rf"run is in use by process {os.getpid()}"),
        other.locked(),
    ):
        raise AssertionError("both hold the lock")
    with other.locked():
        pass


def test_a_lock_falls_with_its_holder(results: Store) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from bench.grid.store import Store\n"
        "with Store(Path(sys.argv[1])).locked():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(results.folder)], cwd=ROOT, check=False)
    with results.locked():
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk: Path) -> None:
    results = Store(small_disk / "run")
    finish(results)
    with pytest.raises(DiskError, match="no space left on the disk of ") as caught:  # noqa: SIM117
        with store.writing(small_disk):
            (small_disk / "filler").write_bytes(b"x" * 2**20)
    assert "free some there" in caught.value.hint
    assert results.state(OWNER, "train", KEY) is State.DONE
    with pytest.raises(DiskError, match="no space left"):
        while True:  # small files: until a folder, a key or a record does not fit
            results.prepare(f"cells/{os.urandom(4).hex()}/model", "train", KEY)
    assert results.state(OWNER, "train", KEY) is State.DONE


def test_an_unwritable_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot write"), Store(tmp_path / "file" / "run").locked():
        pass

    def forbid(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", forbid)
    with pytest.raises(DiskError, match=r"cannot write .*run: Permission denied") as caught:  # noqa: SIM117
        with Store(tmp_path / "run").locked():
            pass
    assert "name another folder" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/other/x"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (PermissionError(errno.EACCES, "Permission denied", "/run/x/y"), True),
        (PermissionError(errno.EACCES, "Permission denied", "/elsewhere"), False),
        (FileNotFoundError(errno.ENOENT, "No such file", "/run/x/y"), False),
        (ValueError("no"), False),
    ],
)
def test_which_errors_are_the_disks(error: BaseException, told: bool) -> None:
    assert (store.disk_error(error, Path("/run/x")) is not None) == told


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "😀" * 63])
def test_a_file_of_the_longest_name_is_written(tmp_path: Path, name: str) -> None:
    store.write_atomic(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_that_becomes_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="File name too long"), store.writing(tmp_path):
        store.write_atomic(tmp_path / ("x" * 300), b"")
