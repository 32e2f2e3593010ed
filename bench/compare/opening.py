"""Where the run lies that a user names: a folder, a study's name, or an archive of a folder.

Of an archive only what a comparison reads is unpacked: no weights and no answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bench.errors import BenchError
from bench.grid import store
from bench.grid.plan import SCORE
from bench.grid.store import PROVENANCES, RUN, STUDY
from bench.run import archives

_RECORDS = rf"[^/]+/(?:{re.escape(store.RECORD)}|{re.escape(store.MADE_OF)})"
_SCORED = rf"{SCORE}/[^/]+\.(?:csv|json)"
_ABOUT = rf"{re.escape(RUN)}|{re.escape(STUDY)}|{PROVENANCES}/[^/]+\.json"
#: What is read of a run: its records and keys, its scores, and what it says of itself.
_READ = re.compile(
    rf"(?P<root>(?:.*?/)?)(?:(?:bases/[^/]+|cells/[^/]+/[^/]+)/(?:{_RECORDS}|{_SCORED})|{_ABOUT})"
)
_NAME_ONE = "name the folder of a run, for example reports/smoke, or an archive of one"


class IncomparableError(BenchError):
    """Nothing was compared, and one line says why."""

    def __init__(self, why: str, *, hint: str) -> None:
        """State ``why`` the runs cannot be compared, and what to do next."""
        super().__init__(f"not comparable: {why}", hint=hint)


@contextlib.contextmanager
def opened(path: Path, results: Path) -> Iterator[Path]:
    """The folder of a run, that of an archive as long as the ``with`` block lasts.

    ``results`` is where runs of studies are kept, for a ``path`` that is a study's name.

    Raises:
        IncomparableError: there is no run, or several.
        DataError: an archive that cannot be read, or holds what no run does.
        MachineError: the disk has no room for what an archive holds.
    """
    if not os.path.lexists(path) and os.path.isdir(results / path):  # noqa: PTH112 - of any name
        path = results / path
    if os.path.isdir(path):  # noqa: PTH112
        inner = [path] if is_run(path) else sorted(filter(is_run, path.iterdir()))
        yield _only(path, inner)
    elif os.path.lexists(path):
        with tempfile.TemporaryDirectory(prefix="bench-compare-") as name:
            yield _unpacked(path, Path(name))
    else:
        raise IncomparableError(f"{path}: there is no such file or folder", hint=_NAME_ONE)


def is_run(folder: Path) -> bool:
    """Whether a folder holds finished stages of a run."""
    patterns = (f"bases/*/*/{store.RECORD}", f"cells/*/*/*/{store.RECORD}")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def _only(path: Path, found: list[Path]) -> Path:
    if not found:
        raise IncomparableError(f"{path}: holds no finished stage of a run", hint=_NAME_ONE)
    if len(found) > 1:
        named = ", ".join(one.name for one in found)
        raise IncomparableError(
            f"{path}: holds {len(found)} runs ({named})", hint=f"name one of them: {found[0]}"
        )
    return found[0]


def _unpacked(archive: Path, target: Path) -> Path:
    """Unpack what is read of an archive; the folder of its only run."""
    names = archives.unpack(archive, target, _is_read)
    roots = {match["root"] for name in names if (match := _READ.fullmatch(str(name)))}
    found = sorted(folder for root in roots if is_run(folder := target / root))
    if len(found) > 1:
        named = ", ".join(one.relative_to(target).as_posix() for one in found)
        raise IncomparableError(
            f"{archive}: holds {len(found)} runs ({named})",
            hint="unpack it and name the folder of one",
        )
    return _only(archive, found)


def _is_read(name: PurePosixPath) -> bool:
    return _READ.fullmatch(str(name)) is not None
