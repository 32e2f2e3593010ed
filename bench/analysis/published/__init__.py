"""The published per-instance values in the shape of a run of the kit, and their means.

What works on a run's tables (comparisons, claims, audits) so works on the paper's values
as well, as published and in the corrected reading.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd

from bench.analysis import comparisons
from bench.analysis.audits import EMPTY_CODEBLEU, unread
from bench.analysis.published.instances import Instances, billions
from bench.analysis.published.instances import Package as Package
from bench.analysis.published.instances import package as package
from bench.analysis.published.names import REPOSITORY, TASKS_OF
from bench.analysis.statistics import Floats
from bench.data import sources
from bench.grid import cells
from bench.records import METHODS, TASKS, Cell, Track

Variant = Literal["published", "corrected"]


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """The mean of one published column over its ``n`` problems.

    ``metric`` is the kit's name of what the paper's script computes (``@published``).
    """

    task: str
    language: str
    size: str
    method: str
    metric: str
    n: int
    mean: float


def cell_of(one: Instances) -> Cell:
    """The cell of the grid that a file belongs to, for RQ3 the one of its mixture."""
    tasks = [TASKS_OF[part.lower()] for part in one.mixture.split("+") if part]
    mixtures = [(one.method, one.size, tasks)] if tasks else []
    return cells.expand([one.size], [one.method], TASKS, mixtures)[-1]


def by_tool(package: Package) -> dict[str, tuple[tuple[Cell, ...], comparisons.Tables]]:
    """Each tool's files as cells and tables, in the files' own order and as published.

    The shape of one suite of a run: what ``audits.audit`` takes.
    """
    found: dict[str, tuple[dict[str, Cell], dict[str, dict[Track, pd.DataFrame]]]] = {}
    for one in package.instances:
        members, tables = found.setdefault(one.tool, ({}, {}))
        cell = cell_of(one)
        members.setdefault(cell.id, cell)
        columns = {name_of(metric, "published"): one.values[metric] for metric in one.values}
        table = pd.DataFrame({"id": one.ids, **columns})
        tables.setdefault(cell.id, {}).setdefault(one.track, table)
    return {tool: (tuple(members.values()), tables) for tool, (members, tables) in found.items()}


def name_of(metric: str, variant: Variant) -> str:
    """The column of a metric: plain in the corrected reading, else ``@published``."""
    if variant == "corrected" or metric.startswith("pass@"):
        return metric
    return f"{metric}@published"


def tables(
    package: Package, variant: Variant, *, mixtures: bool = False
) -> tuple[tuple[Cell, ...], comparisons.Tables]:
    """The grid's cells and their per-instance values, in the shape of a run of the kit.

    ``published``: every value as the package has it, in columns ``<metric>@published``
    (``pass@1`` is the same in both). ``corrected``: plain columns, in which an output that
    an analyser could not read has no value instead of none of its violations, and an
    empty output has no similarity; see ``mend``. ``mixtures``: also the cells of RQ3.
    """
    found: dict[str, Cell] = {}
    parts: dict[str, dict[Track, list[pd.DataFrame]]] = {}
    for one in package.instances:
        if one.mixture and not mixtures:
            continue
        columns = one.values if variant == "published" else mend(one)
        frame = pd.DataFrame(
            {name_of(metric, variant): values for metric, values in columns.items()}, index=one.ids
        )
        frame = frame[~frame.index.duplicated()]
        cell = cell_of(one)
        found[cell.id] = cell
        parts.setdefault(cell.id, {}).setdefault(one.track, []).append(frame)
    joined = {
        cell: {
            track: pd.concat(frames, axis=1).rename_axis("id").reset_index()
            for track, frames in by_track.items()
        }
        for cell, by_track in parts.items()
    }
    order = [cell.id for cell in cells.expand(package.sizes, METHODS, TASKS)]
    order += [name for name in found if name not in order]
    return tuple(found[name] for name in order if name in found), joined


def mend(one: Instances) -> dict[str, Floats]:
    """The values of a file with those of unreadable and empty outputs corrected.

    An output that the analyser could not read has no value (NaN), except that Lizard's
    detection rate then is what it says, 0. An empty output's CodeBLEU is 0.
    """
    failed = unread(one.tool, one.values)
    mended = {}
    for metric, values in one.values.items():
        mended[metric] = values
        if failed is not None and metric != "lizard_detection":
            mended[metric] = np.where(failed, np.nan, values)
        elif metric == "codebleu":
            mended[metric] = np.where(values == EMPTY_CODEBLEU, 0.0, values)
    return mended


def aggregates(package: Package) -> list[Aggregate]:
    """The mean of every published column, by track, size, method and metric."""
    rows = [
        Aggregate(
            one.track.task,
            one.track.language,
            one.size,
            cell_of(one).series,
            name_of(metric, "published"),
            values.size,
            float(values.mean()),
        )
        for one in package.instances
        for metric, values in one.values.items()
        if values.size
    ]
    return sorted(
        rows,
        key=lambda row: (row.task, row.language, row.metric, billions(row.size), row.method),
    )


_REFERENCE = f"""\
# Means of the per-instance values that the paper's replication package publishes:
# github.com/{REPOSITORY}, {{commit}}
# statistical_tests/per-instance-value. Licence there: {{licence}}.
# Computed by `python -m bench reanalyse --write-reference`; not written by hand.
"""


def reference(package: Package) -> str:
    """The text of reports/reference/published.csv: provenance, then a row per aggregate."""
    listed = [one for one in sources.manifest().values() if one.repository == REPOSITORY]
    commits = sorted({one.commit for one in listed})
    licences = sorted({one.licence for one in listed})
    rows = pd.DataFrame([dataclasses.asdict(row) for row in aggregates(package)])
    head = _REFERENCE.format(
        commit=f"commit {', '.join(commits)}", licence="; ".join(licences) or "none stated"
    )
    return head + rows.to_csv(index=False, float_format="%.10g", lineterminator="\n")
