"""G-TransEval: 400 Java and C# functions in pairs, with declarative unit tests, both ways.

Line ``i`` of a type's two ``.test`` files is question ``i`` of its configuration. Its texts
become typed values; code is joined from its tokens (``bench.data.detokenize``).
"""

from __future__ import annotations

import re
from typing import Any

from bench.data.codexglue import Locate
from bench.data.detokenize import detokenize
from bench.data.readers import read_json, read_lines, require
from bench.errors import DataError
from bench.records import Sample, Track

_FILE = {"java": "Java", "csharp": "CSharp"}
QUESTIONS = {1: 125, 2: 125, 3: 125, 4: 25}
_TYPES = {
    "int": "int",
    "double": "float",
    "string": "str",
    "bool": "bool",
    "char": "char",
    "any": "any",
}
#: Parts a value of the type ``any`` from the name of its own type.
_OWN_TYPE = "|ANY_TYPE_SEP|"
#: Expected doubles are printed with six digits (0.166667), so no nearer value can be asked.
PRINTED = 1e-5
_ENTRY = re.compile(r"(\w+)\s*\(")


def files(track: Track) -> list[str]:
    """The files of a mirror that the suite reads."""
    languages = (track.source_language, track.target_language)
    return [
        path
        for level in QUESTIONS
        for path in (
            *(f"g-transeval/Type{level}/{_FILE[language]}.test" for language in languages),
            f"g-transeval/config/l{level}.json",
        )
    ]


def problems(track: Track, locate: Locate) -> list[Sample]:
    """The problems of a direction; ``part`` is the type, ``type-1`` to ``type-4``.

    Raises:
        DataError: a file is not as listed, lacks a field or a line.
    """
    samples = []
    for level, expected in QUESTIONS.items():
        source, target = (
            [line for line in read_lines(locate(f"g-transeval/Type{level}/{name}.test")) if line]
            for name in (_FILE[track.source_language], _FILE[track.target_language])
        )
        path = locate(f"g-transeval/config/l{level}.json")
        questions = require(read_json(path), "questions", list, str(path))
        if not len(source) == len(target) == len(questions) == expected:
            counts = f"{len(source)}, {len(target)} and {len(questions)}"
            raise DataError(
                f"{path}: {counts} sources, targets and questions, expected {expected} of each",
                hint="all three files have to come from the same commit",
            )
        for number, question in enumerate(questions):
            where = f"{path}: question {number}"
            check = _check(question, detokenize(target[number]), where)
            inputs = {"code": detokenize(source[number])}
            name = f"type-{level}-{number}@{track}"
            reference = detokenize(target[number])
            samples.append(Sample(name, track, inputs, reference, f"type-{level}", check))
    return samples


def _check(question: dict[str, Any], target: str, where: str) -> dict[str, Any]:
    """The question's tests in the kit's form."""
    parameters = require(question, "paramsType", list, where)
    result = require(question, "returnType", object, where)
    try:
        types = {"args": [_type(kind) for kind in parameters], "result": _type(result)}
    except KeyError as error:
        raise DataError(f"{where}: unknown type {error}", hint="restore the file") from None
    cases = [
        {
            "args": [
                _value(text, kind, where)
                for text, kind in zip(test["params"], parameters, strict=True)
            ],
            "result": _value(test["return"], result, where),
        }
        for test in require(question, "tests", list, where)
    ]
    entry = _ENTRY.search(target)
    if entry is None:
        raise DataError(f"{where}: its reference has no method", hint="restore the file")
    return {
        "kind": "cases",
        "entry": entry.group(1),
        "types": types,
        "cases": cases,
        "preamble": "",
        "relative_tolerance": PRINTED,
    }


def _type(kind: Any) -> str:
    """``["int"]`` is a list, ``{"char": "int"}`` a map; a name is looked up (KeyError)."""
    if isinstance(kind, list):
        return f"list[{_type(kind[0])}]"
    if isinstance(kind, dict):
        ((key, value),) = kind.items()
        return f"map[{_type(key)},{_type(value)}]"
    return _TYPES[kind]


def _value(text: Any, kind: Any, where: str) -> Any:
    """A value of the configuration, which writes every scalar as a text."""
    if isinstance(kind, list) and isinstance(text, list):
        return [_value(item, kind[0], where) for item in text]
    if isinstance(kind, dict) and isinstance(text, dict):
        (inner,) = kind.values()
        return {key: _value(item, inner, where) for key, item in text.items()}
    if kind == "any" and isinstance(text, str):
        value, _, own = text.partition(_OWN_TYPE)
        return {"type": _TYPES[own], "value": _value(value, own, where)}
    if kind == "any" and text == []:
        return []
    if not isinstance(text, str):
        raise DataError(f"{where}: {text!r} is not {kind}", hint="restore the file")
    try:
        if kind == "int":
            return int(text)
        if kind == "double":
            return float(text)
        if kind == "bool":
            return {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise DataError(f"{where}: {text!r} is not {kind}", hint="restore the file") from None
    return text
