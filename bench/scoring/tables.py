"""From per-instance values to tables, means and notes.

A value that could not be measured is null with a reason: per instance in the counts of
the notes, and for a whole metric as ``not run: why and how to get it``.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.records import Track
from bench.scoring.admission import Column, mean
from bench.scoring.outputs import Output

#: Columns that are counted, not averaged, over a suite or part.
COUNTED = ("parse_failures", "empty_outputs", "judge_parse_failures")

#: Suite, track and column.
Place = tuple[str, Track, str]


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreTables:
    """The scores of one model.

    ``tables``: per suite and track, one row per problem: ``id``, ``part``,
    ``finish_reason`` and a column per metric (null where it has no value). ``metrics``:
    ``<task>/<language>/<metric>[:<part or suite>][@variant]`` to the mean over the values
    that exist (``parse_failures`` and ``empty_outputs`` are counts). ``notes``: why a
    metric is null, or how many of its instances have no value and why. ``reasons``: per
    suite and track, for each row of its table why a column has no value. ``remarks``: what
    is to be known of a column's values, where there is something.
    """

    tables: Mapping[tuple[str, Track], pd.DataFrame]
    metrics: Mapping[str, float | None]
    notes: Mapping[str, str]
    reasons: Mapping[tuple[str, Track], Sequence[Mapping[str, str]]]
    remarks: Mapping[Place, str]


def gather(
    outputs: Sequence[Output], absent: Mapping[Place, str], principal: Mapping[Track, str]
) -> ScoreTables:
    """Tables, means and notes of the scored outputs.

    ``absent``: why a metric did not run at all, by suite, track and column. ``principal``:
    the suite whose scores have the plain keys, per track.
    """
    groups: dict[tuple[str, Track], list[Output]] = {}
    for output in outputs:
        groups.setdefault((output.suite, output.problem.track), []).append(output)
    means: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    tables: dict[tuple[str, Track], pd.DataFrame] = {}
    remarks: dict[Place, str] = {}
    for (suite, track), members in groups.items():
        columns = list(members[0].values)
        tables[suite, track] = _table(members, columns)
        for column in columns:
            why = absent.get((suite, track, column))
            for qualifier, chosen in _sections(suite, track, members, principal):
                key = _key(track, column, qualifier)
                means[key] = _aggregate(column, [output.values[column] for output in chosen])
                remark = _remark(column, chosen)
                if remark:
                    remarks[suite, track, column] = remark
                said = (why or _counted_reasons(column, chosen), remark)
                note = "; ".join(filter(None, said))
                if note:
                    notes[key] = note
    reasons = {place: [out.reasons for out in members] for place, members in groups.items()}
    return ScoreTables(tables, means, notes, reasons, remarks)


def _sections(
    suite: str, track: Track, members: Sequence[Output], principal: Mapping[Track, str]
) -> Iterable[tuple[str | None, list[Output]]]:
    """What is averaged: the suite, and where it is the principal one, each of its parts.

    A suite that is not the track's principal one has its name as the qualifier.
    """
    if principal.get(track, suite) != suite:
        yield suite, list(members)
        return
    yield None, list(members)
    for part in dict.fromkeys(out.problem.part for out in members):
        if part is not None:
            yield part, [out for out in members if out.problem.part == part]


def _key(track: Track, column: str, qualifier: str | None) -> str:
    """The metric key of a column: the qualifier stands before the variant."""
    name, at, variant = column, "", ""
    if not column.startswith("pass@") and "@" in column:
        name, at, variant = column.partition("@")
    section = f":{qualifier}" if qualifier else ""
    return f"{track}/{name}{section}{at}{variant}"


def _aggregate(column: str, values: Column) -> float | None:
    if column in COUNTED:
        present = [value for value in values if value is not None]
        return float(sum(present)) if present else None
    return mean(values)


def _counted_reasons(column: str, outputs: Sequence[Output]) -> str | None:
    """Why instances have no value: the reason itself if all share it, else counts."""
    reasons = Counter(out.reasons[column] for out in outputs if column in out.reasons)
    if not reasons:
        return None
    if reasons.total() == len(outputs) and len(reasons) == 1:
        return next(iter(reasons))
    listed = "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    return f"{reasons.total()} of {len(outputs)} outputs have no value: {listed}"


def _remark(column: str, outputs: Sequence[Output]) -> str | None:
    """What is to be known of the column's values."""
    return next((out.remarks[column] for out in outputs if column in out.remarks), None)


def _table(members: Sequence[Output], columns: Sequence[str]) -> pd.DataFrame:
    """One row per problem; metric columns are float64 with NaN for null."""
    data: dict[str, Any] = {
        "id": [output.problem.id for output in members],
        "part": [output.problem.part for output in members],
        "finish_reason": [output.generation.finish_reason for output in members],
    }
    data |= {
        column: pd.array([output.values[column] for output in members], dtype="Float64")
        for column in columns
    }
    table = pd.DataFrame(data)
    return table.astype(dict.fromkeys(columns, "float64"))
