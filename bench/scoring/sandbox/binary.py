"""Plain values as tagged bytes: what crosses to and from Java and C# programs in the jail.

Big-endian. ``n`` null, ``T``/``F``, ``i`` 64-bit integer, ``I`` larger integer as text,
``d`` double, ``s`` text as UTF-16 units (lone surrogates survive), ``c`` one unit, ``l``
list, ``S`` set, ``m`` map, ``o`` an opaque object. The reader believes nothing: every
length is checked against what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from bench.data.casetypes import CaseType
from bench.scoring.sandbox.cases import Answer, Told

READY, LOADED, VALUE, RAISED = 1, 2, 3, 4
_INT64 = range(-(2**63), 2**63)
_DEEPEST = 120


class Opaque:
    """A value that is not plain: equal to nothing."""

    def __repr__(self) -> str:
        return "an object"


OPAQUE: Final = Opaque()


def text(value: str) -> bytes:
    """A name or a source, as its length and UTF-8."""
    data = value.encode("utf-8", "replace")
    return struct.pack(">i", len(data)) + data


def integer(value: int) -> bytes:
    """A 32-bit integer."""
    return struct.pack(">i", value)


def write(value: Any, kind: CaseType | None = None) -> bytes:
    """The bytes of a value that has the given type (see ``values.value``)."""
    name = kind.name if kind is not None else "any"
    of = kind.of if kind is not None else ()
    if value is None:
        return b"n"
    if name == "optional":
        return write(value, of[0])
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        if value in _INT64:
            return b"i" + struct.pack(">q", value)
        return b"I" + _units(str(value))
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, str):
        if name == "char":
            return b"c" + value.encode("utf-16-be", "surrogatepass")[:2]
        return b"s" + _units(value)
    if isinstance(value, dict):
        if name == "any" and value.keys() == {"type", "value"}:  # an element of a given type
            return write(value["value"], CaseType(value["type"]))
        keys, items = of or (None, None)
        pairs = [write(key, keys) + write(item, items) for key, item in value.items()]
        return b"m" + integer(len(value)) + b"".join(pairs)
    tag, member = b"l", of[0] if of else None
    if isinstance(value, set):
        tag, value = b"S", sorted(value, key=repr)  # the same order in every run
    return tag + integer(len(value)) + b"".join(write(item, member) for item in value)


def _units(value: str) -> bytes:
    data = value.encode("utf-16-be", "surrogatepass")
    return integer(len(data) // 2) + data


def arguments(given: Sequence[Sequence[Any]], kinds: Sequence[CaseType]) -> bytes:
    """The arguments of every call: how many calls, then per call how many values and them."""
    calls = [integer(len(call)) + b"".join(map(write, call, kinds)) for call in given]
    return integer(len(given)) + b"".join(calls)


def told(channel: bytes) -> Told:
    """What a program said behind ``READY``: whether its code loaded, and its answers."""
    reader = Reader(channel)
    loaded = reader.skip(READY) and reader.skip(LOADED)
    answers = reader.answers()
    refused = answers[0] if answers and answers[0].raised is not None else None
    return Told(answers, None if loaded else refused)


class Reader:
    """Reads what a jailed program wrote. Every method raises ValueError where it is cut."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size < 0 or self._at + size > len(self._data):
            raise ValueError("cut")
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def integer(self) -> int:
        """The next 32-bit integer."""
        return int(struct.unpack(">i", self.take(4))[0])

    def block(self) -> bytes:
        """The next bytes with their length before them."""
        return self.take(self.integer())

    def skip(self, tag: int) -> bool:
        """Pass over a byte if it is the next; whether it was."""
        found = self._data[self._at : self._at + 1] == bytes([tag])
        self._at += found
        return found

    def answers(self) -> list[Answer]:
        """The answers of a program, as many as are whole."""
        found: list[Answer] = []
        try:
            while True:
                found.append(self._answer())
        except ValueError:
            return found

    def _answer(self) -> Answer:
        tag = self.byte()
        if tag == VALUE:
            return Answer(self.value())
        if tag == RAISED:
            count = self.integer()
            names = tuple(str(self.value()) for _ in range(min(count, 64)))
            return Answer(raised=names, text=str(self.value()))
        raise ValueError(f"unknown answer {tag}")

    def value(self, depth: int = 0) -> Any:
        """The next value, of exact built-in types."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        tag = self.take(1)
        match tag:
            case b"n":
                return None
            case b"T" | b"F":
                return tag == b"T"
            case b"i":
                return struct.unpack(">q", self.take(8))[0]
            case b"I":
                return int(self._text())
            case b"d":
                return struct.unpack(">d", self.take(8))[0]
            case b"s":
                return self._text()
            case b"c":
                return self.take(2).decode("utf-16-be", "surrogatepass")
            case b"l":
                return [self.value(depth + 1) for _ in range(self._count())]
            case b"S":
                return {_key(self.value(depth + 1)) for _ in range(self._count())}
            case b"m":
                pairs = range(self._count())
                return {_key(self.value(depth + 1)): self.value(depth + 1) for _ in pairs}
            case b"o":
                return OPAQUE
        raise ValueError(f"unknown tag {tag!r}")

    def _text(self) -> str:
        return self.take(2 * self.integer()).decode("utf-16-be", "surrogatepass")

    def _count(self) -> int:
        count = self.integer()
        if not 0 <= count <= len(self._data):
            raise ValueError("cut")
        return count


def _key(value: Any) -> Any:
    """A member of a set or a key of a map, where a list stands as a tuple."""
    if isinstance(value, list):
        return tuple(map(_key, value))
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, dict):
        return tuple((_key(key), _key(item)) for key, item in value.items())
    return value
