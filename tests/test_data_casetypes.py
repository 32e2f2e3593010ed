"""The type language of the test cases."""

from __future__ import annotations

import pytest

from bench.data.casetypes import mismatch, parse


@pytest.mark.parametrize(
    "text", ["int", "list[str]", "map[str,list[int]]", "optional[list[char]]", "set[long]"]
)
def test_a_type_prints_as_it_was_written(text):
    assert str(parse(text)) == text
    assert parse(text.replace(",", " , ")) == parse(text)


@pytest.mark.parametrize(
    "text", ["", "integer", "list", "list[int", "list[int]]", "map[str]", "int[str]", "list{int}"]
)
def test_what_is_no_type(text):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        ("int", 2**31 - 1, True),
        ("int", 2**31, False),
        ("long", 2**31, True),
        ("long", 2**63, False),
        ("int", True, False),
        ("int", 1.0, False),
        ("float", 1, True),
        ("float", True, False),
        ("bool", 0, False),
        ("char", "é", True),
        ("char", "𝄞", False),
        ("char", "ab", False),
        ("str", None, False),
        ("optional[str]", None, True),
        ("list[int]", [1, "2"], False),
        ("list[list[int]]", [[1], []], True),
        ("map[str,int]", {"a": 1}, True),
        ("map[int,str]", {"-1": "a"}, True),
        ("map[int,str]", {"a": "a"}, False),
        ("map[str,int]", [], False),
        ("set[str]", ["a"], True),
    ],
)
def test_values_fit_their_types(text, value, fits):
    assert (mismatch(value, parse(text)) is None) == fits
