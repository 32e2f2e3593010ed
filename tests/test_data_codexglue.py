"""CodeXGLUE as training data: the counts of the study, and no leak into the evaluation."""

from __future__ import annotations

import json

import pytest

from bench.data import codexglue, suites
from bench.data.sources import locate
from bench.errors import DataError
from bench.records import TRACKS, Track

SUMMARIES = Track("summarization", "python")
PAIRS = Track("translation", "java_cs")

#: Kept samples of each track: train, valid (the same functions serve both text tasks).
COUNTS = {
    "generation/python": (127, 116),
    "generation/java": (446, 101),
    "summarization/python": (127, 116),
    "summarization/java": (446, 101),
    "translation/java_cs": (10295, 499),
    "translation/cs_java": (10295, 499),
}


@pytest.mark.parametrize("track", TRACKS, ids=str)
def test_counts(mirror, track):
    kept = []
    for split in ("train", "valid"):
        samples, dropped = codexglue.samples(track, split, lambda path: locate(path, mirror))
        kept.append(len(samples))
        assert set(dropped) <= {"summary too short"}
        assert all(sample.reference and all(sample.inputs.values()) for sample in samples)
    assert tuple(kept) == COUNTS[str(track)]


def test_train_and_valid_share_no_repository(mirror):
    for language in ("python", "java"):
        repositories = [
            {json.loads(line)["repo"] for line in (mirror / path).open()}
            for split in ("train", "valid")
            for path in codexglue.files(Track("generation", language), split)
        ]
        assert not repositories[0] & repositories[1]


def test_no_evaluation_problem_of_coderevals_is_trained_on(mirror):
    def find(path):
        return locate(path, mirror)

    for language in ("python", "java"):
        track = Track("summarization", language)
        trained = {
            "".join(sample.inputs["code"].split())
            for split in ("train", "valid")
            for sample in codexglue.samples(track, split, find)[0]
        }
        asked = {"".join(p.inputs["code"].split()) for p in suites.codereval(track, find)}
        assert not trained & asked
        prompts = suites.codereval(Track("generation", language), find)
        signatures = {"".join(p.inputs["signature"].split()) for p in prompts}
        # Bodies are unknown; a signature with its parameters stands for the function.
        generated = codexglue.samples(Track("generation", language), "train", find)[0]
        shared = {"".join(s.inputs["signature"].split()) for s in generated} & signatures
        assert not {text for text in shared if len(text) > 40}


def written(tmp_path, records):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return lambda _: path


def test_functions_that_teach_nothing_are_left_out_and_counted(tmp_path):
    code = "def f(x):\n    '''Doc.'''\n    return x"
    find = written(
        tmp_path,
        [
            {"code": code, "docstring": "Return the argument.\n\n:param x: it"},
            {"code": code, "docstring": "Return it once more."},
            {"code": code.replace("return x", "return 2"), "docstring": "Two words"},
            {"code": "def f(:", "docstring": "It does not parse."},
            {"code": "def f(x):\n    '''Only a docstring.'''", "docstring": "Only a docstring."},
        ],
    )
    samples, dropped = codexglue.samples(SUMMARIES, "train", find)
    assert [sample.reference for sample in samples] == ["Return the argument."]
    assert samples[0].inputs == {"code": "def f(x):\n    return x"}
    assert dropped == {"seen before": 1, "summary too short": 1, "does not parse": 2}
    inverted, _ = codexglue.samples(Track("generation", "python"), "train", find)
    assert inverted[0].inputs == {"summary": "Return the argument.", "signature": "def f(x):"}
    assert inverted[0].reference == samples[0].inputs["code"]


def test_a_record_without_its_docstring_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl:1: field 'docstring' is missing"):
        codexglue.samples(SUMMARIES, "train", written(tmp_path, [{"code": "x"}]))


def test_pairs_of_different_length_are_told(tmp_path):
    (tmp_path / "a.java").write_text("a\nb\n")
    (tmp_path / "a.cs").write_text("a\n")
    with pytest.raises(DataError, match=r"a\.java: 2 lines, but a\.cs has 1"):
        codexglue.samples(PAIRS, "train", lambda path: tmp_path / f"a.{path.split('.')[-1]}")


def test_java_signatures_and_first_paragraphs():
    code = '@Json({"a", "b"}) public <T> T f(Map<String, T> m) throws IOException\n{ return m; }'
    assert codexglue.java_signature(code) == (
        '@Json({"a", "b"}) public <T> T f(Map<String, T> m) throws IOException'
    )
    with pytest.raises(ValueError, match="no body"):
        codexglue.java_signature("abstract void f();")
    assert codexglue.first_paragraph(" Do\n it.\n@param x\n") == "Do it."
    assert codexglue.first_paragraph("Do it.\n  \nMore.") == "Do it."
