"""Prompts: the wording is data, and no value can break it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.prompts import PROMPTS, Prompts
from bench.errors import BenchError, DataError
from bench.records import TRACKS, Sample, Track

PYTHON = Track("generation", "python")
JAVA_CS = Track("translation", "java_cs")


def generation(**inputs):
    return Sample("a", PYTHON, inputs, "def f():\n    return {}")


def test_every_track_has_its_wording_and_it_is_short():
    prompts = Prompts.load("kit")
    assert set(prompts.wordings) == set(TRACKS)
    assert all(len(wording.system) <= 48 for wording in prompts.wordings.values())
    assert len({wording.system for wording in prompts.wordings.values()}) == len(TRACKS)


def test_messages_and_answer():
    sample = generation(summary="Return an empty dict.", signature="def f():")
    chat = Prompts.load("kit").with_answer(sample)
    assert [turn["role"] for turn in chat] == ["system", "user", "assistant"]
    assert chat[1]["content"] == "Return an empty dict."
    assert Prompts.load("kit").opening(sample) == "def f():"
    assert chat[2]["content"] == sample.reference
    assert Prompts.load("kit").messages(sample) == chat[:2]


def test_the_opening_is_the_beginning_of_the_answer():
    prompts = Prompts.load("kit")
    sample = generation(summary="Return an empty dict.", signature="def f():")
    assert prompts.opening(sample) == "def f():"
    assert prompts.with_answer(sample)[2]["content"].startswith("def f():")
    elsewhere = dataclasses.replace(sample, reference="import re\n" + sample.reference)
    assert prompts.opening(elsewhere) == ""
    assert prompts.opening(generation(prompt="Write f.")) == ""


def test_a_suite_may_prescribe_the_whole_text():
    sample = generation(prompt="import re\n\ndef f(x):\n    '''{summary}'''")
    assert Prompts.load("kit").messages(sample)[1]["content"] == sample.inputs["prompt"]


@given(st.text(alphabet="{}summarycode%\\ \n", max_size=40))
def test_braces_in_code_stay_as_they_are(code):
    chat = Prompts.load("kit").with_answer(Sample("a", JAVA_CS, {"code": code}, code))
    assert chat[1]["content"] == chat[2]["content"] == code


def test_a_sample_without_the_field_is_named():
    with pytest.raises(DataError, match="sample 'a' of generation/python has no field 'signature'"):
        Prompts.load("kit").opening(generation(summary="x"))


def changed(tmp_path, old, new):
    text = (PROMPTS / "kit.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    return Prompts.load("mine", tmp_path)


def test_unknown_fields_templates_and_variants_are_errors(tmp_path):
    with pytest.raises(BenchError, match=r"unknown field .* 'sumary' — did you mean: summary"):
        changed(tmp_path, "{summary}", "{sumary}")
    with pytest.raises(BenchError, match="'reference'"):
        changed(tmp_path, 'user = "{code}"', 'user = "{reference}"')
    with pytest.raises(BenchError, match=r"unknown template .* 'sistem'"):
        changed(tmp_path, 'whole = "{prompt}"', 'sistem = "x"')
    with pytest.raises(DataError, match=r"\[generation.java\] lacks 'assistant'"):
        changed(tmp_path, 'assistant = "{reference}"\n\n[summ', "\n[summ")
    with pytest.raises(DataError, match=r"no table \[translation.cs_java\]"):
        changed(tmp_path, "[translation.cs_java]", "[translation.cs_jav]")
    with pytest.raises(BenchError, match="unknown prompts 'kitt' — did you mean: kit"):
        Prompts.load("kitt")
