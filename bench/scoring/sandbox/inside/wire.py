"""Plain values as tagged JSON: what crosses between model-written and trusted code.

The receiving side builds only exact built-in types, so a value that lies (an ``__eq__``
that is always true, a ``str`` subclass with its own methods) arrives as what it is or as
an opaque reference. What it builds is bounded in depth and magnitude; a container whose
members collide can still take time, so it is read where a process may die of it. Standard
library only; imported on both sides of the jail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

#: Built-in containers, the most specific first; a subclass travels as its base.
_CONTAINERS: tuple[tuple[str, type], ...] = (
    ("tuple", tuple),
    ("set", set),
    ("frozenset", frozenset),
)
_BUILD: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
_TYPES = {kind.__name__: kind for kind in (int, float, str, bool, list, tuple, dict, set, complex)}
#: Above this many bits the decimal form meets Python's limit on digits.
_DECIMAL_BITS = 8192
_MAX_DEPTH = 200
_MAX_DIGITS = 1_000_000
#: A Fraction in lowest terms and a Decimal of moderate size, as ``str`` writes them: a larger
#: exponent stands for more digits than memory holds.
_FRACTION = re.compile(r"-?\d{1,4000}(/\d{1,4000})?")
_DECIMAL = re.compile(r"-?(\d{1,4000}(\.\d{1,4000})?(E[+-]\d{1,4})?|Infinity|s?NaN)")

Reference = Callable[[Any], Any]


class Unsupported(TypeError):
    """A value that is not plain and cannot be sent by reference either."""


def _no_reference(value: Any) -> Any:
    raise Unsupported(f"a {type(value).__name__} cannot be passed")


def encode(value: Any, reference: Reference = _no_reference, depth: int = 0) -> Any:
    """``value`` as JSON data; ``reference`` turns what is not plain into a reference."""
    if value is None or value is True or value is False:
        return value
    if depth > _MAX_DEPTH:
        return reference(value)
    if isinstance(value, int):
        number = int.__index__(value)
        if number.bit_length() > _DECIMAL_BITS:
            return {"t": "int", "v": hex(number)}
        return number
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return [encode(item, reference, depth + 1) for item in list.__iter__(value)]
    if isinstance(value, dict):
        pairs = [
            [encode(key, reference, depth + 1), encode(item, reference, depth + 1)]
            for key, item in dict.items(value)
        ]
        return {"t": "dict", "v": pairs}
    return _encode_rare(value, reference, depth)


def _encode_rare(value: Any, reference: Reference, depth: int) -> Any:
    for tag, kind in _CONTAINERS:
        if isinstance(value, kind):
            members: Any = kind.__iter__(value)  # type: ignore[attr-defined]
            return {"t": tag, "v": [encode(item, reference, depth + 1) for item in members]}
    if isinstance(value, complex):
        return {"t": "complex", "v": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"t": type(value).__mro__[-2].__name__, "v": bytes(value).hex()}
    if type(value) is range:
        return {"t": "range", "v": [hex(part) for part in (value.start, value.stop, value.step)]}
    if type(value) is type and value in _TYPES.values():
        return {"t": "type", "v": value.__name__}
    kind = type(value)
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return {"t": "deque", "v": [encode(item, reference, depth + 1) for item in value]}
    if (kind.__module__, kind.__name__) in {("fractions", "Fraction"), ("decimal", "Decimal")}:
        return {"t": kind.__name__, "v": str(value)}
    return reference(value)


def decode(data: Any, resolve: Callable[[int], Any] | None = None, depth: int = 0) -> Any:
    """The value behind JSON data; ``resolve`` gives the object of a reference.

    Raises:
        ValueError: not a message that ``encode`` makes.
    """
    if depth > _MAX_DEPTH + 1:
        raise ValueError("nested too deeply")
    if isinstance(data, list):
        return [decode(item, resolve, depth + 1) for item in data]
    if not isinstance(data, dict):
        return data
    try:
        tag, body = data["t"], data["v"]
        if tag == "ref" and resolve is not None:
            return resolve(int(body))
        if tag == "dict":
            return {
                decode(key, resolve, depth + 1): decode(item, resolve, depth + 1)
                for key, item in body
            }
        if tag in _BUILD:
            return _BUILD[tag]([decode(item, resolve, depth + 1) for item in body])
        if tag == "deque":
            import collections

            return collections.deque(decode(item, resolve, depth + 1) for item in body)
        return _decode_scalar(tag, body)
    except (KeyError, TypeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"malformed value: {error}") from None


def _decode_scalar(tag: str, body: Any) -> Any:
    if tag == "int":
        return _whole(body)
    if tag == "complex":
        return complex(float(body[0]), float(body[1]))
    if tag in ("bytes", "bytearray"):
        return bytes.fromhex(body) if tag == "bytes" else bytearray.fromhex(body)
    if tag == "range":
        return range(*(_whole(part) for part in body))
    if tag == "type":
        return _TYPES[body]
    if tag == "Fraction" and _FRACTION.fullmatch(body):
        import fractions

        return fractions.Fraction(body)
    if tag == "Decimal" and _DECIMAL.fullmatch(body):
        import decimal

        return decimal.Decimal(body)
    raise ValueError(f"unknown tag {tag!r:.40}")


def _whole(digits: str) -> int:
    """An integer of hexadecimal digits."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number too large")
    return int(digits, 16)


def line(message: Any) -> bytes:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def parse(text: bytes) -> Any:
    """The message of a line.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
