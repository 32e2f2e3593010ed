"""Typed values: reading the JSON form, and what counts as the same result."""

from __future__ import annotations

import math

import pytest

from bench.data.casetypes import parse
from bench.scoring.sandbox import values
from bench.scoring.sandbox.values import same, value


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("map[int,str]", {"1": "a"}, {1: "a"}),
        ("map[bool,int]", {"true": 1}, {True: 1}),
        ("map[list[int],int]", [[[1, 2], 3]], {(1, 2): 3}),
        ("set[int]", [1, 2, 2], {1, 2}),
        ("float", 3, 3.0),
        ("float", "-Infinity", -math.inf),
        ("optional[int]", None, None),
        ("list[optional[str]]", ["a", None], ["a", None]),
    ],
)
def test_json_becomes_python(kind, data, expected):
    found = value(parse(kind), data)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "data"),
    [("int", True), ("int", 1.5), ("int", "1"), ("list[int]", "ab"), ("bool", 1), ("float", "x")],
)
def test_json_of_another_type_is_refused(kind, data):
    with pytest.raises(ValueError, match=r"is not a|convert"):
        value(parse(kind), data)


@pytest.mark.parametrize(
    ("kind", "expected", "actual"),
    [
        ("float", 1.0, 1.0 + 5e-7),
        ("float", 0.0, 1e-10),
        ("float", 2.0, 2),
        ("float", math.nan, math.nan),
        ("float", math.inf, math.inf),
        ("list[float]", [0.1 + 0.2], [0.3]),
        ("map[str,float]", {"a": 1.0, "b": 2.0}, {"b": 2.0 + 1e-9, "a": 1.0}),
        ("map[float,int]", {0.3: 1}, {0.1 + 0.2: 1}),
        ("set[float]", {0.3}, {0.1 + 0.2}),
        ("set[int]", {1, 2}, frozenset({2, 1})),
        ("optional[int]", None, None),
    ],
)
def test_same(kind, expected, actual):
    assert same(parse(kind), expected, actual)


@pytest.mark.parametrize(
    ("kind", "expected", "actual"),
    [
        ("int", 1, True),
        ("int", 1, 1.0),
        ("int", 1, "1"),
        ("bool", True, 1),
        ("float", 1.0, True),
        ("float", 1.0, 1.00001),
        ("float", math.nan, 0.0),
        ("float", 1.0, 10**400),
        ("list[int]", [1, 2], [2, 1]),
        ("list[int]", [1, 2], [1, 2, 3]),
        ("list[int]", [1, 2], (1, 2)),
        ("str", "a", None),
        ("set[int]", {1, 2}, [1, 2]),
        ("set[int]", {1, 2}, {1, 3}),
        ("map[str,int]", {"a": 1}, {"a": 1, "b": 2}),
        ("map[str,int]", {"a": 1}, {"b": 1}),
        ("optional[int]", None, 0),
        ("optional[int]", 0, None),
        ("any", [1], [True, 1]),
    ],
)
def test_not_the_same(kind, expected, actual):
    assert not same(parse(kind), expected, actual)


def test_a_suite_that_prints_six_digits_may_ask_for_no_more():
    assert not same(parse("float"), 0.130435, 3 / 23)
    assert same(parse("list[float]"), [0.130435], [3 / 23], 1e-5)


def test_tolerances_are_the_documented_ones():
    assert (values.RELATIVE, values.ABSOLUTE) == (1e-6, 1e-9)
