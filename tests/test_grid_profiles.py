"""A profile is read whole or refused in one line that names the file and the field."""

from __future__ import annotations

import json

import pytest

from bench.errors import DataError
from bench.grid import profiles
from tests import gpu_profiles


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results" / profiles.FOLDER


def read(tmp_path):
    return profiles.read(tmp_path / "results", tmp_path / "reference")


def test_without_a_file_there_are_none(tmp_path):
    assert read(tmp_path) == []


def test_a_profile_tells_its_card_trainings_and_answers(tmp_path, folder):
    checkpoint = {"item": "checkpoint", "size": "1.5b", "method": "full", "bytes": 1, "wall_s": 1}
    other = {"item": "something later"}
    items = (gpu_profiles.training(), gpu_profiles.generation(), checkpoint, other)
    gpu_profiles.write(folder, gpu_profiles.profile(*items))
    (found,) = read(tmp_path)
    assert found.device.name == "NVIDIA H200"
    assert [one.tokens_per_s.processed for one in found.trainings] == [50_000.0]
    assert found.trainings[0].shape.shape().parameters == 1_543_714_304
    assert [one.tokens_per_s for one in found.generations] == [8_000.0]


def test_what_is_only_qloras_may_be_null(tmp_path, folder):
    full = gpu_profiles.training(method="full", dequantised=None, precision=None)
    gpu_profiles.write(folder, gpu_profiles.profile(full))
    assert read(tmp_path)[0].trainings[0].rate == 50_000.0


def test_an_item_that_ran_out_of_memory_has_no_rates(tmp_path, folder):
    ran_out = gpu_profiles.training(
        outcome="oom", reason="tried", tokens_per_s=None, step_s=None, peak_reserved_bytes=None
    )
    gpu_profiles.write(folder, gpu_profiles.profile(ran_out))
    assert read(tmp_path)[0].trainings[0].outcome == "oom"


def test_those_of_the_results_come_before_the_kits_and_the_latest_first(tmp_path, folder):
    def at(year, gpu):
        return gpu_profiles.profile(gpu=gpu, origin={"time": f"{year}-01-01T00:00:00+00:00"})

    gpu_profiles.write(tmp_path / "reference" / profiles.SHIPPED, at(2030, "kit"))
    gpu_profiles.write(folder, at(2026, "old"), "a")
    gpu_profiles.write(folder, at(2027, "new"), "b")
    assert [one.device.name for one in read(tmp_path)] == ["new", "old", "kit"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gpu_profiles.profile(schema=2), "schema"),
        (gpu_profiles.profile(gpu_profiles.training(rate=0.0)), "items.0.train.tokens_per_s"),
        (gpu_profiles.profile(gpu_profiles.training(rate=float("nan"))), "NaN is no number"),
        (gpu_profiles.profile(gpu_profiles.training(micro_rows="many")), "micro_rows"),
        (gpu_profiles.profile(gpu_profiles.training(tokens_per_s=None)), "without tokens_per_s"),
        (gpu_profiles.profile(gpu_profiles.training(tokens_per_s={})), "without tokens_per_s"),
        (gpu_profiles.profile(gpu_profiles.generation(outcome="fine")), "outcome"),
        (gpu_profiles.profile(items={}), "items"),
        ([], "the whole"),
        (gpu_profiles.profile(*[{"item": "x"}] * 2_001), "2001 items"),
    ],
)
def test_what_is_no_profile_is_refused_by_its_field(tmp_path, folder, content, told):
    path = gpu_profiles.write(folder, content)
    with pytest.raises(DataError) as refused:
        read(tmp_path)
    assert str(path) in refused.value.problem
    assert told in refused.value.problem
    assert "\n" not in refused.value.problem
    assert "profile" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "Expecting"), ("[" * 100_000, "nested"), (" " * 4_000_001, "more than 4,000,000 bytes")],
)
def test_what_is_no_json_is_refused(tmp_path, folder, text, told):
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(text)
    with pytest.raises(DataError, match=told):
        read(tmp_path)


def test_a_broken_file_of_the_kit_is_checked_out_again(tmp_path):
    gpu_profiles.write(tmp_path / "reference" / profiles.SHIPPED, json.loads("[]"))
    with pytest.raises(DataError) as refused:
        read(tmp_path)
    assert refused.value.hint == "check the file out again"
