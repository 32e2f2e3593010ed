"""What containers see: the folders that a user names, which must be readable for others."""

from __future__ import annotations

import os

import pytest

from bench.errors import MachineError
from bench.grid import study
from bench.run.surroundings import surroundings
from bench.scoring import hubmodels

SMOKE = study.load("smoke")


@pytest.fixture
def side(tmp_path, monkeypatch):
    folder = tmp_path / "side" / "141205"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / hubmodels.WEIGHTS).write_text("weights")
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv(hubmodels.SIDE_VARIABLE, str(tmp_path / "side"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def test_a_folder_that_a_variable_names_can_be_read_by_its_name(side):
    around = surroundings(SMOKE, None, at_once=2)
    assert side.parent in around.readable
    assert around.variables[hubmodels.SIDE_VARIABLE] == str(side.parent)


def test_a_file_that_root_alone_can_read_is_named_before_anything_starts(side, monkeypatch):
    """As ``save_pretrained`` leaves it: containers of root run as nobody."""
    (side / hubmodels.WEIGHTS).chmod(0o600)
    with pytest.raises(MachineError, match="only its owner can read it") as caught:
        surroundings(SMOKE, None, at_once=2)
    assert "chmod -R o+rX" in caught.value.hint
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # containers are then the user's own
    surroundings(SMOKE, None, at_once=2)
