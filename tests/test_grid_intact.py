"""No stage is built on, and none reported, that is not what its record says."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError
from bench.grid import intact, store
from bench.grid.store import Store
from bench.records import Outcome, StageRecord
from bench.run.outcomes import bare_record
from tests.amended import amend

OWNER = "cells/mt-qlora-2m/multi-task"
FILES = {"model/adapter_model.safetensors": b"weights", "model/config.json": b"{}", "log.txt": b""}


def finish(folder: Path, stage: str, files: dict[str, bytes] = FILES) -> Path:
    """A finished stage with some files."""
    results = Store(folder)
    work, _ = results.prepare(OWNER, stage, "a" * 64)
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    store.seal(work, bare_record("a" * 64, stage, Outcome.OK, None))
    results.publish(OWNER, stage)
    return results.path(OWNER, stage)


def record_of(stage: Path) -> StageRecord:
    return intact.read(stage)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def move_out(path: Path) -> None:
    path.rename(path.parents[5] / "elsewhere")
    path.symlink_to(path.parents[5] / "elsewhere")


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (lambda path: path.write_bytes(b"weightz"), "SHA-256 is not the recorded one"),
    "cut": (lambda path: path.write_bytes(b"weig"), "SHA-256 is not the recorded one"),
    "longer": (lambda path: path.write_bytes(b"weights!"), "SHA-256 is not the recorded one"),
    "lost": (Path.unlink, "is missing"),
    "endless device": (replace_by_link, "is missing"),
    "pipe": (replace_by_fifo, "is missing"),
    "folder": (replace_by_folder, "is missing"),
    "loop": (loop, "is missing"),
    "moved": (move_out, "lies outside the stage's folder"),
    "another beside it": (
        lambda path: path.with_name("pytorch_model.bin").write_bytes(b"x"),
        "pytorch_model.bin: is not in the stage's record",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_a_stage_takes_is_what_was_recorded(tmp_path: Path, damage: str) -> None:
    train = finish(tmp_path, "train")
    inputs = {"train": train}
    assert intact.taken("generate", inputs) == {"train": intact.digest(record_of(train))}
    change, told = DAMAGE[damage]
    change(train / "model" / "adapter_model.safetensors")
    with pytest.raises(DataError, match=told) as error:
        intact.taken("generate", inputs)
    assert str(train) in error.value.problem
    assert f"delete {train} and give the run's command again" in error.value.hint
    assert intact.taken("score", inputs) == {}  # scoring reads no weights


@pytest.mark.parametrize("name", [".DS_Store", "model/._config.json", "Thumbs.db"])
def test_what_a_desktop_leaves_behind_keeps_nothing_from_running(tmp_path: Path, name: str) -> None:
    train = finish(tmp_path, "train")
    (train / name).write_bytes(b"Bud1")
    assert intact.taken("generate", {"train": train})


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "x" * 300, "a\0b", ""])
def test_a_recorded_name_of_any_kind_is_told(tmp_path: Path, name: str) -> None:
    train = finish(tmp_path, "train")
    amend(train / "record.json", files={name: "0" * 64})
    with pytest.raises(DataError, match=r"outside|missing"):
        intact.taken("generate", {"train": train})


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_no_altered_record_is_built_on(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    """A changed byte is noticed wherever it changes what the record says."""
    folder = tmp_path_factory.mktemp("altered")
    train = finish(folder, "train")
    path = train / "record.json"
    content = path.read_bytes()
    before = record_of(train)
    at %= len(content)
    path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    read = store.read_record(train)
    assert read is None or read == before


def test_a_record_of_an_older_kit_has_no_digest_and_is_read(tmp_path: Path) -> None:
    train = finish(tmp_path, "train")
    path = train / "record.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert intact.taken("generate", {"train": train})


def test_a_stage_that_failed_or_is_not_there_is_not_built_on(tmp_path: Path) -> None:
    train = finish(tmp_path, "train")
    amend(train / "record.json", outcome="oom")
    with pytest.raises(DataError, match=r"record\.json: is of no success"):
        intact.taken("generate", {"train": train})
    (train / "record.json").unlink()
    with pytest.raises(DataError, match=r"record\.json: is missing or damaged"):
        intact.taken("generate", {"train": train})


def test_a_stage_made_anew_is_told_from_the_one_that_was_built_on(tmp_path: Path) -> None:
    train = record_of(finish(tmp_path, "train"))
    details = {intact.BUILT_ON: {"train": intact.digest(train)}}
    later = dataclasses.replace(train, stage="generate", details=details)
    logged = record_of(finish(tmp_path, "train", {**FILES, "log.txt": b"another machine"}))
    assert intact.made_anew(later, {"train": logged}) is None
    again = record_of(finish(tmp_path, "train", {**FILES, "model/config.json": b"[]"}))
    assert intact.made_anew(later, {"train": again}) == "train"
    assert intact.made_anew(later, {}) is None
    assert intact.made_anew(train, {"train": again}) is None  # an older kit's tells nothing
