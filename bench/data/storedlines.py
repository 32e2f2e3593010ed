"""Generations (or references) of any origin, read from JSON Lines line by line.

What a line needs is an ``id`` and a text. One that cannot be used is reported with its
number and the rest goes on: it is left out where it has no id of its own, else it stays,
without a text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bench.data.readers import Twice, once, opened
from bench.errors import DataError

#: Fields that hold what was written, the first one that a line has: as code, as the answers
#: that the kit has found, as a summary; or all that a model said, with its answer in it.
#: A file of references may name it as what it is.
RAW_FIELD = "text"
TEXT_FIELDS = ("code", "output", "summary", RAW_FIELD)
REFERENCE_FIELDS = ("reference", "target", "code", "output", "summary")
#: A longer line is passed over without being held in memory.
MAX_LINE_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One usable line. ``text`` is None where it has an id but no usable text.

    ``raw``: it is all that a model said; its answer is yet to be found in it.
    ``task``, ``language``, ``suite`` and ``finish_reason`` are there in the kit's own files.
    """

    number: int
    id: str
    text: str | None
    task: str | None = None
    language: str | None = None
    suite: str | None = None
    finish_reason: str = "stop"
    raw: bool = False

    @property
    def place(self) -> tuple[str | None, ...]:
        """What makes a line another one: its id, within its suite and track."""
        return self.suite, self.task, self.language, self.id


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line of a file, and whether it was left out for that."""

    path: Path
    number: int
    what: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.what}{'; left out' if self.left_out else ''}"


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """The lines of a file in its order, each at a place of its own, and what was wrong."""

    path: Path
    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]


def read(path: Path, fields: Sequence[str] = TEXT_FIELDS, *, longest: int | None = None) -> Stored:
    """Read a file; empty lines are none, a byte order mark is passed over.

    Args:
        path: the file.
        fields: where a line's text may be, the first one that it has.
        longest: characters to keep of a text; None for all of it.

    Raises:
        DataError: it cannot be read, or holds no usable line.
    """
    lines: dict[tuple[str | None, ...], Line] = {}
    faults: list[Fault] = []
    try:
        with opened(path) as file:
            for number, content in _contents(file):
                line, wrong = _line(number, content, fields)
                if line is not None and line.place in lines:
                    first, line = lines[line.place], None
                    wrong = f"id {shown(first.id)} is that of line {first.number} too"
                if wrong is not None:
                    faults.append(Fault(path, number, wrong, left_out=line is None))
                if line is not None:
                    kept = line.text if line.text is None else line.text[:longest]
                    lines[line.place] = dataclasses.replace(line, text=kept)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint="name a file") from None
    if not lines:
        what = f"{faults[0]}, as all its lines" if faults else f"{path}: it is empty"
        raise DataError(
            what,
            hint=f'one JSON object a line: {{"id": "…", "{fields[0]}": "…"}}',
        )
    return Stored(path, tuple(lines.values()), tuple(faults))


def shown(text: str) -> str:
    """A text from outside as it is printed: quoted, control characters escaped, not too long."""
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")


def _contents(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """The lines with their numbers; None for one that is too long to be read."""
    number = 0
    while content := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        whole = len(content) <= MAX_LINE_BYTES
        while not content.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
            content = more  # the rest of it
        if number == 1:
            content = content.removeprefix(b"\xef\xbb\xbf")
        if not whole:
            yield number, None
        elif content.strip():
            yield number, content.rstrip(b"\r\n")


def _line(
    number: int, content: bytes | None, fields: Sequence[str]
) -> tuple[Line | None, str | None]:
    """The line if it has an id, and what is wrong with it if anything is."""
    if content is None:
        return None, f"longer than {MAX_LINE_BYTES // 2**20} MiB"
    broken = None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        broken = f"not UTF-8 at byte {error.start} of the line"
        text = content.decode(errors="surrogateescape")  # its id may well be readable
    try:
        record = json.loads(text, object_pairs_hook=once)
    except Twice as error:
        return None, broken or str(error)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "nested or long beyond use"
        return None, broken or f"not valid JSON: {why}"
    if not isinstance(record, dict):
        return None, "not a JSON object"
    identifier = _identifier(record.get("id"))
    if identifier is None:
        return None, broken or "no id"
    kept, why_not = _text(record, fields)
    about = {
        name: value
        for name in ("task", "language", "suite", "finish_reason")
        if isinstance(value := record.get(name), str)
    }
    raw = next((field for field in fields if field in record), None) == RAW_FIELD
    line = Line(number, identifier, None if broken else kept, **about, raw=raw)
    wrong = broken or why_not
    return line, None if wrong is None else f"id {shown(identifier)}: {wrong}"


def _identifier(value: Any) -> str | None:
    """An id as text; None where there is none, or not one that can be written again."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


_KINDS = {
    type(None): "null",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def _text(record: dict[str, Any], fields: Sequence[str]) -> tuple[str | None, str | None]:
    """The text of a record, or why it has none."""
    for field in fields:
        if field in record:
            value = record[field]
            if isinstance(value, str):
                return value, None
            return None, f"field {field!r} is not a text but {_KINDS[type(value)]}"
    return None, f"none of the fields {', '.join(fields)}"
