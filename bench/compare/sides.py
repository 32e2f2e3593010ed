"""One of two runs, read to be compared: its rows are hashed first, its aggregates not believed.

A row that is not the recorded one is found here and named as exactly as can be told: by the
other run's table where both were recorded as equal, else by the columns whose means are no
longer those that were stored beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic

from bench.analysis.contrasts import BySuite
from bench.compare.opening import IncomparableError
from bench.data import readers
from bench.errors import DataError, one_line
from bench.grid import intact, keys, study
from bench.grid.plan import SCORE
from bench.grid.store import RECORD, RUN, STUDY, read_record
from bench.grid.study import Study
from bench.records import TRACKS, Track
from bench.report import folder
from bench.report.folder import SCORES, Run, read_table
from bench.report.labels import BASE, LABELS

_VERIFY = "bench verify tells all that is amiss; compare a run that is whole"
#: A mean that was stored is the same number again, whatever the order of summation.
_SAME = 1e-9
_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A run that is whole. ``tables``: suite -> model's label -> track -> rows.

    ``models`` has every scored model's label; ``left_out`` are scored folders that the run's
    own study does not have.
    """

    name: str
    study: Study
    run: Run
    tables: BySuite
    models: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """A file of a score stage that is not as recorded."""

    stage: str
    file: str
    told: str


def read(name: str, root: Path, other: Path | None = None) -> Side:
    """Read the run that a user calls ``name``; ``other`` is the run that it is compared with.

    Raises:
        IncomparableError: the run does not say of which study it is, or it was altered.
    """
    faults = list(altered(root))
    if faults:
        first = faults[0]
        more = f" (and {len(faults) - 1} more files)" if len(faults) > 1 else ""
        told = f"{first.stage}/{first.file}: {first.told}{where(root, other, first)}{more}"
        raise IncomparableError(f"{name} was altered: {told}", hint=_VERIFY)
    try:
        own = own_study(root)
        run = folder.read(root, own)
        tables = _tables(run, root)
    except DataError as error:
        problem = error.problem.replace(f"{root}/", "").replace(str(root), name)
        raise IncomparableError(f"{name}: {problem}", hint=_VERIFY) from None
    models = dict.fromkeys(model for by_model in tables.values() for model in by_model)
    return Side(name, own, run, tables, tuple(models), tuple(_left_out(run, root)))


def own_study(root: Path) -> Study:
    """The study as it was run, which the run keeps.

    Raises:
        DataError: it is missing, is no study, or is not the one that ``run.json`` names.
    """
    content = readers.read_object(root / STUDY, hint=_VERIFY)
    named = readers.read_object(root / RUN, hint=_VERIFY).get("study_sha256")
    if named is not None and named != keys.digest(content):
        raise DataError(f"{STUDY}: not the study that {RUN} names by its SHA-256", hint=_VERIFY)
    try:
        return Study.model_validate(content)
    except pydantic.ValidationError as error:
        told = one_line(str(error.errors()[0]["msg"]))
        raise DataError(f"{STUDY}: of another version of the kit ({told})", hint=_VERIFY) from None


def altered(root: Path) -> Iterator[Fault]:
    """The files of a run's score stages that are not as recorded, those that are unknown too."""
    for stage in sorted([*root.glob(f"bases/*/{SCORE}"), *root.glob(f"cells/*/*/{SCORE}")]):
        name, record = stage.relative_to(root).as_posix(), read_record(stage)
        if record is None:
            yield Fault(name, RECORD, "missing, damaged, or not what its own SHA-256 says")
            continue
        tables = {file for file in record.files if file.endswith(".csv")}
        tables |= {path.name for path in stage.glob("*.csv") if not intact.is_litter(path.name)}
        for file, told in intact.wrong(stage, record, [*sorted(tables), SCORES]):
            yield Fault(name, file, told)


