"""The files of the replication package's per-instance values, in the kit's words.

Files are found by what they hold and by the pattern of their place, not by a list of
names: the package spells sizes ``0.5b``, ``0_5b`` and ``qwen0_5``, methods ``mt-fft`` and
``mt_fft``, and ids ``Task ID``, ``TaskID``, ``instance_id`` and ``target_id``. What cannot
be read is a problem of that file alone; the rest goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.published.names import (
    FETCH_AGAIN,
    IDS,
    OPTIONAL,
    REPOSITORY,
    TOOLS,
    place,
    plain,
    problem_id,
    resolve,
    tool_of,
)
from bench.analysis.statistics import Floats
from bench.data import readers, sources
from bench.errors import BenchError, DataError
from bench.records import Track

FOLDER = "per-instance-value"
#: Where a mirror, a clone of the package and a copy of its statistics hold that folder.
_PLACES = ("paper_package", "statistical_tests", ".")


@dataclasses.dataclass(frozen=True, slots=True)
class Instances:
    """One per-instance file: what one tool measured of one model's outputs on one track.

    ``mixture`` names the tasks of a two-task model as the package prints them (``CG+CS``),
    empty for the models of the grid. ``ids`` and each column of ``values`` [problems] are
    in the file's order; the columns have the kit's names without a variant. ``path`` is
    relative to the folder of the per-instance values.
    """

    path: str
    tool: str
    track: Track
    size: str
    method: str
    mixture: str
    ids: tuple[str, ...]
    values: Mapping[str, Floats]


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """The package: its ``folder``, its per-instance files, and what could not be read."""

    folder: Path
    instances: tuple[Instances, ...]
    problems: tuple[BenchError, ...]

    @property
    def root(self) -> Path:
        """The folder with everything else of the package: its printed files and inputs."""
        parent = self.folder.parent
        return parent.parent if parent.name == "statistical_tests" else parent

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes in ascending order, for example ``0.5b``."""
        return tuple(sorted({one.size for one in self.instances}, key=billions))


def billions(size: str) -> float:
    """The number in a size's name: 1.5 of ``1.5b``."""
    return float(size.removesuffix("b"))


def package(mirror: Path) -> Package:
    """Read the package of a mirror, of a clone of it, or of a folder that holds its values.

    Raises:
        DataError: the folder is absent, or it holds no file of per-instance values.
    """
    folder = _folder(mirror)
    instances: list[Instances] = []
    problems: list[BenchError] = []
    for path in sorted(folder.rglob("*.csv")):
        try:
            content = read_bytes(path)
            problems += unlike_manifest(path, content)
            one, missing = _instances(path, path.relative_to(folder), content)
        except DataError as error:
            problems.append(error)
            continue
        problems += missing
        instances.append(one)
    if not instances:
        raise DataError(
            f"{folder}: no file of per-instance values can be read"
            + (f", first: {problems[0].problem}" if problems else ""),
            hint=FETCH_AGAIN.replace("the file", "the folder"),
        )
    kept, doubled = _one_per_place(instances)
    return Package(folder, tuple(kept), tuple(problems + doubled))


#: The package's values are no study's data: they are fetched by name.
_GET = (
    f"name a mirror or a clone of {REPOSITORY}: --mirror DIR; or fetch it: "
    "nox -s fetch -- --all --only 'paper_package/*'"
)


def _folder(mirror: Path) -> Path:
    if not mirror.is_dir():
        raise DataError(f"{mirror}: no such folder, so no published values", hint=_GET)
    if mirror.name == FOLDER:
        return mirror
    for known in _PLACES:
        if (mirror / known / FOLDER).is_dir():
            return mirror / known / FOLDER
    found = sorted(mirror.glob(f"*/*/{FOLDER}"))
    if found:
        return found[0]
    raise DataError(
        f"{mirror}: no folder {FOLDER} of the replication package",
        hint=f"name a mirror that holds paper_package, or a clone of github.com/{REPOSITORY}",
    )


