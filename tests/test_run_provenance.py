"""The provenance says what a run was made of, and nothing about who ran it."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from bench.grid import study
from bench.run import provenance

ROOT = Path(__file__).parent.parent


def collect(root: Path) -> dict[str, object]:
    return provenance.collect(
        study.load("smoke"),
        root,
        engine="venv",
        command=["python", "-m", "bench", "run"],
        threads=1,
        jobs=2,
        data={"train": {"functions.jsonl": "00"}},
    )


def test_it_is_plain_data_and_reads_back(tmp_path: Path) -> None:
    made = collect(ROOT)
    provenance.write(tmp_path / "run", made)
    assert provenance.read(tmp_path / "run") == made
    assert made["seed"] == 42
    assert made["environment"]["python"] == platform.python_version()  # type: ignore[index]
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
    (tmp_path / "a").write_text("1")
    run("add", "a")
    run("commit", "-q", "-m", "one")
    (tmp_path / "reports").write_text("results")
    told = provenance.git(tmp_path)
    assert told is not None
    assert (len(told["commit"]), told["dirty"]) == (40, False)
    (tmp_path / "a").write_text("2")
    assert provenance.git(tmp_path) == {**told, "dirty": True}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 7}'])
def test_a_broken_file_reads_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / provenance.FILE).write_text(content)
    assert provenance.read(tmp_path) is None


def test_gpus_are_told_by_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 570.1'\necho 'Other, [N/A], 570.1'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert provenance.gpus() == [
        {"name": "NVIDIA H200", "memory_bytes": 143771 * 2**20, "driver": "570.1"},
        {"name": "Other", "memory_bytes": None, "driver": "570.1"},
    ]
