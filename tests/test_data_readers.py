"""Readers: a broken file is told by name, line and field, never by a traceback."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import readers
from bench.data.readers import read_json, read_jsonl, read_lines
from bench.errors import DataError
from tests import damage


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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "1e999 is beyond all bounds"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON: Exceeds the limit"),
        (b'{"a": 1, "a": 2}', "the name 'a' stands twice"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 101 + b"]" * 101, "nested too deeply"),
        (b'{"a": ' * 101 + b"1" + b"}" * 101, "nested too deeply"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16, or not text"),
        (b'{"a": "\0"}', "UTF-16, or not text"),
        (b'{"a":\n "\xff"}', "not UTF-8 at byte 8"),
        (b"", "not valid JSON: Expecting value"),
        (b"7", "not a JSON object"),
    ],
)
def test_json_that_says_two_things_or_none_is_refused(tmp_path, content, told):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(told)) as error:
        readers.read_object(path)
    assert str(path) in error.value.problem
    assert error.value.problem.isprintable()


def test_a_byte_order_mark_and_a_hundred_levels_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + b"[" * 100 + b"]" * 100)
    assert read_json(path)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\u00e4\\", max_size=3), inner)
    ),
    max_leaves=20,
)


@given(value=PLAIN, escaped=st.booleans())
def test_whatever_python_writes_is_read_as_it_was(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    assert readers.parse_json(text.encode(), "x") == value
    assert readers.parse_json(text, "x") == value


@given(content=st.binary(max_size=200))
def test_no_bytes_are_more_than_an_error(content):
    """Of JSON, and of a safetensors file's header."""
    with contextlib.suppress(DataError):
        readers.parse_json(content, "x")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.toml", "a.csv", "a.jsonl.gz", "a.safetensors"):
            (Path(folder) / name).write_bytes(content)
        for read, name in (
            (readers.read_toml, "a.toml"),
            (lambda path: readers.read_rows(path, ("a",)), "a.csv"),
            (lambda path: read_jsonl(path, {"a": int}), "a.jsonl.gz"),
            (readers.safetensors_shapes, "a.safetensors"),
        ):
            with contextlib.suppress(DataError):
                read(Path(folder) / name)


def test_a_bomb_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_ALWAYS_BYTES", 2**20)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(2**23)))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        read_lines(path)


@pytest.mark.parametrize("how", ["a folder", "a pipe", "an endless device", "a loop", "a socket"])
def test_what_is_no_file_is_said_at_once(tmp_path, how):
    path = tmp_path / "a.json"
    damage.PLACES[how](path)
    with damage.in_time(2), pytest.raises(DataError, match=r"a\.json: cannot be read") as error:
        read_json(path)
    assert "not a file" in error.value.problem or how in ("a loop", "a socket")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a\nb", "a\udcff", "\x1b[2J"])
def test_a_name_of_any_kind_is_one_line(tmp_path, name):
    with pytest.raises(DataError) as error:
        read_json(tmp_path / name)
    assert error.value.problem.isprintable()


def test_a_truth_value_is_no_number():
    with pytest.raises(DataError, match="field 'a' is bool, not int"):
        readers.require({"a": True}, "a", int, "x")


def test_the_shapes_of_a_model_are_read_from_its_header(tmp_path):
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F32", "shape": [5], "data_offsets": [24, 44]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(44))
    assert readers.safetensors_shapes(path) == {"a": (2, 3), "b": (5,)}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="bytes long, its header says"):
        readers.safetensors_shapes(path)


def test_a_row_that_lacks_a_field_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("# from elsewhere\na,b\n1,2\n3\n")
    with pytest.raises(DataError, match="row 2: 1 fields, its header has 2"):
        readers.read_rows(path, ("a",), comment="#")
