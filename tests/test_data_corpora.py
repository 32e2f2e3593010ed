"""Corpora and suites by name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import corpora, digests, embedded, problems
from bench.errors import BenchError, DataError
from bench.grid import study
from bench.grid.study import Suite, TrainingData
from bench.records import TASKS, TRACKS

EMBEDDED = TrainingData(corpus="embedded")


def test_the_embedded_corpus_trains_every_track_and_tests_apart():
    samples = corpora.training_samples(EMBEDDED, TASKS, None)
    assert set(samples) == {"train", "valid"}
    tested = problems.suite_problems(Suite(name="embedded"), TASKS, None)
    for split in (*samples.values(), tested):
        assert {sample.track for sample in split} == set(TRACKS)
        assert len({sample.id for sample in split}) == len(split)
    assert not {s.id for s in samples["train"]} & {p.id for p in tested}


def test_tasks_select_tracks():
    samples = corpora.training_samples(EMBEDDED, ["summarization"], None)
    assert {str(s.track) for s in samples["train"]} == {
        "summarization/python",
        "summarization/java",
    }
    assert problems.suite_problems(Suite(name="humaneval"), ["translation"], None) == []


@given(st.integers(1, 60), st.integers(1, 80))
def test_evenly_spaced(count, cap):
    picked = corpora.evenly_spaced(list(range(count)), cap)
    assert len(picked) == min(count, cap)
    assert picked[0] == 0
    gaps = {b - a for a, b in itertools.pairwise(picked)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


def test_caps_are_per_track_and_keep_the_parts():
    data = TrainingData(corpus="embedded", max_samples_per_track=25)
    samples = corpora.training_samples(data, TASKS, None)
    assert [sum(s.track == t for s in samples["train"]) for t in TRACKS] == [25] * 6
    assert [sum(s.track == t for s in samples["valid"]) for t in TRACKS] == [3] * 6
    suite = Suite(name="embedded", max_problems_per_track=20)
    assert {p.part for p in problems.suite_problems(suite, TASKS, None)} == {"near", "far"}


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(BenchError, match="unknown corpus 'embeded' — did you mean: embedded"):
        corpora.training_samples(TrainingData(corpus="embeded"), TASKS, None)
    with pytest.raises(BenchError, match="unknown suite 'humanevalx' — did you mean: humaneval"):
        problems.suite_problems(Suite(name="humanevalx"), TASKS, None)


def test_a_study_of_public_files_needs_a_mirror():
    with pytest.raises(DataError, match="name the folder that holds them: --mirror DIR"):
        corpora.training_samples(TrainingData(corpus="codexglue"), ["translation"], None)


def test_digests_of_the_smoke_study():
    smoke = study.load("smoke")
    assert set(digests.of_study(smoke, None)) == {
        "datasets/prompts/kit.toml",
        *(f"datasets/embedded/{path.name}" for path in embedded.files()),
    }
    assert (
        digests.of_stages(smoke, TASKS, None)["base"]
        == digests.of_stages(smoke, TASKS, None)["score"]
    )


def test_digests_of_the_mini_study_need_no_file_but_verify_a_mirror(tmp_path):
    mini = study.load("mini")
    stages = digests.of_stages(mini, TASKS, None)
    assert all(len(value) == 64 for files in stages.values() for value in files.values())
    translation = digests.of_stages(mini, ["translation"], None)
    assert set(translation["train"]) < set(stages["train"])
    assert not any("humaneval" in path for path in translation["score"])
    with pytest.raises(DataError, match="the mirror lacks this file"):
        digests.of_study(mini, tmp_path)


def test_the_mini_study_reads_the_whole_mirror(mirror):
    mini = study.load("mini")
    assert digests.of_study(mini, mirror) == digests.of_study(mini, None)
    samples = corpora.training_samples(mini.data, TASKS, mirror)
    cap = mini.data.max_samples_per_track
    assert max(sum(s.track == t for s in samples["train"]) for t in TRACKS) == cap
    tracks = {p.track for s in mini.suites for p in problems.suite_problems(s, TASKS, mirror)}
    assert tracks == set(TRACKS)


def test_mini_shares_its_bases_with_smoke():
    assert study.load("mini").sizes == study.load("smoke").sizes
