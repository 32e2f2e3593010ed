"""Typed values of language-neutral test cases: reading the JSON form, comparing results.

The types are those of ``bench.data.casetypes``. In JSON a map is an object, or a list of
pairs where its keys are not text; a set is a list.
"""

from __future__ import annotations

import math
from typing import Any

from bench.data.casetypes import CaseType

RELATIVE, ABSOLUTE = 1e-6, 1e-9


def value(kind: CaseType, data: Any) -> Any:
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


def _expect(data: Any, kinds: type | tuple[type, ...], kind: CaseType) -> Any:
    if not isinstance(data, kinds):
        raise ValueError(f"{data!r} is not a {kind}")
    return data


def _key(kind: CaseType, data: Any) -> Any:
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


def same(kind: CaseType, expected: Any, actual: Any, relative: float = RELATIVE) -> bool:
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
    kind: CaseType, expected: set[Any], actual: set[Any] | frozenset[Any], relative: float
) -> bool:
    member = kind.of[0]
    if len(expected) != len(actual):
        return False
    return all(any(same(member, one, other, relative) for other in actual) for one in expected)


def _same_maps(
    kind: CaseType, expected: dict[Any, Any], actual: dict[Any, Any], relative: float
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
