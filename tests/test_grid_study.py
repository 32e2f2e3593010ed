"""Every cell of every study that ships is valid, and a wrong study is told in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.grid import cells, study
from bench.records import METHODS, TASKS, TRACKS

SMOKE = (study.STUDIES / "smoke.toml").read_text()


@pytest.mark.parametrize("name", study.available())
def test_every_cell_of_every_study(name: str) -> None:
    loaded = study.load(name)
    assert loaded.name == name
    grid = study.expand(loaded)
    assert len(grid) == len({cell.id for cell in grid}) == 9
    models = [(cell.id, model.id) for cell in grid for model in cell.models]
    assert len(models) == len(set(models)) == 15
    for cell in grid:
        assert cell.id == f"{cell.method}-{cell.size}"
        assert cell.method in METHODS
        base = loaded.base(cell.size)
        if isinstance(base, study.TinyBase):
            assert base.hidden_size % base.heads == 0
            assert base.heads % base.kv_heads == 0
        trained = [task for model in cell.models for task in model.tasks]
        assert sorted(trained) == sorted(TASKS)
        assert len(cell.models) == (3 if cell.method == "st-qlora" else 1)
    for optimization in (loaded.training.qlora, loaded.training.full):
        assert optimization.rows_per_step % optimization.rows_per_micro_batch == 0
    assert max(loaded.decoding.new_tokens.values()) < loaded.decoding.window_tokens
    assert loaded.suites


def test_smoke_is_there() -> None:
    assert "smoke" in study.available()


def test_tracks_of_tasks() -> None:
    loaded = study.load("smoke")
    assert loaded.tracks(TASKS) == TRACKS
    assert [str(track) for track in loaded.tracks(("translation",))] == [
        "translation/java_cs",
        "translation/cs_java",
    ]


def test_selection_by_pattern_keeps_the_order() -> None:
    grid = study.expand(study.load("smoke"))
    chosen = cells.select(grid, ["mt-fft-*", "st-qlora-2m"])
    assert [cell.id for cell in chosen] == ["mt-fft-0.5m", "st-qlora-2m", "mt-fft-2m", "mt-fft-6m"]
    assert cells.select(grid, []) == grid


def test_an_unknown_cell_names_the_nearest() -> None:
    grid = study.expand(study.load("smoke"))
    with pytest.raises(BenchError, match=r"unknown cell 'mt-qlora-3m' .*mt-qlora-2m"):
        cells.select(grid, ["mt-qlora-3m"])


def test_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(BenchError, match="unknown study 'smoek' — did you mean: smoke"):
        study.load("smoek")


def test_an_unknown_size_names_the_valid() -> None:
    with pytest.raises(BenchError, match="unknown size '9b'"):
        study.load("smoke").base("9b")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 42", "sede = 42", "sede: Extra inputs are not permitted"),
        ("row_tokens = 512", "row_tokens = 0", "training.row_tokens: Input should be greater"),
        ('packing = "isolated"', 'packing = "loose"', "training.packing: Input should be"),
        ("window_tokens = 1024\n", "", "decoding.window_tokens: Field required"),
        ("summarization = 48, ", "", "decoding: Value error, new_tokens needs exactly the keys"),
        ("schema = 1", "schema = 2", "schema: Input should be 1"),
        ("schema = 1", "schema = ", "not valid TOML"),
    ],
)
def test_a_wrong_study_is_told_in_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in SMOKE
    path = tmp_path / "mine.toml"
    path.write_text(SMOKE.replace(old, new, 1))
    with pytest.raises(BenchError) as caught:
        study.load(str(path))
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in caught.value.problem


def test_the_canonical_form_is_the_whole_study() -> None:
    plain = study.canonical(study.load("smoke"))
    assert study.Study.model_validate(plain) == study.load("smoke")
    assert set(tomllib.loads(SMOKE)) <= set(plain)
