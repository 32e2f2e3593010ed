"""Runs of the tiny study through the real command line, and what the tests ask of them.

The study (``tests/studies/tiny.toml``) goes through every stage of all three methods in
about half a minute of CPU time. One undisturbed run serves all tests: ``finished`` hands
out copies, since a run is a folder that may lie anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.data.sources import cache_folder

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "tests" / "studies" / "tiny.toml"
CELLS = {
    "st-qlora-tiny": ("generation", "summarization", "translation"),
    "mt-qlora-tiny": ("multi-task",),
    "mt-fft-tiny": ("multi-task",),
}
STAGES = (
    *(f"bases/tiny/{stage}" for stage in ("base", "generate", "score")),
    *(
        f"cells/{cell}/{model}/{stage}"
        for cell, models in CELLS.items()
        for model in models
        for stage in ("train", "generate", "score")
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended; ``cpu_s`` covers it and all that it waited for."""

    code: int
    said: str
    cpu_s: float
    wall_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a run lies: a results folder and a cache of its own below ``root``."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "results" / "tiny"

    def make(self) -> Place:
        """Make the cache, which shares nothing with another but the installed tools."""
        cache = self.root / "cache"
        cache.mkdir(parents=True)
        tools = cache_folder().resolve() / "tools"
        tools.mkdir(parents=True, exist_ok=True)
        (cache / "tools").symlink_to(tools)
        return self

    def command(self, *options: str, jobs: int = 2, name: str = "run") -> list[str]:
        results = str(self.root / "results")
        run = [name, "--study", str(STUDY), "--results", results, "--jobs", str(jobs)]
        return [sys.executable, "-m", "bench", *run, *options]

    def start(self, *options: str, jobs: int = 2, name: str = "run") -> subprocess.Popen[bytes]:
        """Start the command; what it says goes to ``said.txt``."""
        with (self.root / "said.txt").open("wb") as said:
            return subprocess.Popen(
                self.command(*options, jobs=jobs, name=name),
                cwd=ROOT,
                env={**os.environ, "BENCH_CACHE": str(self.root / "cache")},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def execute(self, *options: str, jobs: int = 2, name: str = "run") -> Done:
        """Run the command to its end."""
        return self.wait(self.start(*options, jobs=jobs, name=name))

    def wait(self, process: subprocess.Popen[bytes]) -> Done:
        began = time.monotonic()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return Done(
            process.returncode,
            (self.root / "said.txt").read_text(),
            usage.ru_utime + usage.ru_stime,
            time.monotonic() - began,
        )

    def copy_to(self, root: Path) -> Place:
        shutil.copytree(self.root, root, symlinks=True)
        return Place(root)

    def record(self, stage: str) -> dict[str, object]:
        return json.loads((self.run / stage / "record.json").read_text())

    def results(self) -> dict[str, object]:
        return json.loads((self.run / "results.json").read_text())

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Which record each finished stage has: the same stamp, the same execution."""
        found = {}
        for stage in STAGES:
            with contextlib.suppress(FileNotFoundError):
                status = (self.run / stage / "record.json").stat()
                found[stage] = (status.st_ino, status.st_mtime_ns)
        return found

    def outputs(self) -> dict[str, str]:
        """SHA-256 of all weights, predictions and scores, by their path in the run."""
        kept = (".safetensors", "generations.jsonl", ".csv", "scores.json")
        return {
            path.relative_to(self.run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for part in ("bases", "cells")
            for path in sorted((self.run / part).rglob("*"))
            if path.name.endswith(kept)
        }

    def processes(self) -> list[int]:
        """Every live process that was started for this place: its environment says so."""
        mark = f"BENCH_CACHE={self.root / 'cache'}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found


def executed(before: dict[str, tuple[int, int]], place: Place) -> list[str]:
    """The stages whose record is new, in the order of the study."""
    return [stage for stage, stamp in place.stamps().items() if before.get(stage) != stamp]


def below(cell: str) -> list[str]:
    """The stages of one cell."""
    return [stage for stage in STAGES if stage.startswith(f"cells/{cell}/")]


def _undisturbed(shared: Path) -> Place:
    """The one undisturbed run of this session, made by whichever test comes first."""
    place = Place(shared / "tiny-run")
    with _locked(shared / "tiny-run.lock"):
        if not (shared / "tiny-run.code").exists():
            done = place.make().execute()
            assert not place.processes(), "the run left a process behind"
            (shared / "tiny-run.code").write_text(f"{done.code} {done.cpu_s:.1f} {done.wall_s:.1f}")
    code = (shared / "tiny-run.code").read_text().split()[0]
    assert code == "0", (place.root / "said.txt").read_text()
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One finished run of the tiny study for all workers of a session; never written to."""
    own = tmp_path_factory.getbasetemp()
    return _undisturbed(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture
def finished(undisturbed: Place, tmp_path: Path) -> Place:
    """A copy of the finished run, to be damaged and mended."""
    return undisturbed.copy_to(tmp_path / "place")


def remove(place: Place, stages: Sequence[str]) -> None:
    """Take finished stages away, as if they had never run."""
    for stage in stages:
        shutil.rmtree(place.run / stage)
