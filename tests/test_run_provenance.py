"""The provenance says what a run was made of, and nothing about who ran it."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from bench.grid import intact, study
from bench.records import Outcome
from bench.run import provenance, software
from bench.run.outcomes import bare_record
from bench.run.slots import Slots

ROOT = Path(__file__).parent.parent


def collect(root: Path) -> dict[str, object]:
    return provenance.collect(
        study.load("smoke"),
        root,
        executor="venv",
        command=["python", "-m", "bench", "run"],
        slots=Slots(2),
        data={"train": {"functions.jsonl": "00"}},
    )


def test_it_is_plain_data_and_reads_back(tmp_path: Path) -> None:
    made = collect(ROOT)
    name = provenance.write(tmp_path / "run", made, study.load("smoke"))
    assert provenance.read(tmp_path / "run") == made
    each = tmp_path / "run" / "provenance" / f"{name}.json"
    assert json.loads(each.read_text()) == made
    assert made["seed"] == 42
    assert made["libraries"]["python"] == platform.python_version()  # type: ignore[index]
    assert made["libraries"]["numpy"]  # type: ignore[index]
    assert made["machine"]["memory_bytes"] > 2**28  # type: ignore[index]


def test_it_holds_nothing_about_the_host_or_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_value")
    told = json.dumps(collect(ROOT))
    assert "hf_secret_value" not in told
    assert f'"{platform.node()}"' not in told
    assert f'"{getpass.getuser()}"' not in told


def test_dirtiness_is_of_tracked_files_only(tmp_path: Path) -> None:
    roles = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    identity = {f"GIT_{role}": "x" for role in roles}

    def run(*arguments: str) -> None:
        environment = {**os.environ, **identity}
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, env=environment)

    assert provenance.git(tmp_path) is None
    run("init", "-q")
    tracked = tmp_path / "datasets" / "sources.tsv"
    tracked.parent.mkdir()
    tracked.write_text("1")
    run("add", ".")
    run("commit", "-q", "-m", "one")
    (tmp_path / "reports").write_text("results")
    told = provenance.git(tmp_path)
    assert told is not None
    assert (len(told["commit"]), told["dirty"]) == (40, False)
    tracked.write_text("2")
    assert provenance.git(tmp_path) == {**told, "dirty": True}
    # A kit that was unpacked in somebody else's repository has no commit of its own.
    unpacked = tmp_path / "kit"
    (unpacked / "datasets").mkdir(parents=True)
    (unpacked / "datasets" / "sources.tsv").write_text("1")
    assert provenance.git(unpacked) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 7}'])
def test_a_broken_file_reads_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / provenance.RUN).write_text(content)
    assert provenance.read(tmp_path) is None


def test_gpus_are_told_by_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 570.1'\necho 'Other, [N/A], 570.1'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert provenance.shown_gpus() == [
        {"name": "NVIDIA H200", "memory_bytes": 143771 * 2**20, "driver": "570.1"},
        {"name": "Other", "memory_bytes": None, "driver": "570.1"},
    ]


def test_each_invocation_that_differs_has_a_file_of_its_own(tmp_path: Path) -> None:
    smoke, first = study.load("smoke"), collect(ROOT)
    name = provenance.write(tmp_path, first, smoke)
    again = {**first, "time": "2030-01-01T00:00:00+00:00"}
    assert provenance.write(tmp_path, again, smoke) == name
    other = {**first, "command": ["bench", "run", "--cells", "mt-*"]}
    assert provenance.write(tmp_path, other, smoke) != name
    kept = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("provenance/*.json")}
    assert sorted(one["command"][-1] for one in kept.values()) == ["mt-*", "run"]
    assert kept[name] == first, "the first of its kind is kept"
    assert all(intact.name_of(content) == one for one, content in kept.items())
    assert provenance.read(tmp_path) == other, "run.json is the last one"
    stored = study.Study.model_validate_json((tmp_path / "study.json").read_bytes())
    assert stored == smoke


def test_in_containers_the_stages_tell_their_libraries(tmp_path: Path) -> None:
    images = {"run": {"reference": "localhost/bench-run:1", "id": "1" * 64}}
    made = provenance.collect(
        study.load("smoke"),
        ROOT,
        executor="container",
        engine={"name": "podman", "version": "4.3.1"},
        images=images,
        command=["bench", "run"],
        slots=Slots(2),
        data={},
    )
    assert made["libraries"] == {}, "this process is in no container"
    assert made["images"] == images
    name = provenance.write(tmp_path, made, study.load("smoke"))
    bare = bare_record("0" * 64, "train", Outcome.OK, None)
    told = ({"python": "3.11.2", "torch": "2.13.0"}, {"python": "3.11.2", "torch": None})
    records = [dataclasses.replace(bare, software=one) for one in told]
    provenance.complete(tmp_path, records)
    last = provenance.read(tmp_path)
    assert last is not None
    assert last["libraries"] == {"python": "3.11.2", "torch": "2.13.0"}
    each = json.loads((tmp_path / "provenance" / f"{name}.json").read_text())
    assert each == made


def test_two_versions_stand_beside_each_other() -> None:
    told = [{"torch": "2.13.0", "lizard": None}, {"torch": "2.12.0", "lizard": None}]
    assert software.united(told) == {"torch": "2.13.0 and 2.12.0", "lizard": None}


def test_a_base_of_the_hub_is_named_with_its_revision() -> None:
    revisions = provenance.models(study.load("paper"))
    assert all("@" in revision for revision in revisions.values())
    assert set(provenance.models(study.load("smoke")).values()) == {"made by the kit"}
