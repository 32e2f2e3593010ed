"""The comparison of two runs as data: differences, verdicts, flipped problems, costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis import contrasts
from bench.analysis.contrasts import BySuite, Contrast, Verdict
from bench.compare import costs, differences, published, sides
from bench.compare.costs import Costs
from bench.compare.differences import Difference
from bench.compare.opening import IncomparableError, opened
from bench.compare.sides import Side
from bench.report.labels import METRICS

SCHEMA = 1
BETTER = {name: metric.better for name, metric in METRICS.items()}
_SAME_STUDY = "compare two runs of one study, for example of two commits"


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """Two runs side by side. ``a`` and ``b`` are what the user calls them, ``heads`` we.

    ``only_a`` and ``only_b`` are models, or suites of models, that one run alone has scores of.
    ``differences`` is None where B is no run but the published values.
    """

    study: str
    a: str
    b: str
    variant: str
    rows: tuple[Contrast, ...]
    problems: int
    differences: tuple[Difference, ...] | None
    costs: Costs
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    heads: tuple[str, str] = ("A", "B")

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows have each verdict."""
        return contrasts.counted(self.rows)

    @property
    def exit_code(self) -> int:
        """1 where something is worse in B, else 0."""
        return 1 if self.counts[Verdict.WORSE] else 0

    @property
    def tests(self) -> int:
        """How many tests were adjusted together."""
        return sum(row.p is not None for row in self.rows)


def runs(first: Path, second: Path, results: Path) -> Compared:
    """Compare two run folders, or archives of them.

    Raises:
        IncomparableError: no run, one that was altered, another study, nothing in common.
        DataError: an archive that cannot be read, or holds what no run does.
    """
    with opened(first, results) as root_a, opened(second, results) as root_b:
        a = sides.read(str(first), root_a, root_b)
        b = sides.read(str(second), root_b, root_a)
    if a.study.name != b.study.name:
        raise IncomparableError(
            f"{first} is a run of the study {a.study.name}, {second} of {b.study.name}",
            hint=_SAME_STUDY,
        )
    rows, problems = _decided(a, b)
    only_a, only_b = _alone(a, b), _alone(b, a)
    return Compared(
        study=a.study.name,
        a=a.name,
        b=b.name,
        variant="corrected",
        rows=tuple(row for row in rows if _place(row) not in {*only_a, *only_b}),
        problems=problems,
        differences=differences.between(a, b),
        costs=costs.between(a, b),
        only_a=only_a,
        only_b=only_b,
        notes=tuple(
            f"{side.name} holds {owner}, which is not in its study.json: left out"
            for side in (a, b)
            for owner in side.left_out
        ),
    )


def _decided(a: Side, b: Side) -> tuple[Sequence[Contrast], int]:
    """The rows and the number of problems that both runs have."""
    for side in (a, b):
        if not side.tables:
            raise IncomparableError(
                f"{side.name} holds no scores", hint="score it first: bench score, or bench run"
            )
    if not a.tables.keys() & b.tables.keys():
        told = " and ".join(f"{side.name} has {', '.join(side.tables)}" for side in (a, b))
        raise IncomparableError(f"no suite is in both runs: {told}", hint=_SAME_STUDY)
    return decided(a.tables, b.tables, (a.name, b.name), a.study.seed)


def decided(
    a: BySuite, b: BySuite, names: tuple[str, str], seed: int
) -> tuple[Sequence[Contrast], int]:
    """The rows and the number of problems in common.

    Raises:
        IncomparableError: no model answered a problem in both, or none has a value in both.
    """
    problems = contrasts.shared_problems(a, b)
    if not problems:
        raise IncomparableError(
            f"no model of {names[0]} has answered a problem that it has in {names[1]}, too",
            hint="bench plan shows a study's cells and suites",
        )
    rows = contrasts.compare(a, b, BETTER, seed=seed)
    if all(row.verdict in contrasts.ALONE or not row.n for row in rows):
        raise IncomparableError(
            f"no metric has a value of the same problem in {names[0]} and in {names[1]}",
            hint="score the one as the other: bench score",
        )
    return rows, problems


def _place(row: Contrast) -> str:
    return f"{row.place.model} {row.place.track} ({row.place.suite})"


def _alone(side: Side, other: Side) -> tuple[str, ...]:
    """The tables that one run alone has."""
    mine, theirs = (
        {
            f"{model} {track} ({suite})": None
            for suite, by_model in one.tables.items()
            for model, by_track in by_model.items()
            for track in by_track
        }
        for one in (side, other)
    )
    return tuple(name for name in mine if name not in theirs)


def with_published(run: Path, results: Path, mirror: Path) -> Compared:
    """Compare the published values, as A, with a run, as B.

    Raises:
        IncomparableError: no run, one that was altered, or none of the published models on
            the published suites.
        DataError: an archive, or the published values, cannot be read.
    """
    with opened(run, results) as root:
        side = sides.read(str(run), root)
    found = published.beside(side, mirror)
    rows, problems = decided(
        found.published, found.own, ("the published values", side.name), side.study.seed
    )
    return Compared(
        study=side.study.name,
        a="the published values",
        b=side.name,
        variant="published",
        rows=tuple(rows),
        problems=problems,
        differences=None,
        costs=Costs((), "no time or memory is published"),
        only_b=found.left_out,
        notes=found.notes,
        heads=("published", "run"),
    )


def as_json(found: Compared) -> dict[str, Any]:
    """The whole comparison as plain data."""
    rows = []
    for row in found.rows:
        content = dataclasses.asdict(row)
        place = content.pop("place")
        place["track"] = str(row.place.track)
        rows.append({**place, **content})
    told = dataclasses.asdict(found)
    return {
        "schema": SCHEMA,
        **told,
        "rows": rows,
        "counts": dict(found.counts),
        "tests": found.tests,
        "exit_code": found.exit_code,
    }
