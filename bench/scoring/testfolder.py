"""A test environment as a folder: what a container image would hold, unpacked, in a jail.

Its scripts name an absolute path and write beside what they test. So a prisoner sees it at
that path, made anew for each command: folders as links into the read-only original, and what
a problem writes to (its project and its own top level) as a copy in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.data import readers
from bench.errors import MachineError
from bench.scoring.sandbox import jdk
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.system import python_mounts
from bench.scoring.sandbox.view import View

#: Where the scripts of the environment believe to be.
BUILDS = Path("/home/travis/builds")
#: Where a prisoner sees the original.
_ORIGINAL = Path("/environment")
#: A larger file is linked, not copied.
_COPIED_BYTES = 64 * MIB
#: How far below the top the projects lie.
_DEPTH = 3
#: A folder that problems of every project may write to.
_SHARED = "standalone"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True, slots=True)
class Folder:
    """``builds`` is the scripts' folder; ``root`` the file system that it is part of, or None.

    A whole file system brings its own programs; without one the kit's Python and this
    machine's JDK run the tests.
    """

    builds: Path
    root: Path | None
    digest: str

    def content(self, name: str) -> bytes | None:
        """A file of the scripts' folder or of one below; None where there is none."""
        for path in (self.builds / name, *sorted(self.builds.glob(f"*/{name}"))):
            if readers.exists(path):
                return readers.read_bytes(path)
        return None

    def run(
        self, jail: Jail, project: str, script: str, stdin: bytes, limits: Limits
    ) -> JailResult:
        """Run a shell script where ``project`` (``owner/name``) can be written to."""
        commands = "".join(f"{line}\n" for line in self._laid(project))
        environment, mounts = {"PATH": _PATH}, []
        if self.root is None:
            environment["BENCH_PYTHON"] = os.path.realpath(sys.executable)
            mounts = python_mounts()
            home = _java_home()
            if home is not None:
                environment["PATH"] = f"{home}/bin:{_PATH}"
                mounts.append(home)
        return jail.run(
            ["sh", "-c", f"set -e\n{commands}set +e\n{script}"],
            stdin=stdin,
            mounts=mounts,
            environment=environment,
            limits=limits,
            view=View(self.root or Path("/"), ((_ORIGINAL, self.builds),), (BUILDS,)),
        )

    def _laid(self, project: str) -> Iterator[str]:
        """Commands that make the prisoner's view: one project as a copy, the others as links.

        Where none has the project's name everything is copied: as much as memory allows.
        """
        names = {
            name.casefold() for name in (project.replace("/", "---"), project.rpartition("/")[2])
        }
        below = [path for path in _folders(self.builds, _DEPTH) if path.name.casefold() in names]
        if not below:
            yield f"cp -RP {_ORIGINAL}/. {BUILDS}"
            return
        shared = [path.parent / _SHARED for path in below if (path.parent / _SHARED).is_dir()]
        copied = {*below, *shared}
        opened = {parent for path in copied for parent in path.parents}
        yield from self._placed(self.builds, copied, opened)

    def _placed(self, place: Path, copied: set[Path], opened: set[Path]) -> Iterator[str]:
        for child in sorted(place.iterdir()):
            inside = child.relative_to(self.builds)
            source, target = (shlex.quote(str(top / inside)) for top in (_ORIGINAL, BUILDS))
            small = child.is_file() and child.stat().st_size <= _COPIED_BYTES
            if child in copied or small:
                yield f"cp -RP {source} {target}"
            elif child in opened:
                yield f"mkdir {target}"
                yield from self._placed(child, copied, opened)
            else:
                yield f"ln -s {source} {target}"


def folder(path: Path, scripts: Iterable[str]) -> Folder:
    """The environment in a folder: the scripts' own, or a file system that holds it.

    Raises:
        MachineError: none of the ``scripts`` is in it, or it cannot be read.
    """
    unpacked = path / BUILDS.relative_to("/")
    builds, root = (unpacked, path) if unpacked.is_dir() else (path, None)
    wanted = list(scripts)
    try:
        if not any(list(builds.glob(name)) + list(builds.glob(f"*/{name}")) for name in wanted):
            raise MachineError(
                f"{builds} holds none of {', '.join(wanted)}",
                hint="give the environment's unpacked file system, or its builds folder",
            )
        return Folder(builds, root, _digest(builds))
    except OSError as error:
        raise MachineError(
            f"{path} cannot be read: {error.strerror}", hint="let all users read it"
        ) from None


def _digest(builds: Path) -> str:
    """SHA-256 of what the folder lists: paths, sizes and times of change."""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(builds):
        folders.sort()
        for name in sorted(files):
            state = Path(place, name).lstat()
            line = [str(Path(place, name).relative_to(builds)), state.st_size, state.st_mtime_ns]
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _folders(place: Path, depth: int) -> Iterator[Path]:
    """The folders below a place, as deep as ``depth``; links are none."""
    for child in sorted(place.iterdir()):
        if child.is_dir() and not child.is_symlink():
            yield child
            if depth > 1:
                yield from _folders(child, depth - 1)


def _java_home() -> Path | None:
    try:
        return jdk.home()
    except MachineError:
        return None
