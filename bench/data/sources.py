"""The public files that studies read: where each comes from, and proof that it is that file.

``datasets/sources.tsv`` lists them. Nothing is read before its size, SHA-256 and row count
agree with the list; a file that was verified is remembered by size and modification time,
so that the next run does not hash it again.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import places
from bench.data.readers import read_bytes, read_lines, read_object
from bench.errors import DataError, unknown

ROOT = places.ROOT
MANIFEST = ROOT / "datasets" / "sources.tsv"
FETCH = "fetch it: nox -s fetch -- --study NAME"
#: No file has a number of bytes or rows of as many digits.
_MOST_DIGITS = 19


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A public file. ``path`` is its place in a mirror folder.

    It holds ``rows`` of ``unit`` (see ``UNITS``) and comes from ``source`` of the
    ``repository`` at ``commit``; ``form`` is ``same``, ``gzip`` (of the source) or
    ``derived`` (selected from it, as datasets/README.md says).
    """

    path: str
    rows: int
    unit: str
    bytes: int
    sha256: str
    repository: str
    commit: str
    source: str
    form: str
    licence: str


def _records(path: Path) -> int:
    text = "\n".join(read_lines(path)).removeprefix("\ufeff")
    return sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1


def _files(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(not entry.is_dir() for entry in archive.infolist())


#: How the rows of a file are counted, by the manifest's ``unit``.
UNITS: Mapping[str, Callable[[Path], int]] = {
    "lines": lambda path: len(read_lines(path)),
    "filled-lines": lambda path: sum(bool(line.strip()) for line in read_lines(path)),
    "records": _records,
    "keys": lambda path: len(json.loads(read_bytes(path))),
    "questions": lambda path: len(json.loads(read_bytes(path))["questions"]),
    "scripts": lambda path: len(json.loads(read_bytes(path))["scripts"]),
    "files": _files,
}


@functools.cache
def manifest(path: Path = MANIFEST) -> Mapping[str, Source]:
    """Every public file by its path in a mirror.

    Raises:
        DataError: the manifest lacks a column, or a line of it is not whole.
    """
    names = [field.name for field in dataclasses.fields(Source)]
    header, *lines = [line.split("\t") for line in read_lines(path) or [""]]
    if header != names:
        raise DataError(f"{path}: its columns are {header}, not {names}", hint="restore the file")
    sources = {}
    for number, values in enumerate(lines, 2):
        row = dict(zip(names, values, strict=False))
        numbers = {name: row.get(name, "") for name in ("rows", "bytes")}
        whole = len(values) == len(names) and all(
            one.isdecimal() and len(one) < _MOST_DIGITS for one in numbers.values()
        )
        if not whole or row["unit"] not in UNITS:
            raise DataError(f"{path}:{number}: not a whole entry", hint="restore the file")
        texts = {name: value for name, value in row.items() if name not in numbers}
        sources[row["path"]] = Source(rows=int(row["rows"]), bytes=int(row["bytes"]), **texts)
    return sources


def data_folder() -> Path:
    """Where ``bench fetch`` puts the public files: the layout of a mirror."""
    return cache_folder() / "data"


def locate(path: str, mirror: Path | None, entries: Mapping[str, Source] | None = None) -> Path:
    """The verified file at ``path`` of a mirror folder; without one, of the fetched folder.

    Raises:
        DataError: the folder lacks the file, or the file is not the one that the manifest
            names (its bytes, its SHA-256 or its rows).
    """
    entries = manifest() if entries is None else entries
    if path not in entries:
        raise unknown("data file", path, entries)
    source = entries[path]
    if mirror is not None and not mirror.is_dir():
        raise DataError(f"mirror {mirror}: no such folder", hint="check --mirror DIR")
    file = (mirror or data_folder()) / path
    if mirror is None:
        origin = FETCH
        if not file.is_file():
            raise DataError(
                f"{path}: this study reads public files, and this one is not fetched",
                hint=f"{FETCH}; or name the folder that holds them: --mirror DIR",
            )
    else:
        origin = f"put it there from {source.repository}@{source.commit[:12]}: {source.source}"
        if not file.is_file():
            raise DataError(f"{file}: the mirror lacks this file", hint=origin)
    if not is_verified(file, f"{source.sha256} {source.rows} {source.unit}"):
        _verify(file, source, origin)
        remember(file, f"{source.sha256} {source.rows} {source.unit}")
    return file


def is_verified(file: Path, content: str) -> bool:
    """Whether a file was verified to be ``content`` and has not been touched since."""
    return _verified().get(str(file.resolve())) == _mark(file, content)


def remember(file: Path, content: str) -> None:
    """Note a verified file. Losing the note (a full disk, a race) costs a hash, no more."""
    folder = cache_folder()
    marks = {**_verified(), str(file.resolve()): _mark(file, content)}
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as part:
            json.dump(marks, part, indent=1)
        Path(part.name).chmod(0o644)  # containers read it as another user
        Path(part.name).replace(folder / "verified.json")


def _mark(file: Path, content: str) -> str:
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns} {content}"


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _verify(file: Path, source: Source, origin: str) -> None:
    size = file.stat().st_size
    if size != source.bytes:
        how = "truncated" if size < source.bytes else "changed"
        raise DataError(f"{file}: {how}: {size} bytes, expected {source.bytes}", hint=origin)
    found = sha256_of(file)
    if found != source.sha256:
        raise DataError(
            f"{file}: changed: its SHA-256 is {found[:12]}…, expected {source.sha256[:12]}…",
            hint=origin,
        )
    rows = UNITS[source.unit](file)
    if rows != source.rows:
        raise DataError(
            f"{file}: {rows} {source.unit}, expected {source.rows}",
            hint="the file is as listed, so mend the entry in datasets/sources.tsv",
        )


def cache_folder() -> Path:
    """Where the kit keeps what it can make again: ``BENCH_CACHE``, else ``.cache``."""
    return places.cache()


def _verified() -> Mapping[str, str]:
    try:
        return read_object(cache_folder() / "verified.json")
    except DataError:
        return {}
