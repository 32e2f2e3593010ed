"""Text, JSON and JSON Lines files, plain or gzip, with errors that name file, line and field."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import DataError

FETCH_AGAIN = "fetch the file again, or check the mirror that it came from"


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: the file cannot be read, or its gzip stream is broken.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken gzip stream ({error})", hint=FETCH_AGAIN) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint=FETCH_AGAIN) from None


def read_lines(path: Path) -> list[str]:
    r"""The lines of a UTF-8 file without their line feeds; the last one may lack its own.

    Only ``\n`` ends a line: code may hold form feeds and other separators.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8.
    """
    lines = read_bytes(path).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: not UTF-8 at byte {error.start} of the line", hint=FETCH_AGAIN
            ) from None
    return texts


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads("\n".join(read_lines(path)))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not valid JSON: {error.msg}", hint=FETCH_AGAIN
        ) from None


def read_jsonl(path: Path, fields: Mapping[str, type]) -> list[dict[str, Any]]:
    """The records of a JSON Lines file, each checked to have ``fields`` of these types.

    Raises:
        DataError: the file, the line and the field at fault.
    """
    records = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}:{number}: not valid JSON: {error.msg}", hint=FETCH_AGAIN
            ) from None
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: not a JSON object", hint=FETCH_AGAIN)
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
    if not isinstance(value, kind):
        raise DataError(
            f"{where}: field {field!r} is {type(value).__name__}, not {kind.__name__}",
            hint="mend that line",
        )
    return value
