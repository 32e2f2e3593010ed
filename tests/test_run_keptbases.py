"""A tiny base that was damaged in the cache is made again, not trained on."""

from __future__ import annotations

import json

import pytest

from bench.data import shippedbases
from bench.grid import study
from bench.measure import Meter
from bench.run import keptbases, stages
from bench.run.job import Job
from bench.train import bases

FILES = {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}"}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """How often a base was made; it holds three files of text."""
    times = []

    def make(_base, _seed, folder, _progress=None):
        times.append(folder)
        for name, content in FILES.items():
            (folder / name).write_text(content)

    monkeypatch.setattr(bases, "make", make)
    monkeypatch.setattr(shippedbases, "FOLDER", tmp_path / "none")  # none comes with the kit
    monkeypatch.setattr(stages, "_parameters", lambda _: 7)
    return times


def base(tmp_path, name):
    """The stage, with the work folder of a run of its own."""
    work = tmp_path / name
    work.mkdir()
    job = Job(
        id="bases/2m/base",
        stage="base",
        key="key",
        study=study.load("smoke"),
        cell=None,
        method=None,
        size="2m",
        model=None,
        tasks=("translation",),
        inputs={},
        options={"cache": str(tmp_path / "cache")},
    )
    with Meter(threads=1) as meter:
        stages.base(job, work, meter, lambda *_: None)
    return {path.name: path.read_text() for path in (work / stages.MODEL).iterdir()}


@pytest.mark.parametrize("damage", ["altered", "empty", "lost", "more"])
def test_a_base_that_is_not_as_it_was_made_is_made_again(tmp_path, made, damage, capsys):
    assert base(tmp_path, "first") == base(tmp_path, "second") == FILES
    assert len(made) == 1
    (weights,) = (tmp_path / "cache" / "bases").glob("*/model.safetensors")
    match damage:
        case "altered":
            weights.write_text("weightz")
        case "empty":
            weights.write_text("")
        case "lost":
            weights.with_name("tokenizer.json").unlink()
        case "more":
            weights.with_name("pytorch_model.bin").write_text("x")
    assert base(tmp_path, "third") == FILES
    assert len(made) == 2
    assert f"{weights.parent} is not as it was made" in capsys.readouterr().out
    assert base(tmp_path, "fourth") == FILES
    assert len(made) == 2


def test_a_damaged_note_costs_the_time_to_make_it_again(tmp_path, made):
    base(tmp_path, "first")
    (note,) = (tmp_path / "cache" / "bases").glob("*.sha256.json")
    assert set(json.loads(note.read_text())) == set(FILES)
    note.write_text("[" * 100_000)
    assert base(tmp_path, "second") == FILES
    assert len(made) == 2
    assert keptbases.is_whole(note.with_name(note.name.removesuffix(".sha256.json")))
