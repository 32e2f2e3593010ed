"""Tiny bases that come with the kit: found by what they are taught, verified when copied."""

from __future__ import annotations

import json

import pytest

from bench.data import shippedbases
from bench.errors import DataError
from bench.grid import keys, study
from bench.grid.study import TinyBase

SMOKE = study.load("smoke")
BASE = TinyBase(
    kind="tiny",
    name="nano",
    hidden_size=32,
    layers=1,
    heads=2,
    kv_heads=1,
    intermediate_size=64,
    pretrain_steps=2,
    pretrain_learning_rate=1e-3,
)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(shippedbases, "FOLDER", tmp_path / "bases")
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "config.json").write_text("{}")
    return shippedbases.keep(BASE, 42, made, {"torch": "2"})


def test_the_smoke_studys_bases_come_with_the_kit():
    """After an edit of what they are taught: nox -s bases."""
    for base in SMOKE.sizes:
        assert shippedbases.files(base, SMOKE.seed), f"{base.name}: nox -s bases"
    wanted = {shippedbases.fingerprint(base, SMOKE.seed) for base in SMOKE.sizes}
    there = {path.name for path in shippedbases.FOLDER.iterdir() if path.is_dir()}
    assert there == wanted, "datasets/bases holds another recipe's"


@pytest.mark.parametrize("place", range(len(SMOKE.sizes)))
def test_a_base_that_comes_with_the_kit_is_whole(place, tmp_path):
    base = SMOKE.sizes[place]
    assert shippedbases.copy(base, SMOKE.seed, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names


def test_a_base_is_found_by_its_recipe_and_not_its_name(kept, tmp_path):
    other = BASE.model_copy(update={"name": "other"})
    assert shippedbases.copy(other, 42, tmp_path / "one")
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == b"weights"
    assert not (tmp_path / "one" / "recipe.json").exists()
    longer = BASE.model_copy(update={"pretrain_steps": 3})
    assert not shippedbases.copy(longer, 42, tmp_path / "two")
    assert not shippedbases.copy(BASE, 43, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_what_is_taught_is_in_the_fingerprint(kept, monkeypatch):
    before = shippedbases.fingerprint(BASE, 42)
    monkeypatch.setattr(shippedbases, "MATERIAL", ("idioms",))
    assert shippedbases.fingerprint(BASE, 42) != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b"weighty"),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "recipe.json").write_text("[" * 9_000),
        lambda folder: (folder / "recipe.json").write_text('{"files": 3}'),
        lambda folder: (folder / "recipe.json").write_text('{"files": {"../made/x": "0"}}'),
    ],
)
def test_a_damaged_base_is_one_line(kept, tmp_path, damage):
    damage(kept)
    with pytest.raises(DataError, match=r"datasets/bases|nox -s bases"):
        shippedbases.copy(BASE, 42, tmp_path / "model")


def test_the_key_of_a_base_holds_the_files_that_come_with_the_kit(kept):
    whole = SMOKE.model_copy(update={"sizes": (BASE,)})
    told = keys.decides(whole, "base", size="nano", method=None, tasks=())
    files = json.loads((kept / "recipe.json").read_text())["files"]
    assert told["shipped"] == keys.digest(files)
    assert told["taught"] == shippedbases.fingerprint(BASE, SMOKE.seed)
    changed = whole.model_copy(update={"seed": 1})
    assert keys.decides(changed, "base", size="nano", method=None, tasks=())["shipped"] is None
