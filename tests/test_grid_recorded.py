"""Records count with their study and their machine; a half-measured stage does not count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import DataError
from bench.grid import recorded, store, study
from bench.records import Tokens
from tests.planned import record

SMOKE = study.load("smoke")
OWNER = "cells/mt-qlora-2m/multi-task"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "smoke"
    (made / store.PROVENANCES).mkdir(parents=True)
    (made / store.STUDY).write_text(json.dumps(study.canonical(SMOKE)))
    for path, cpu in ((made / store.RUN, "last"), (made / store.PROVENANCES / "a.json", "first")):
        machine = {"cpu": cpu, "gpus": [{"name": "NVIDIA H200"}]}
        path.write_text(json.dumps({"schema": 1, "machine": machine, "time": "t"}))
    return made


def test_a_stage_is_told_with_its_own_machine(folder):
    record(folder, OWNER, "train", provenance="a", tokens=Tokens(9, 8, 7), details={"steps": 5})
    record(folder, OWNER, "score")
    train, score = recorded.run(folder).stages
    assert (train.device, train.tokens, train.steps, train.gpu) == ("first", 9, 5, False)
    assert (train.wall_s, train.cpu_s, train.peak_rss_bytes) == (10.0, 20.0, 7)
    assert train.disk_bytes > 1000
    assert score.device == "last"


def test_a_stage_with_a_device_peak_ran_on_the_gpu(folder):
    record(folder, OWNER, "train", peak_device_bytes=3)
    assert recorded.run(folder).stages[0].device == "NVIDIA H200"


@pytest.mark.parametrize("details", [{"resumed": True}])
def test_a_resumed_stage_does_not_count(folder, details):
    record(folder, OWNER, "train", details=details)
    assert recorded.run(folder).stages == ()


def test_a_folder_without_its_study_says_nothing(folder):
    record(folder, OWNER, "train")
    (folder / store.STUDY).unlink()
    assert recorded.run(folder) is None


def test_the_own_run_comes_first_then_its_neighbours_then_the_kits(folder, tmp_path):
    record(folder, OWNER, "train")
    other = tmp_path / "another"
    other.mkdir()
    (other / store.STUDY).write_text(json.dumps(study.canonical(SMOKE)))
    record(other, OWNER, "train", wall_s=1.0)
    kits = tmp_path / "kit"
    kits.mkdir()
    recorded.write_reference(folder, kits)
    found = recorded.runs(tmp_path, folder, kits)
    assert [run.stages[0].wall_s for run in found] == [10.0, 1.0, 10.0]


def test_the_kits_figures_are_what_was_written(folder, tmp_path):
    record(folder, OWNER, "train", tokens=Tokens(9, 8, 7))
    path = recorded.write_reference(folder, tmp_path)
    assert path.name == "smoke.costs.json"
    found = recorded.shipped_run(path)
    assert found.stages == recorded.run(folder).stages
    assert found.study == SMOKE
    assert found.origin["machine"]["cpu"] == "last"


def test_nothing_measured_is_no_reference(folder, tmp_path):
    with pytest.raises(DataError, match="no measured stages"):
        recorded.write_reference(folder, tmp_path)


def test_broken_figures_are_named(tmp_path):
    (tmp_path / "smoke.costs.json").write_text('{"study": 1}')
    with pytest.raises(DataError, match=r"smoke\.costs\.json"):
        recorded.runs(tmp_path, tmp_path / "none", tmp_path)


def test_the_figures_that_ship_say_where_they_were_measured():
    path = Path(__file__).parents[1] / "reports" / "reference" / "smoke.costs.json"
    found = recorded.shipped_run(path)
    assert found.origin["machine"]["cpu"]
    assert not found.origin["git"]["dirty"]
    assert len(found.stages) == 54
    assert len({(one.owner, one.stage) for one in found.stages}) == 54
    assert all(one.cpu_s > 0 and one.peak_rss_bytes > 1e8 for one in found.stages)
