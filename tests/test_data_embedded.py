"""The embedded corpus: complete, typed, and its test split apart from its training."""

from __future__ import annotations

import json

import pytest

from bench.data import embedded
from bench.errors import DataError
from bench.records import TRACKS, Track

RECORD = {
    "id": "count_vowels",
    "family": "count-characters",
    "split": "train",
    "part": None,
    "summary": "Count the vowels of a text.",
    "types": {"args": ["str"], "result": "int"},
    "signature": {
        "python": "def count_vowels(text: str) -> int:",
        "java": "static int countVowels(String text)",
        "csharp": "static int CountVowels(string text)",
    },
    "entry": {"python": "count_vowels", "java": "countVowels", "csharp": "CountVowels"},
    "code": {
        "python": "def count_vowels(text: str) -> int:\n    return 0",
        "java": "static int countVowels(String text) {\n    return 0;\n}",
        "csharp": "static int CountVowels(string text) {\n    return 0;\n}",
    },
    "cases": [{"args": ["Queue"], "result": 4}, {"args": [""], "error": "value"}],
}


def record(**changes):
    return json.loads(json.dumps(RECORD)) | changes


def loaded(tmp_path, *records):
    path = tmp_path / "functions.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in records))
    return embedded.load([path])


def test_one_function_feeds_every_track(tmp_path):
    functions = loaded(tmp_path, record())
    by_track = {track: embedded.samples(functions, "train", track)[0] for track in TRACKS}
    assert by_track[Track("generation", "java")].inputs == {
        "summary": RECORD["summary"],
        "signature": RECORD["signature"]["java"],
    }
    assert by_track[Track("summarization", "python")].reference == RECORD["summary"]
    assert by_track[Track("summarization", "python")].check is None
    translation = by_track[Track("translation", "cs_java")]
    assert translation.inputs == {"code": RECORD["code"]["csharp"]}
    assert translation.reference == RECORD["code"]["java"]
    assert translation.check["entry"] == "countVowels"
    assert translation.check["cases"] == RECORD["cases"]
    assert len({sample.id for sample in by_track.values()}) == len(TRACKS)
    assert embedded.samples(functions, "test", TRACKS[0]) == []


def without(field):
    return {key: value for key, value in RECORD.items() if key != field}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (without("summary"), "summary: Field required"),
        (record(extra=1), "extra: Extra inputs are not permitted"),
        (record(split="tests"), "split: Input should be"),
        (record(part="near"), "part: the test split has near or far, the others null"),
        (record(split="test"), "part: the test split has near or far"),
        (record(summary="Two\nlines."), "summary: String should match"),
        (record(code=RECORD["code"] | {"java": ""}), "code.java: String should have at least"),
        (record(code=RECORD["code"] | {"java": "int f()"}), "code.java: lacks its signature"),
        (record(entry=RECORD["entry"] | {"csharp": "X"}), "signature.csharp: lacks the entry 'X'"),
        (
            record(types={"args": ["text"], "result": "int"}),
            "types: 'text': text is none of",
        ),
        (record(cases=[{"args": ["a"], "result": 1}]), "cases: List should have at least 2"),
        (
            record(cases=[{"args": ["a"]}, {"args": [""], "result": 0}]),
            "cases.0: needs either a result or an error",
        ),
        (
            record(cases=[{"args": ["a"], "result": 1}, {"args": [], "result": 0}]),
            "cases.1.args: 0 for 1 parameters",
        ),
        (
            record(cases=[{"args": ["a"], "result": 1}, {"args": ["b"], "result": "1"}]),
            "cases.1: '1' is not int",
        ),
    ],
)
def test_a_broken_record_is_told_by_file_line_and_field(tmp_path, broken, message):
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, record(id="first"), broken)
    assert f"functions.jsonl:2: {message}" in caught.value.problem


def test_an_id_occurs_once(tmp_path):
    with pytest.raises(DataError, match=r"functions\.jsonl:2: id 'count_vowels' twice"):
        loaded(tmp_path, record(), record())


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no embedded corpus"):
        embedded.files(tmp_path)


def test_the_corpus_that_ships_is_large_and_every_record_is_whole():
    functions = embedded.load()
    splits = {(function.split, function.part) for function in functions}
    assert splits == {("train", None), ("valid", None), ("test", "near"), ("test", "far")}
    assert len({function.family for function in functions}) >= 20
    for track in TRACKS:
        problems = embedded.samples(functions, "test", track)
        assert {problem.part for problem in problems} == {"near", "far"}


def test_a_file_that_was_written_again_is_read_again(tmp_path):
    lines = embedded.FILE.read_text().splitlines(keepends=True)
    path = tmp_path / "functions.jsonl"
    path.write_text(lines[0])
    assert len(embedded.load([path])) == 1
    assert embedded.load([path]) is embedded.load([path])
    path.write_text("".join(lines[:2]))
    assert len(embedded.load([path])) == 2
