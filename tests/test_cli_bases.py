"""``bases`` makes what comes with the kit; a study without a tiny size is told so."""

from __future__ import annotations

import pytest

from bench import cli
from bench.data import shippedbases
from bench.grid import study

NANO = """
extends = "smoke"
name = "nano"
[[sizes]]
kind = "tiny"
name = "nano"
hidden_size = 32
layers = 1
heads = 2
kv_heads = 1
intermediate_size = 64
pretrain_steps = 2
pretrain_rows_per_step = 1
pretrain_learning_rate = 1e-3
"""


@pytest.mark.slow
def test_a_size_is_made_and_kept_with_its_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shippedbases, "FOLDER", tmp_path / "bases")
    (tmp_path / "nano.toml").write_text(NANO)
    assert cli.main(["bases", "--study", str(tmp_path / "nano.toml")]) == 0
    assert "nano" in capsys.readouterr().out
    loaded = study.load(str(tmp_path / "nano.toml"))
    assert shippedbases.copy(loaded.sizes[0], loaded.seed, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_a_study_without_a_tiny_size_is_told(capsys):
    assert cli.main(["bases", "--study", "paper"]) == 2
    assert "paper has no tiny size" in capsys.readouterr().err
