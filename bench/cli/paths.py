"""Paths on the command line: each can name something, or one line says why it cannot.

A file system would tell it later, in the middle of a run, and each of its calls in its own way.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
import unicodedata
from pathlib import Path

from bench.errors import DataError, MachineError

#: What no file system looks up, whatever else lies there.
_NEVER = (errno.ENAMETOOLONG, errno.ELOOP)
_SHOWN = 80


def path(text: str) -> Path:
    """A path of a file or folder, which need not be there."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path: is a variable not set?")
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    control = next((one for one in text if unicodedata.category(one) == "Cc"), None)
    if control is not None:
        told = f"{shown}: holds the control character U+{ord(control):04X}"
        raise argparse.ArgumentTypeError(told)
    found = Path(text)
    try:
        found.stat()
    except OSError as error:
        if error.errno in _NEVER:
            told = f"{shown}: names nothing: {error.strerror}"
            raise argparse.ArgumentTypeError(told) from None
    return found


def folder(text: str) -> Path:
    """A folder, or the place of one that is yet to be made.

    Raises:
        MachineError: something else is in the way.
    """
    found = path(text)
    nearest = _nearest(found)
    if not stat.S_ISDIR(_mode(nearest)):
        raise MachineError(f"{found}: {nearest} is not a folder", hint="name another folder")
    return found


def require_mirror(found: Path | None) -> None:
    """Check the folder with the public data, where one is named.

    Raises:
        DataError: it is not there.
    """
    if found is not None and not stat.S_ISDIR(_mode(found)):
        raise DataError(f"mirror {found}: no such folder", hint="check --mirror DIR")


def output(text: str) -> Path:
    """A file to be written at the end, so that what comes before is not done in vain.

    Raises:
        MachineError: it cannot be: it is something else, or its folder cannot be written.
    """
    found = path(text)
    hint = "name a file in a folder of yours"
    if text == "-":
        raise MachineError("a dash is no file to be written", hint=hint)
    link = _mode(found, of_link=True)
    if link and not stat.S_ISREG(link):  # /dev/stdout is a link: as root, it would be replaced
        what = "a link" if stat.S_ISLNK(link) else "not a file"
        raise MachineError(f"{found}: {what}", hint=hint)
    above = _nearest(found.parent)
    if not stat.S_ISDIR(_mode(above)) or not os.access(above, os.W_OK | os.X_OK):
        raise MachineError(f"cannot write {found}: {above} is not a folder of yours", hint=hint)
    return found


def _nearest(found: Path) -> Path:
    """The part of a path that is there."""
    whole = found.absolute()
    return next(one for one in (whole, *whole.parents) if os.path.lexists(one))


def _mode(found: Path, *, of_link: bool = False) -> int:
    """What lies there, as ``stat`` tells it; 0 where nothing can be seen."""
    try:
        return found.stat(follow_symlinks=not of_link).st_mode
    except OSError:
        return 0
