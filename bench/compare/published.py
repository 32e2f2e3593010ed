"""A run beside the study's published values, problem by problem.

Only what is the same on both sides: bases of the published family, and the published suites,
asked and computed as published. The package names a problem by its number or id alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bench.analysis import published
from bench.analysis.contrasts import PASS, BySuite
from bench.compare.opening import IncomparableError
from bench.compare.sides import Side, labels
from bench.grid.study import HubBase, Study, expand
from bench.records import Track
from bench.report import publishedclaims
from bench.report.folder import owner
from bench.report.reference import FAMILY, SUITES

_SUFFIX = "@published"
#: What CodeXGLUE's split adds to a problem's number in the kit.
_SPLIT = "test-"


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """The published values and the run's own in columns of one name, by ids of one spelling.

    ``left_out``: the models of the run that no published values are of.
    """

    published: BySuite
    own: BySuite
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def beside(side: Side, mirror: Path) -> Beside:
    """Pair a run's tables with the published ones of the same models, tracks and suites.

    Raises:
        IncomparableError: the run has no published model, or no published suite.
        DataError: the package is absent from the mirror or cannot be read.
    """
    suites = _suites(side)
    cells = _cells(side)
    package = published.package(mirror)
    _, tables = published.tables(package, "published", mixtures=True)
    theirs: dict[str, dict[str, dict[Track, pd.DataFrame]]] = {}
    own: dict[str, dict[str, dict[Track, pd.DataFrame]]] = {}
    for cell, model in cells.items():
        for track, table in tables.get(cell, {}).items():
            suite = suites.get(track)
            mine = side.tables.get(suite or "", {}).get(model, {}).get(track)
            if suite is not None and mine is not None:
                theirs.setdefault(suite, {}).setdefault(model, {})[track] = _plain(table)
                own.setdefault(suite, {}).setdefault(model, {})[track] = _as_published(mine)
    kept = {model for by_model in own.values() for model in by_model}
    damaged = publishedclaims.damaged(published.tables(package, "corrected")[1])
    of_cells = [(track, why) for (cell, track), why in damaged.items() if cell in cells]
    notes = [f"published, {track}: {why}" for track, why in of_cells]
    notes += [f"left out or doubtful: {problem.problem}" for problem in package.problems]
    left_out = tuple(model for model in side.models if model not in kept)
    return Beside(theirs, own, left_out, tuple(notes))


def _cells(side: Side) -> Mapping[str, str]:
    """The cells whose base is of the published family, with their models' labels.

    Raises:
        IncomparableError: there is none.
    """
    sizes = {
        base.name
        for base in side.study.sizes
        if isinstance(base, HubBase) and FAMILY in base.repository
    }
    known = labels(side.study)
    found = {
        cell.id: known[owner(cell, cell.models[0].id)]
        for cell in expand(side.study)
        if cell.size in sizes
    }
    if not found:
        raise IncomparableError(
            f"no base of {side.name} is one of {FAMILY}, which the published values are of",
            hint="the study paper has them: bench plan --study paper",
        )
    return found


def _suites(side: Side) -> Mapping[Track, str]:
    """For each track the label of the published suite, asked and read as published.

    Raises:
        IncomparableError: the run has none of them.
    """
    found: dict[Track, str] = {}
    for suite in side.study.suites:
        if not _is_published(side.study, suite.prompts, suite.extraction):
            continue
        for by_track in side.tables.get(suite.label, {}).values():
            for track in by_track:
                if SUITES[track.task] == suite.name:
                    found.setdefault(track, suite.label)
    if not found:
        names = " and ".join(dict.fromkeys(SUITES.values()))
        asked = ", ".join(suite.label for suite in side.study.suites)
        raise IncomparableError(
            f"{side.name} has the suites {asked}; the published values are of {names}, "
            "with the published prompts",
            hint="the study paper has them: bench plan --study paper",
        )
    return found


def _is_published(of: Study, prompts: str | None, extraction: str) -> bool:
    return (prompts or of.prompts) == "published" and extraction == "published"


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """A published table with plain columns."""
    return table.rename(columns=lambda name: str(name).removesuffix(_SUFFIX))


def _as_published(table: pd.DataFrame) -> pd.DataFrame:
    """A run's table: its published columns, and the plain ones of metrics that have no other."""
    ids = table["id"].astype(str).str.partition("@")[0].str.removeprefix(_SPLIT)
    columns = {"id": ids}
    for name in map(str, table.columns.drop("id")):
        metric, at, variant = (name, "", "") if name.startswith(PASS) else name.partition("@")
        if f"{at}{variant}" == _SUFFIX or (not at and f"{metric}{_SUFFIX}" not in table):
            columns[metric] = table[name]
    return pd.DataFrame(columns)
