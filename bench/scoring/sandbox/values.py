"""Typed values of language-neutral test cases: reading the JSON form, comparing results.

Types: ``int``, ``long``, ``float``, ``bool``, ``str``, ``char``, ``any``, ``list[T]``,
``map[K,V]``, ``set[T]``, ``optional[T]``. In JSON a map is an object, or a list of pairs
where its keys are not text; a set is a list.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

_PLAIN = frozenset({"int", "long", "float", "bool", "str", "char", "any"})
_ARITY = {"list": 1, "set": 1, "optional": 1, "map": 2}
RELATIVE, ABSOLUTE = 1e-6, 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """A type by name, with the types of its members."""

    name: str
    of: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.of))}]" if self.of else self.name


@functools.cache
def parse(text: str) -> Type:
    """Read a type such as ``map[str,list[int]]``.

    Raises:
        ValueError: not a type.
    """
    name, bracket, rest = text.strip().partition("[")
    if not bracket and name in _PLAIN:
        return Type(name)
    if _ARITY.get(name) is None or not rest.endswith("]"):
        raise ValueError(f"not a type: {text!r}")
    members = _split(rest[:-1])
    if len(members) != _ARITY[name]:
        raise ValueError(f"{name} takes {_ARITY[name]} types: {text!r}")
    return Type(name, tuple(map(parse, members)))


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if sign == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def value(kind: Type, data: Any) -> Any:
    """The Python value of JSON ``data``: dict, set, float where the type says so.

    Raises:
        ValueError: the data is not of the type.
    """
    match kind.name:
        case "any":
            return data
        case "optional":
            return None if data is None else value(kind.of[0], data)
        case "list":
            return [value(kind.of[0], item) for item in _expect(data, list, kind)]
        case "set":
            return {_hashable(value(kind.of[0], item)) for item in _expect(data, list, kind)}
        case "map":
            pairs = data.items() if isinstance(data, dict) else _expect(data, list, kind)
            return {_key(kind.of[0], key): value(kind.of[1], item) for key, item in pairs}
        case "float":
            if isinstance(data, str) and data.lower() in ("nan", "infinity", "-infinity"):
                return float(data)
            if isinstance(data, bool):
                raise ValueError(f"{data!r} is not a {kind}")
            return float(_expect(data, (int, float), kind))
        case "bool":
            return _expect(data, bool, kind)
        case "str" | "char":
            return _expect(data, str, kind)
    if isinstance(data, bool):
        raise ValueError(f"{data!r} is not a {kind}")
    return _expect(data, int, kind)


def _expect(data: Any, kinds: type | tuple[type, ...], kind: Type) -> Any:
    if not isinstance(data, kinds):
        raise ValueError(f"{data!r} is not a {kind}")
    return data


def _key(kind: Type, data: Any) -> Any:
    """A map's key: JSON objects have text keys, whatever the type."""
    if isinstance(data, str) and kind.name in ("int", "long"):
        return int(data)
    if isinstance(data, str) and kind.name == "float":
        return float(data)
    if isinstance(data, str) and kind.name == "bool":
        return data.lower() == "true"
    return _hashable(value(kind, data))


def _hashable(item: Any) -> Any:
    return tuple(map(_hashable, item)) if isinstance(item, list) else item


def same(kind: Type, expected: Any, actual: Any, relative: float = RELATIVE) -> bool:
    """Whether a result is the expected one. Both are Python values of exact types.

    Numbers that a language writes as an integer pass for a float; a float never passes
    for an integer. Floats: ``relative`` and absolute 1e-9. Lists in order, maps and sets not.
    """
    match kind.name:
        case "optional":
            if expected is None or actual is None:
                return expected is None and actual is None
            return same(kind.of[0], expected, actual, relative)
        case "list":
            if not isinstance(actual, list) or len(actual) != len(expected):
                return False
            pairs = zip(expected, actual, strict=True)
            return all(same(kind.of[0], *pair, relative) for pair in pairs)
        case "set":
            return isinstance(actual, (set, frozenset)) and _same_sets(
                kind, expected, actual, relative
            )
        case "map":
            return isinstance(actual, dict) and _same_maps(kind, expected, actual, relative)
        case "float":
            if isinstance(actual, bool) or not isinstance(actual, (int, float)):
                return False
            return _close(float(expected), actual, relative)
        case "bool":
            return isinstance(actual, bool) and actual == expected
        case "str" | "char":
            return isinstance(actual, str) and actual == expected
        case "any":
            return type(actual) is type(expected) and bool(actual == expected)
    return isinstance(actual, int) and not isinstance(actual, bool) and actual == expected


def _close(expected: float, actual: float, relative: float) -> bool:
    if math.isnan(expected):
        return math.isnan(actual)
    try:
        return math.isclose(expected, actual, rel_tol=relative, abs_tol=ABSOLUTE)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _same_sets(
    kind: Type, expected: set[Any], actual: set[Any] | frozenset[Any], relative: float
) -> bool:
    member = kind.of[0]
    if len(expected) != len(actual):
        return False
    return all(any(same(member, one, other, relative) for other in actual) for one in expected)


def _same_maps(
    kind: Type, expected: dict[Any, Any], actual: dict[Any, Any], relative: float
) -> bool:
    keys, items = kind.of
    if len(expected) != len(actual):
        return False
    return all(
        any(
            same(keys, key, other, relative) and same(items, item, actual[other], relative)
            for other in ([key] if key in actual else actual)
        )
        for key, item in expected.items()
    )
