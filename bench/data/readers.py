"""The one door for files from outside: bounded, and a damaged one is told in one line.

A path may name a pipe, a device, a folder, a loop of links or nothing; a file may be cut off,
endless, of another encoding, nested without end, with numbers that are none. Whatever it is,
the reader ends soon with a DataError that names file, line and field.
"""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import math
import os
import stat
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from bench.errors import DataError

FETCH_AGAIN = "fetch the file again, or check the mirror that it came from"
CHECK_OUT_AGAIN = "check the file out again"

#: Larger than any file of text, and than any of JSON or TOML, that is read at once.
MOST_BYTES, MOST_STRUCTURED_BYTES = 2**31, 2**28
#: A gzip file of text unpacks to a twentieth of this; a bomb to a thousandfold.
_RATIO, _ALWAYS_BYTES, _PART_BYTES = 200, 2**26, 2**20
#: No file of ours, and none that we know, is nested as deeply.
_MOST_DEEP = 100
#: No file system packs what we write as tightly.
_LARGE_BYTES, _PACKED = 2**28, 1000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}
_Read = TypeVar("_Read")


def opened(path: Path) -> IO[bytes]:
    """A regular file, open to be read; a pipe or a device is not waited for.

    Raises:
        OSError: it is none, or cannot be opened; ``strerror`` says why.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:
        raise OSError(errno.EINVAL, "a name with a NUL", str(path)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = next((told for is_one, told in _KINDS.items() if is_one(mode)), "no file")
            raise OSError(errno.EINVAL, f"{kind}, not a file", str(path))
        if is_hole(os.fstat(descriptor)):
            raise OSError(
                errno.EINVAL, "a hole in the disk, not a file that was written", str(path)
            )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def is_hole(status: os.stat_result) -> bool:
    """Whether next to nothing of a large file is on the disk: to read it would take hours."""
    return status.st_size > _LARGE_BYTES and status.st_blocks * 512 * _PACKED < status.st_size


def exists(path: Path) -> bool:
    """Whether a regular file is there, whatever its name is: too long, or with a NUL."""
    return os.path.isfile(path)  # noqa: PTH113


def read_bytes(path: Path, *, hint: str = FETCH_AGAIN, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: the file cannot be read, is larger than ``most_bytes``, or its gzip stream
            is broken or unpacks to more than text does.
    """
    try:
        with opened(path) as file:
            whole = os.fstat(file.fileno()).st_size <= most_bytes
            content = file.read(most_bytes + 1) if whole else b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
    if not whole or len(content) > most_bytes:
        raise DataError(f"{path}: more than {most_bytes:,} bytes, which it never has", hint=hint)
    if path.suffix != ".gz":
        return content
    try:
        return _unpacked(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken gzip stream ({error})", hint=hint) from None


def _unpacked(content: bytes) -> bytes:
    most_bytes = _ALWAYS_BYTES + _RATIO * len(content)
    parts, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        while part := file.read(_PART_BYTES):
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise OSError(f"unpacks to more than {_RATIO} times its size")
    return b"".join(parts)


def read_text(path: Path, *, hint: str = FETCH_AGAIN, most_bytes: int = MOST_BYTES) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        DataError: the file cannot be read, or is of another encoding.
    """
    return _decoded(read_bytes(path, hint=hint, most_bytes=most_bytes), str(path), hint)


def _decoded(content: bytes, where: str, hint: str) -> str:
    if content.startswith(_UTF_16) or b"\0" in content:
        raise DataError(f"{where}: UTF-16, or not text", hint=f"save it as UTF-8, or {hint}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}:{line}: not UTF-8 at byte {error.start}", hint=hint) from None


def read_lines(path: Path, *, hint: str = FETCH_AGAIN) -> list[str]:
    r"""The lines of a UTF-8 file without their line feeds; the last one may lack its own.

    Only ``\n`` ends a line: code may hold form feeds and other separators.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8.
    """
    lines = read_bytes(path, hint=hint).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: not UTF-8 at byte {error.start} of the line", hint=hint
            ) from None
    return texts


def parse_json(content: bytes | str, where: str, *, hint: str = FETCH_AGAIN) -> Any:
    """The value of a JSON text that says one thing only: no name twice, no NaN, no infinity.

    Raises:
        DataError: it is none, or nested beyond use, or holds what cannot be written again.
    """
    text = content if isinstance(content, str) else _decoded(content, where, hint)
    try:
        value = _DECODER.decode(text.removeprefix("\ufeff"))
        if text.count("[") + text.count("{") > _MOST_DEEP:
            _check_depth(value)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        at = where if "\n" not in text.strip() else f"{where}:{error.lineno}"
        raise DataError(f"{at}: not valid JSON: {error.msg}", hint=hint) from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply", hint=hint) from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half a character (a surrogate)", hint=hint) from None
    except ValueError as error:  # ours, or a number of thousands of digits
        told = str(error).partition(";")[0]
        raise DataError(f"{where}: not valid JSON: {told}", hint=hint) from None
    return value


class Twice(ValueError):
    """A name that stands twice in one object: nobody knows which value is meant."""


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name stands twice, as ``json`` builds one from ``pairs``.

    Raises:
        Twice: one does.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Twice(f"the name {twice[:40]!r} stands twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:20]} is beyond all bounds")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > _MOST_DEEP:
            raise RecursionError
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
        ]


_DECODER = json.JSONDecoder(object_pairs_hook=once, parse_float=_finite, parse_constant=_refuse)


def read_json(
    path: Path, *, hint: str = FETCH_AGAIN, most_bytes: int = MOST_STRUCTURED_BYTES
) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: the file cannot be read or is not JSON.
    """
    return parse_json(read_bytes(path, hint=hint, most_bytes=most_bytes), str(path), hint=hint)


def read_object(
    path: Path, *, hint: str = FETCH_AGAIN, most_bytes: int = MOST_STRUCTURED_BYTES
) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    content = read_json(path, hint=hint, most_bytes=most_bytes)
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a JSON object", hint=hint)
    return content


def read_toml(path: Path, *, hint: str = CHECK_OUT_AGAIN) -> dict[str, Any]:
    """The table that a TOML file holds.

    Raises:
        DataError: the file cannot be read or is not TOML.
    """
    text = read_text(path, hint=hint, most_bytes=MOST_STRUCTURED_BYTES)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise DataError(f"{path}: nested too deeply", hint=hint) from None
    except ValueError as error:
        told = str(error).partition(";")[0]
        raise DataError(f"{path}: not valid TOML: {told}", hint=hint) from None


def read_rows(
    path: Path,
    fields: Sequence[str],
    *,
    delimiter: str = ",",
    comment: str = "",
    hint: str = CHECK_OUT_AGAIN,
) -> list[dict[str, str]]:
    """The rows of a small table by its header; lines that begin with ``comment`` are none.

    Raises:
        DataError: the file cannot be read, its header lacks one of the ``fields``, or a row
            has not as many as the header.
    """
    lines = read_text(path, hint=hint, most_bytes=MOST_STRUCTURED_BYTES).splitlines(keepends=True)
    kept = [line for line in lines if not (comment and line.startswith(comment))]
    try:
        header, *rows = list(csv.reader(kept, delimiter=delimiter, strict=True)) or [[]]
    except csv.Error as error:
        raise DataError(f"{path}: not a table: {error}", hint=hint) from None
    if len(set(header)) != len(header) or not header:
        raise DataError(f"{path}: no header, or one with a name twice", hint=hint)
    for name in fields:
        if name not in header:
            raise DataError(f"{path}: no column {name!r}", hint=hint)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            told = f"{len(row)} fields, its header has {len(header)}"
            raise DataError(f"{path}: row {number}: {told}", hint=hint)
    return [dict(zip(header, row, strict=True)) for row in rows]


def safetensors_shapes(path: Path, *, hint: str = FETCH_AGAIN) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a safetensors file, from its header alone.

    Raises:
        DataError: the file cannot be read, or is not as long as its header says.
    """
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= min(size, MOST_STRUCTURED_BYTES) else b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
    tensors = parse_json(header, str(path), hint=hint)

    def make(content: Any) -> dict[str, tuple[int, ...]]:
        named = {name: one for name, one in content.items() if name != "__metadata__"}
        end = max((one["data_offsets"][1] for one in named.values()), default=0)
        if size != 8 + length + end:
            raise ValueError(f"{size} bytes long, its header says {8 + length + end}")
        return {name: tuple(map(int, one["shape"])) for name, one in named.items()}

    return parsed(path, make, tensors, hint=hint)


def parsed(
    path: Path, make: Callable[[Any], _Read], content: Any, *, hint: str = CHECK_OUT_AGAIN
) -> _Read:
    """What ``make`` makes of the content of a file.

    Raises:
        DataError: the content lacks what it looks for, or has it as something else.
    """
    try:
        return make(content)
    except KeyError as error:
        raise DataError(f"{path}: {error} is missing", hint=hint) from None
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not what it should be: {told}", hint=hint) from None


def read_jsonl(
    path: Path, fields: Mapping[str, type], *, hint: str = FETCH_AGAIN
) -> list[dict[str, Any]]:
    """The records of a JSON Lines file, each checked to have ``fields`` of these types.

    Raises:
        DataError: the file, the line and the field at fault.
    """
    records = []
    for number, line in enumerate(read_lines(path, hint=hint), 1):
        record = parse_json(line, f"{path}:{number}", hint=hint)
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: not a JSON object", hint=hint)
        for field, kind in fields.items():
            require(record, field, kind, f"{path}:{number}")
        records.append(record)
    return records


def require(record: Mapping[str, Any], field: str, kind: type, where: str) -> Any:
    """The value of a field that has to be there with this type.

    Raises:
        DataError: it is missing or of another type.
    """
    if field not in record:
        present = ", ".join(sorted(record)[:8]) or "none"
        raise DataError(
            f"{where}: field {field!r} is missing", hint=f"the fields there are: {present}"
        )
    value = record[field]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(
            f"{where}: field {field!r} is {type(value).__name__}, not {kind.__name__}",
            hint="mend that line",
        )
    return value
