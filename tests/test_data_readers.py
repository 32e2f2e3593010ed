"""Readers: a broken file is told by name, line and field, never by a traceback."""

from __future__ import annotations

import gzip

import pytest

from bench.data.readers import read_json, read_jsonl, read_lines
from bench.errors import DataError


def test_only_a_line_feed_ends_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("one\x0c two\u2028\r\n\nthree".encode())
    assert read_lines(path) == ["one\x0c two\u2028\r", "", "three"]


def test_gzip_is_read_like_plain_text(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert [record["a"] for record in read_jsonl(path, {"a": int})] == [1, 2]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: broken gzip stream"):
        read_lines(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"b": 1}\n', r"a\.jsonl:2: field 'a' is missing — the fields there are: b"),
        (b'{"a": 1}\n{"a": "1"}\n', r"a\.jsonl:2: field 'a' is str, not int"),
        (b'{"a": 1}\n{"a": \n', r"a\.jsonl:2: not valid JSON"),
        (b'{"a": 1}\n\n', r"a\.jsonl:2: not valid JSON"),
        (b"[1]\n", r"a\.jsonl:1: not a JSON object"),
        (b'{"a": 1}\n{"a": 2, "b": "\xff"}', r"a\.jsonl:2: not UTF-8 at byte 15"),
    ],
)
def test_the_line_and_field_at_fault_are_named(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_jsonl(path, {"a": int})


def test_a_json_file_names_its_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n"b" 2}')
    with pytest.raises(DataError, match=r"a\.json:2: not valid JSON"):
        read_json(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: cannot be read \(No such file"):
        read_lines(tmp_path / "none.txt")
