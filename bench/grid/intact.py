"""Whether a finished stage still is what its record says: its files, hashed again.

A stage is built on, and reported, long after it was made; a file of it may have been edited
or damaged meanwhile. Hashing costs a second for some gigabytes, a wrong result much more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data import readers
from bench.data.sources import sha256_of
from bench.errors import DataError
from bench.grid import keys
from bench.grid.store import LOG, MADE_OF, RECORD, read_record
from bench.records import Outcome, StageRecord

#: What each stage reads of those before it.
TAKEN: Mapping[str, tuple[str, ...]] = {
    "base": (),
    "train": ("base",),
    "measure": ("base",),
    "generate": ("base", "train"),
    "embed": ("generate",),
    "score": ("generate", "embed"),
}
#: Where a stage's details say what it was built on.
BUILT_ON = "built_on"
AGAIN = "delete {folder} and give the run's command again: that stage alone is made anew"
#: Of an object in a file, the SHA-256 of the rest of it.
SEAL = "sha256"
#: How many hexadecimal digits of its digest name a provenance.
PROVENANCE_DIGITS = 12
#: What desktops leave in the folders that they show; nothing reads it.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", "._")


def wrong(
    folder: Path, record: StageRecord, names: Iterable[str] | None = None
) -> Iterator[tuple[str, str]]:
    """The files of a stage that are not as recorded, each with what is wrong with it.

    ``names`` are those to look at; without them every file, and those that the record does
    not know.
    """
    for name in record.files if names is None else names:
        told = _amiss(folder, name, record.files.get(name))
        if told is not None:
            yield name, told
    for path in sorted(folder.rglob("*")) if names is None else ():
        name = path.relative_to(folder).as_posix()
        known = name in record.files or name in (RECORD, MADE_OF)
        if not known and (path.is_symlink() or not path.is_dir()):
            yield name, "is not in the stage's record"


def _amiss(folder: Path, name: str, sha256: str | None) -> str | None:
    """What is wrong with one file; None if it is as recorded."""
    path, inner = folder / name, PurePosixPath(name)
    if sha256 is None:
        return "is not in the stage's record"
    if inner.is_absolute() or ".." in inner.parts:
        return "lies outside the stage's folder"
    if not readers.exists(path):
        return "is missing"
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return "lies outside the stage's folder"
    if readers.is_hole(path.stat()):
        return "is a hole in the disk, not a file that was written"
    try:
        same = sha256_of(path) == sha256
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if same else "its SHA-256 is not the recorded one"


def is_litter(name: str) -> bool:
    """Whether a file is one that a desktop leaves behind."""
    return Path(name).name.startswith(_LITTER)


def read(folder: Path) -> StageRecord:
    """The record of a finished stage.

    Raises:
        DataError: it is missing or altered, or the stage did not succeed.
    """
    record = read_record(folder)
    if record is None or record.outcome is not Outcome.OK:
        told = "is missing or damaged, or was altered" if record is None else "is of no success"
        raise DataError(f"{folder / RECORD}: {told}", hint=AGAIN.format(folder=folder))
    return record


def require(folder: Path, record: StageRecord, names: Iterable[str] | None = None) -> None:
    """Raise unless a stage's files, or those of some ``names``, are as recorded.

    Raises:
        DataError: the first file that is not.
    """
    for name, told in wrong(folder, record, names):
        if not is_litter(name):
            raise DataError(f"{folder / name}: {told}", hint=AGAIN.format(folder=folder))


def taken(stage: str, inputs: Mapping[str, Path]) -> dict[str, str]:
    """Check what a stage takes of those before it; for its record: the digest of each.

    Raises:
        DataError: a record or a file that is not what the earlier stage has left.
    """
    found = {}
    for name in TAKEN.get(stage, ()):
        if name in inputs:
            record = read(inputs[name])
            require(inputs[name], record)
            found[name] = digest(record)
    return found


def digest(record: StageRecord) -> str:
    """What a stage has made, as one digest: its log says when and where, and is left out."""
    return keys.digest({name: sha256 for name, sha256 in record.files.items() if name != LOG})


def made_anew(record: StageRecord, earlier: Mapping[str, StageRecord]) -> str | None:
    """The earlier stage that now holds other files than those that a stage was built on.

    None where there is none, or where its record does not tell.
    """
    told = record.details.get(BUILT_ON)
    for stage, was in told.items() if isinstance(told, Mapping) else ():
        if stage in earlier and digest(earlier[stage]) != was:
            return str(stage)
    return None


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the SHA-256 of the rest of it."""
    rest = {name: value for name, value in content.items() if name != SEAL}
    return {**rest, SEAL: keys.digest(rest)}


def unsealed(content: dict[str, Any]) -> bool:
    """Take the seal off an object; whether it was that of the rest, or there was none."""
    return SEAL not in content or content.pop(SEAL) == keys.digest(content)


def name_of(provenance: Mapping[str, Any]) -> str:
    """The name of a provenance: the digest of all of it but its time."""
    told = {name: value for name, value in provenance.items() if name != "time"}
    return keys.digest(told)[:PROVENANCE_DIGITS]


def same_invocation(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two provenances are of one command; stages add libraries to ``run.json`` later."""
    late = ("time", "libraries", SEAL)
    return all(one.get(name) == other.get(name) for name in {*one, *other} if name not in late)
