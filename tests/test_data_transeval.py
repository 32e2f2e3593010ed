"""G-TransEval's tests in the kit's form."""

from __future__ import annotations

import pytest

from bench.data import transeval
from bench.data.casetypes import mismatch, parse
from bench.data.sources import locate
from bench.errors import DataError
from bench.records import Track

DIRECTIONS = [Track("translation", "java_cs"), Track("translation", "cs_java")]


@pytest.mark.parametrize("track", DIRECTIONS, ids=str)
def test_every_case_has_values_of_its_types(mirror, track):
    problems = transeval.problems(track, lambda path: locate(path, mirror))
    counts = dict.fromkeys(("type-1", "type-2", "type-3", "type-4"), 0)
    for problem in problems:
        counts[problem.part] += 1
        types = problem.check["types"]
        kinds = [*map(parse, types["args"]), parse(types["result"])]
        assert len(problem.check["cases"]) == 5
        for case in problem.check["cases"]:
            for value, kind in zip([*case["args"], case["result"]], kinds, strict=True):
                assert mismatch(value, kind) is None, (problem.id, value)
        assert f"{problem.check['entry']}(" in problem.reference
    assert counts == {"type-1": 125, "type-2": 125, "type-3": 125, "type-4": 25}
    assert len({problem.id for problem in problems}) == 400


def test_both_languages_of_a_pair_are_the_same_question(mirror):
    to_csharp, to_java = (
        transeval.problems(track, lambda path: locate(path, mirror)) for track in DIRECTIONS
    )
    for left, right in zip(to_csharp, to_java, strict=True):
        assert left.inputs["code"] == right.reference
        assert right.inputs["code"] == left.reference
        assert left.check["cases"] == right.check["cases"]


def test_values_are_typed():
    question = {
        "paramsType": [["double"], {"int": ["char"]}, "bool"],
        "returnType": "string",
        "tests": [{"params": [["1", "2.5"], {"1": ["a"]}, "true"], "return": "1"}],
    }
    check = transeval._check(question, "string F(int x)", "here")
    assert check["types"]["args"] == ["list[float]", "map[int,list[char]]", "bool"]
    assert check["cases"] == [{"args": [[1.0, 2.5], {"1": ["a"]}, True], "result": "1"}]
    assert check["entry"] == "F"


def test_values_of_any_type_carry_their_own():
    given = ["4|ANY_TYPE_SEP|int", [], "c|ANY_TYPE_SEP|char", "2|ANY_TYPE_SEP|double"]
    assert transeval._value(given, ["any"], "here") == [
        {"type": "int", "value": 4},
        [],
        {"type": "char", "value": "c"},
        {"type": "float", "value": 2.0},
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("one", "int"), ("True", "bool"), (["1"], "int"), ("", "double"), ({}, "any")],
)
def test_a_value_of_another_type_is_told(text, kind):
    with pytest.raises(DataError, match=r"here: .* is not"):
        transeval._value(text, kind, "here")


def test_a_question_of_an_unknown_type_is_told():
    with pytest.raises(DataError, match="here: unknown type 'decimal'"):
        transeval._check({"paramsType": ["decimal"], "returnType": "int"}, "int f()", "here")


def test_a_question_without_a_field_is_told():
    with pytest.raises(DataError, match="here: field 'paramsType' is missing"):
        transeval._check({"tests": []}, "int f()", "here")
