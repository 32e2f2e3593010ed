"""A base's shape is known without its files, and checked against them once they are here."""

from __future__ import annotations

import json

import pytest

from bench.data import architectures, hub
from bench.errors import DataError
from bench.grid import study
from bench.grid.study import HubBase

PAPER = study.load("paper", ["0.5b"])
CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def local(folder, **changes):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    return HubBase(kind="hub", name="x", repository=str(folder), revision="0" * 40)


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("0.5b", 494_032_768), ("1.5b", 1_543_714_304), ("3b", 3_085_938_688), ("7b", 7_615_616_512)],
)
def test_the_papers_models_are_known_before_they_are_fetched(size, parameters):
    assert architectures.shape(PAPER.base(size), None).parameters == parameters


def test_a_tiny_base_has_its_embeddings_rows():
    rehearsal = study.load("rehearsal")
    assert architectures.shape(rehearsal.base("small"), None).vocabulary == 151_936
    assert architectures.shape(rehearsal.base("large"), None).vocabulary == 2048


def test_a_users_own_model_is_read_from_its_config(tmp_path):
    assert architectures.shape(local(tmp_path), None).parameters == 494_032_768


@pytest.mark.parametrize(
    ("changes", "why"), [({"model_type": "llama"}, "llama"), ({"vocab_size": None}, None)]
)
def test_what_cannot_be_known_has_a_reason(tmp_path, changes, why):
    base = local(tmp_path, **changes)
    if why is None:
        (tmp_path / "config.json").write_text("{}")
        why = "None"
    assert why in architectures.shape(base, None)


def test_a_model_that_nobody_knows_has_a_reason():
    base = HubBase(kind="hub", name="x", repository="someone/else", revision="0" * 40)
    assert "config.json is fetched" in architectures.shape(base, None)


def test_a_manifest_that_contradicts_the_model_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 25}))
    monkeypatch.setattr(hub, "find", lambda *_: tmp_path)
    with pytest.raises(DataError, match="layers=25"):
        architectures.shape(PAPER.base("0.5b"), None)
