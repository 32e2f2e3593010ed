"""Lines of any origin: each fault is told with its line, and the rest goes on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import storedlines
from bench.data.storedlines import REFERENCE_FIELDS, read
from bench.errors import DataError

GOOD = b'{"id": "a", "code": "x = 1"}'


@pytest.fixture
def file(tmp_path):
    """Write lines to a file, and give its path."""

    def write(*lines, end=b"\n"):
        path = tmp_path / "generations.jsonl"
        path.write_bytes(end.join(lines))
        return path

    return write


def test_the_study_s_lines_ours_and_summaries_are_read(file):
    ours = {
        "id": "b@generation/python",
        "suite": "embedded",
        "task": "generation",
        "language": "python",
        "text": "```\ny = 2\n```",
        "output": "y = 2",
        "finish_reason": "length",
    }
    stored = read(file(GOOD, json.dumps(ours).encode(), b'{"id": 3, "summary": "Adds."}'))
    assert [(line.id, line.text) for line in stored.lines] == [
        ("a", "x = 1"),
        ("b@generation/python", "y = 2"),
        ("3", "Adds."),
    ]
    assert stored.lines[1].suite == "embedded"
    assert [line.finish_reason for line in stored.lines] == ["stop", "length", "stop"]
    assert stored.faults == ()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"id": "b", "code": "x', "2: not valid JSON: Unterminated string starting at; left out"),
        (b"[1, 2]", "2: not a JSON object; left out"),
        (b'{"code": "x"}', "2: no id; left out"),
        (b'{"id": "", "code": "x"}', "2: no id; left out"),
        (b'{"id": true, "code": "x"}', "2: no id; left out"),
        (b'{"id": "\\ud800", "code": "x"}', "2: no id; left out"),
        (b'{"id": "a", "code": "y"}', "2: id 'a' is that of line 1 too; left out"),
        (b"\xff\xfe", "2: not UTF-8 at byte 0 of the line; left out"),
        (b'{"id": "\xff", "code": "y"}', "2: not UTF-8 at byte 8 of the line; left out"),
        (b"[" * 100_000, "2: not valid JSON: nested or long beyond use; left out"),
        (b'{"id": ' + b"1" * 5000 + b"}", "2: not valid JSON: nested or long beyond use; left out"),
    ],
)
def test_a_line_without_an_id_of_its_own_is_left_out(file, line, what):
    path = file(GOOD, line, b'{"id": "c", "code": "z"}')
    stored = read(path)
    assert [one.id for one in stored.lines] == ["a", "c"]
    assert [str(fault) for fault in stored.faults] == [f"{path}:{what}"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"id": "b"}', "id 'b': none of the fields code, output, summary, text"),
        (b'{"id": "b", "code": null}', "id 'b': field 'code' is not a text but null"),
        (b'{"id": "b", "code": ["x"]}', "id 'b': field 'code' is not a text but a list"),
        (b'{"id": "b", "code": "caf\xe9"}', "id 'b': not UTF-8 at byte 24 of the line"),
    ],
)
def test_a_line_with_an_id_keeps_its_place(file, line, what):
    path = file(GOOD, line, b'{"id": "c", "code": "z"}')
    stored = read(path)
    assert [one.text for one in stored.lines] == ["x = 1", None, "z"]
    assert [str(fault) for fault in stored.faults] == [f"{path}:2: {what}"]


def test_a_gigantic_line_is_passed_over(file, monkeypatch):
    monkeypatch.setattr(storedlines, "MAX_LINE_BYTES", 2**20)
    huge = b'{"id": "b", "code": "' + b"x" * (5 * 2**20) + b'"}'
    stored = read(file(GOOD, huge, b'{"id": "c", "code": "z"}', huge))
    assert [line.id for line in stored.lines] == ["a", "c"]
    assert [fault.number for fault in stored.faults] == [2, 4]
    assert stored.faults[0].what == "longer than 1 MiB"


def test_only_what_is_needed_of_a_text_is_kept(file):
    stored = read(file(b'{"id": "a", "code": "' + b"x" * 99 + b'"}'), longest=9)
    assert stored.lines[0].text == "x" * 9


def test_marks_of_order_and_ends_of_other_systems_are_no_fault(file):
    stored = read(file(b"\xef\xbb\xbf" + GOOD, b"", b'{"id": "b", "code": "y"}', end=b"\r\n"))
    assert [line.id for line in stored.lines] == ["a", "b"]
    assert stored.lines[1].number == 3
    assert stored.faults == ()


def test_the_same_id_in_another_suite_is_another_problem(file):
    lines = [
        json.dumps({"id": "a", "suite": suite, "output": suite}).encode() for suite in ("s", "t")
    ]
    assert [line.text for line in read(file(*lines)).lines] == ["s", "t"]


def test_references_may_be_named_as_such(file):
    lines = [b'{"id": "a", "reference": "r", "code": "c"}', b'{"id": "b", "target": "t"}']
    assert [line.text for line in read(file(*lines), REFERENCE_FIELDS).lines] == ["r", "t"]


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_an_error(file, content):
    path = file(content)
    with pytest.raises(DataError, match="it is empty") as raised:
        read(path)
    assert str(path) in raised.value.problem


def test_a_file_of_something_else_says_what_its_first_line_is(file):
    with pytest.raises(DataError, match=r":1: not valid JSON.*as all its lines"):
        read(file(b"id,code", b"a,x"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.jsonl: cannot be read \(No such file"):
        read(tmp_path / "absent.jsonl")


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_end_in_anything_but_lines_and_faults(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "f.jsonl"
    path.write_bytes(b"\n".join([GOOD, *lines]))
    stored = read(path)
    assert stored.lines[0].text == "x = 1"
    numbers = [line.number for line in stored.lines] + [fault.number for fault in stored.faults]
    assert len(numbers) <= path.read_bytes().count(b"\n") + 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b'{"id": "a", "id": "b", "code": "x"}', "id"),
        (b'{"id": "a", "code": 1, "code": 2}', "code"),
    ],
)
def test_a_name_that_stands_twice_is_a_fault(file, line, name):
    stored = read(file(GOOD, line))
    assert len(stored.lines) == 1
    assert str(stored.faults[0]).endswith(
        f"2: the name '{name}' stands twice in one object; left out"
    )


def test_a_hole_of_a_terabyte_is_not_read(tmp_path):
    path = tmp_path / "generations.jsonl"
    with path.open("wb") as content:
        content.truncate(2**40)
    with pytest.raises(DataError, match="a hole in the disk"):
        read(path)
