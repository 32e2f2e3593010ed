"""The lock of hub repositories: their commits and their files, as they were fetched first.

``datasets/hub.lock.json`` is the project's and is committed; a copy lies beside the data, so
that a carried folder, or a kit whose own files cannot be written, has it, too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.data import readers, sources

PATH = sources.ROOT / "datasets" / "hub.lock.json"


@dataclasses.dataclass(frozen=True, slots=True)
class LockedFile:
    """A file as it was fetched first."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Locked:
    """A repository as it was fetched first: its commit and its files by path."""

    revision: str
    files: Mapping[str, LockedFile]

    @property
    def bytes(self) -> int:
        """What all its files take."""
        return sum(file.bytes for file in self.files.values())


def load(mirror: Path | None = None) -> Mapping[str, Locked]:
    """What is locked: by the project, else by the folder that holds the data.

    Raises:
        DataError: a lock that is not what it should be.
    """
    return {**_read((mirror or sources.data_folder()) / PATH.name), **_read(PATH)}


def save(entries: Mapping[str, Locked], data: Path) -> bool:
    """Add entries to the data folder's lock and to the project's.

    False where the project's cannot be written, or is an installed package's: the data
    folder's then stands alone.
    """
    _write(data / PATH.name, {**_read(data / PATH.name), **entries})
    if places.INSTALLED:
        return False
    try:
        _write(PATH, {**_read(PATH), **entries})
    except OSError:
        return False
    return True


def _read(path: Path) -> dict[str, Locked]:
    if not os.path.lexists(path):
        return {}

    def make(content: Any) -> dict[str, Locked]:
        return {
            key: Locked(
                str(entry["revision"]),
                {name: LockedFile(**file) for name, file in entry["files"].items()},
            )
            for key, entry in content["repositories"].items()
        }

    return readers.parsed(path, make, readers.read_json(path, hint=readers.CHECK_OUT_AGAIN))


def _write(path: Path, entries: Mapping[str, Locked]) -> None:
    content = {
        "schema": 1,
        "repositories": {key: dataclasses.asdict(entries[key]) for key in sorted(entries)},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as part:
        json.dump(content, part, indent=1, sort_keys=True)
        part.write("\n")
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)