def where(root: Path, other: Path | None, fault: Fault) -> str:
    """Which values of an altered table are not those that were recorded, as far as it shows."""
    path = root / fault.stage / fault.file
    try:
        now = read_table(path)
    except DataError:
        return ""
    was = None if other is None else _recorded(root, other, fault)
    cells = list(_cells(was, now) if was is not None else _columns(path, now))
    more = f", and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return f": {', '.join(cells[:_NAMED])}{more}" if cells else ""


def _recorded(root: Path, other: Path, fault: Fault) -> pd.DataFrame | None:
    """The table as it was recorded: the other run's, if it was recorded as equal and still is."""
    mine, theirs = (read_record(side / fault.stage) for side in (root, other))
    if mine is None or theirs is None or fault.file not in mine.files:
        return None
    if mine.files[fault.file] != theirs.files.get(fault.file):
        return None
    if any(intact.wrong(other / fault.stage, theirs, [fault.file])):
        return None
    return read_table(other / fault.stage / fault.file)


def _cells(was: pd.DataFrame, now: pd.DataFrame) -> Iterator[str]:
    """Every value that differs between two tables of the same problems."""
    if "id" not in now or not was["id"].equals(now["id"]):
        yield "its rows are of other problems, or in another order"
        return
    for column in dict.fromkeys([*was.columns, *now.columns]):
        if column not in was or column not in now:
            yield f"column {column}"
            continue
        before, after = was[column], now[column]
        for place in np.flatnonzero((before != after) & ~(before.isna() & after.isna())):
            yield f"{was['id'][place]} {column} {before[place]} → {after[place]}"


def _columns(path: Path, now: pd.DataFrame) -> Iterator[str]:
    """The columns whose mean is not the one that was stored beside the table."""
    folder_, record = path.parent, read_record(path.parent)
    if record is None or any(intact.wrong(folder_, record, [SCORES])):
        return
    stored = readers.read_object(folder_ / SCORES).get("metrics") or {}
    suite, _, track = path.stem.rpartition(".")
    for column in now.select_dtypes("number").columns:
        name, at, variant = str(column), "", ""
        if not name.startswith("pass@"):
            name, at, variant = name.partition("@")
        place = f"{track.replace('-', '/', 1)}/{name}"
        told = stored.get(f"{place}{at}{variant}", stored.get(f"{place}:{suite}{at}{variant}"))
        mean = now[column].mean()
        averaged = name not in ("parse_failures", "empty_outputs", "judge_parse_failures")
        if averaged and isinstance(told, float) and not abs(told - mean) <= _SAME * max(1, told):
            yield f"column {column} has the mean {mean:.6g}, stored was {told:.6g}"


def _tables(run: Run, root: Path) -> BySuite:
    """The rows of every scored model and base, by the label that a reader knows it by."""
    found: dict[str, dict[str, dict[Track, pd.DataFrame]]] = {}
    for owner, label in labels(run.study).items():
        stage = run.score_folders.get(owner)
        for suite in run.study.suites if stage is not None else ():
            for track in TRACKS:
                path = root / owner / SCORE / f"{suite.label}.{track.task}-{track.language}.csv"
                if path.is_file():
                    by_model = found.setdefault(suite.label, {})
                    by_model.setdefault(label, {})[track] = read_table(path)
    return found


def _owners(of: Study) -> Iterator[tuple[str, str]]:
    """Every owner of a study's stages with its label; single-task models share their cell's."""
    for base in of.sizes:
        yield f"bases/{base.name}", f"{LABELS[BASE]} {base.name}"
    for cell in study.expand(of):
        label = LABELS.get(cell.series, cell.series)
        for model in cell.models:
            yield folder.owner(cell, model.id), f"{label} {cell.size}"


def _left_out(run: Run, root: Path) -> Iterator[str]:
    known = labels(run.study)
    for stage in sorted([*root.glob(f"bases/*/{SCORE}"), *root.glob(f"cells/*/*/{SCORE}")]):
        owner = stage.parent.relative_to(root).as_posix()
        if owner not in known:
            yield owner


def labels(of: Study) -> Mapping[str, str]:
    """What each owner of a study's stages is called."""
    return dict(_owners(of))
