"""The types of language-neutral test cases: ``int``, ``list[map[str,int]]``, ``optional[str]``.

A case is JSON, so that one file serves Python, Java and C#. ``int`` has 32 bits and
``long`` 64 in every language, ``float`` is a double, ``char`` one UTF-16 unit. A map is a
JSON object whatever its keys are (``{"1": "a"}`` for ``map[int,str]``), a set is an array.
``any`` takes what it is given; ``{"type": "char", "value": "c"}`` gives a value a type.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

_ARITY = {
    **dict.fromkeys(("int", "long", "float", "bool", "str", "char", "any"), 0),
    **dict.fromkeys(("list", "set", "optional"), 1),
    "map": 2,
}
_TOKEN = re.compile(r"\s*([a-z]+|[\[\],])")
_BITS = {"int": 31, "long": 63}


@dataclasses.dataclass(frozen=True, slots=True)
class CaseType:
    """A parsed type: its name and the types of its members."""

    name: str
    of: tuple[CaseType, ...] = ()

    def __str__(self) -> str:
        inner = ",".join(map(str, self.of))
        return f"{self.name}[{inner}]" if inner else self.name


@functools.cache
def parse(text: str) -> CaseType:
    """Parse a type.

    Raises:
        ValueError: not a type of this module; the message says where.
    """
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text!r}: unexpected {text[position]!r}")
        tokens.append(match.group(1))
        position = match.end()
    result, rest = _parse(text, tokens)
    if rest:
        raise ValueError(f"{text!r}: unexpected {rest[0]!r}")
    return result


def _parse(text: str, tokens: list[str]) -> tuple[CaseType, list[str]]:
    if not tokens or tokens[0] not in _ARITY:
        found = tokens[0] if tokens else "the end"
        raise ValueError(f"{text!r}: {found} is none of {', '.join(sorted(_ARITY))}")
    name, rest = tokens[0], tokens[1:]
    parameters: list[CaseType] = []
    for index in range(_ARITY[name]):
        if not rest or rest[0] != ("," if index else "["):
            raise ValueError(f"{text!r}: {name} needs {_ARITY[name]} parameters in brackets")
        parameter, rest = _parse(text, rest[1:])
        parameters.append(parameter)
    if parameters:
        if not rest or rest[0] != "]":
            raise ValueError(f"{text!r}: {name} is not closed")
        rest = rest[1:]
    return CaseType(name, tuple(parameters)), rest


def mismatch(value: Any, kind: CaseType) -> str | None:
    """Why a JSON value is not of a type; None where it is."""
    if kind.name == "any":
        return None
    if kind.name == "optional":
        return None if value is None else mismatch(value, kind.of[0])
    if kind.name in ("list", "set") and isinstance(value, list):
        return next(filter(None, (mismatch(item, kind.of[0]) for item in value)), None)
    if kind.name == "map" and isinstance(value, dict):
        key, item = kind.of
        problems = (_key_mismatch(name, key) or mismatch(value[name], item) for name in value)
        return next(filter(None, problems), None)
    return None if _is_scalar(value, kind.name) else f"{value!r} is not {kind}"


def _key_mismatch(name: str, kind: CaseType) -> str | None:
    if kind.name in _BITS:
        return None if re.fullmatch(r"-?\d+", name) else f"key {name!r} is not {kind}"
    return mismatch(name, kind)


def _is_scalar(value: Any, name: str) -> bool:
    if name in _BITS:
        is_int = isinstance(value, int) and not isinstance(value, bool)
        return is_int and -(2 ** _BITS[name]) <= value < 2 ** _BITS[name]
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "bool":
        return isinstance(value, bool)
    if name == "char":
        return isinstance(value, str) and len(value.encode("utf-16-le")) == 2
    return name == "str" and isinstance(value, str)
