"""Tiny bases kept in the cache, as they were made: whoever takes one up hashes it first."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from bench.data import readers
from bench.data.sources import sha256_of
from bench.errors import DataError
from bench.grid.store import write_atomic


def is_whole(folder: Path) -> bool:
    """Whether a kept base is as it was when it was first taken up, which is noted beside it.

    A cache that cannot be written keeps no note: then every base there counts as whole.
    """
    note = _note(folder)
    found = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if not os.path.lexists(note):
        with contextlib.suppress(OSError):
            write_atomic(note, json.dumps(found, indent=1).encode())
        return True
    try:
        return readers.read_object(note) == found
    except DataError:
        return False


def forget(folder: Path) -> None:
    """Take a kept base away, as far as that is allowed here."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        _note(folder).unlink(missing_ok=True)


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256.json")