def read_bytes(path: Path) -> bytes:
    """The content of a file of the package.

    Raises:
        DataError: it cannot be read.
    """
    return readers.read_bytes(path)


_LONGEST_HEADER = 2**14


@functools.cache
def _expected() -> Mapping[str, str]:
    """The SHA-256 of the package's files in the manifest, by the last parts of their paths."""
    return {
        _tail(source.source): source.sha256
        for source in sources.manifest().values()
        if source.repository == REPOSITORY and source.form == "same"
    }


def _tail(path: str) -> str:
    """What a mirror and a clone call alike: the path below the per-instance values, or a name."""
    return path.partition(f"{FOLDER}/")[2] or path.rpartition("/")[2]


def unlike_manifest(path: Path, content: bytes) -> list[BenchError]:
    """A file that the manifest lists with another content: told, and read nonetheless."""
    expected = _expected().get(_tail(path.as_posix()))
    if expected is None or hashlib.sha256(content).hexdigest() == expected:
        return []
    told = f"{path}: changed: not the file that datasets/sources.tsv lists"
    return [DataError(told, hint=FETCH_AGAIN)]


def _instances(path: Path, relative: Path, content: bytes) -> tuple[Instances, list[BenchError]]:
    """One file taken apart, with the problems of single columns.

    Raises:
        DataError: it is no table of this package.
    """
    if len(content.partition(b"\n")[0]) > _LONGEST_HEADER:
        raise DataError(f"{path}: not a table (its header has no end)", hint=FETCH_AGAIN)
    try:
        table = pd.read_csv(io.BytesIO(content), dtype={0: str}, skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a table ({error})", hint=FETCH_AGAIN) from None
    header = [str(name) for name in table.columns]
    tool = tool_of(path, header, relative.parts[0])
    id_column = next((name for name in header if plain(name) in IDS), header[0])
    ids = [problem_id(str(value)) for value in table[id_column]]
    problems: list[BenchError] = []
    values: dict[str, Floats] = {}
    for wanted, metric in TOOLS[tool].items():
        column = resolve(wanted, header)
        if column is None:
            if wanted not in OPTIONAL:
                told = f"{path}: no column {wanted!r} among {', '.join(header)}"
                problems.append(DataError(told, hint=FETCH_AGAIN))
            continue
        try:
            values[metric] = _numbers(path, table[column], column)
        except DataError as error:
            problems.append(error)
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        told = f"{path}: id {twice[0]} occurs twice ({len(twice)} such ids)"
        problems.append(DataError(told, hint="pairing by id takes the first row of each"))
    track, size, method, mixture = place(path, relative, tool)
    found = Instances(relative.as_posix(), tool, track, size, method, mixture, tuple(ids), values)
    return found, problems


def _numbers(path: Path, column: pd.Series[str], name: str) -> Floats:
    """A column as finite numbers.

    Raises:
        DataError: a cell that is empty, text, or not finite.
    """
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        cell = column.iloc[bad[0]]
        held = "nothing" if pd.isna(cell) else repr(str(cell))
        raise DataError(
            f"{path}:{bad[0] + 2}: column {name!r} holds {held} "
            f"({bad.size} of {numbers.size} cells are no number); the column is left out",
            hint=FETCH_AGAIN,
        )
    return numbers


def _one_per_place(
    instances: Iterable[Instances],
) -> tuple[list[Instances], list[BenchError]]:
    """The first file of each tool, track and model, and what others lie at its place."""
    first: dict[tuple[object, ...], Instances] = {}
    problems: list[BenchError] = []
    for one in instances:
        kept = first.setdefault((one.tool, one.track, one.size, one.method, one.mixture), one)
        if kept is not one:
            told = f"{one.path}: its name says the same as that of {kept.path}, which is used"
            problems.append(DataError(told, hint="take one of them out of the folder"))
    return list(first.values()), problems
