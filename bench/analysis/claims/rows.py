"""The rows that a claim rests on: methods at one size, sizes over the methods, and costs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.analysis.claims import evidence
from bench.analysis.claims.costs import Cost
from bench.analysis.claims.evidence import Evidence, Finding, Ruling
from bench.analysis.claims.file import Cheaper, HoldsAgainst, Measure, SmallerKeep, Trend
from bench.analysis.claims.paired import Paired, Scores, absent, pair
from bench.analysis.statistics import Floats, Interval
from bench.naming import METHOD_LABELS
from bench.records import TRACKS, Cell, Track


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """What the rows are made of: ``cells`` by method and size, ``sizes`` ascending."""

    scores: Scores
    costs: Mapping[str, Mapping[str, Cost]] | None
    cells: Mapping[tuple[str, str], Cell]
    sizes: tuple[str, ...]
    seed: int

    def opponents(self, claim: HoldsAgainst | Cheaper, size: str) -> tuple[Cell, Cell] | None:
        """The two cells of a claim at a size; None where the grid lacks one."""
        a, b = (self.cells.get((method, size)) for method in (claim.method, claim.against))
        return (a, b) if a is not None and b is not None else None


_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmb])", re.IGNORECASE)
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9}


def parameters(size: str) -> float | None:
    """How many parameters the name of a size tells, ``1.5b`` for example; None if none."""
    found = _SIZE.search(size)
    return float(found[1]) * _UNITS[found[2].lower()] if found else None


def method_rows(
    measure: Measure, size: str, cells: tuple[Cell, Cell], grid: Grid
) -> Iterator[Evidence]:
    """A row per track and metric of a measure for two cells of one size."""
    ids = [cell.id for cell in cells]
    labels = (METHOD_LABELS[cells[0].method], METHOD_LABELS[cells[1].method])
    for track in _tracks(measure):
        for metric in (*measure.metrics, *measure.shown):
            decides = metric in measure.metrics
            column = grid.scores.column(ids, track, metric)
            if column is None:
                if decides:
                    why = absent(grid.scores.lacking(ids, track, metric))
                    yield _row(track, size, metric, why, ids, ids, limit=measure.margin)
                continue
            both = pair([grid.scores.score(cell, track, column) for cell in ids])
            differences = measure.sign * (both.values[0] - both.values[1])
            between = evidence.interval(differences, seed=grid.seed)
            finding = Finding(Ruling.INCONCLUSIVE, "shown; it does not decide")
            if decides:
                other = float(both.values[1].mean()) if differences.size else 0.0
                finding = evidence.holds_against(
                    differences, between, measure.margin, other, labels
                )
            row = _row(track, size, column, both, ids, ids, differences, between, measure.margin)
            yield dataclasses.replace(row, finding=finding, decides=decides)


def size_rows(claim: Trend | SmallerKeep, measure: Measure, grid: Grid) -> Iterator[Evidence]:
    """The rows over all sizes: each problem's mean over the methods, size by size."""
    quantity = claim.quantity if isinstance(claim, Trend) else "function"
    # Issues do not depend on the metric of function: one row for all of them.
    metrics = measure.metrics[:1] if quantity == "issues" else measure.metrics
    for track in _tracks(measure):
        for metric in metrics:
            name = metric if quantity == "function" else quantity
            means, cells, beside = _by_size(claim, metric, track, grid)
            if means.why is not None:
                limit = claim.tolerance if isinstance(claim, Trend) else measure.margin
                yield _row(track, None, name, means, grid.sizes, cells, limit=limit)
            elif isinstance(claim, Trend):
                yield _told(_trend_row(claim, name, track, means, cells, grid), beside)
            else:
                for row in _kept_rows(measure, name, track, means, cells, grid):
                    yield _told(row, beside)


def _tracks(measure: Measure) -> list[Track]:
    return [track for track in TRACKS if track.task == measure.task]


def _row(
    track: Track,
    size: str | None,
    metric: str,
    paired: Paired,
    names: Sequence[str],
    cells: Sequence[str],
    differences: Floats | None = None,
    between: Interval | None = None,
    limit: float | None = None,
) -> Evidence:
    """A row of paired columns that are called ``names``; without differences it was not run."""
    n = 0 if differences is None else int(differences.size)
    return Evidence(
        task=track.task,
        language=track.language,
        size=size,
        metric=metric,
        cells=tuple(cells),
        values=dict(zip(names, paired.values.mean(axis=1).tolist(), strict=True)) if n else {},
        difference=float(differences.mean()) if differences is not None and n else None,
        low=between.low if between is not None and n else None,
        high=between.high if between is not None and n else None,
        limit=limit,
        n=n,
        lost=paired.lost,
        decides=True,
        finding=Finding(Ruling.NOT_RUN, paired.why or "no value"),
    )


def _told(row: Evidence, beside: str) -> Evidence:
    """The row with something added to its reason."""
    reason = row.finding.reason + beside
    return dataclasses.replace(row, finding=dataclasses.replace(row.finding, reason=reason))


def _by_size(
    claim: Trend | SmallerKeep, metric: str, track: Track, grid: Grid
) -> tuple[Paired, list[str], str]:
    """Per size each problem's mean over the methods that have values at every size.

    Returns the means [sizes, problems], the cells behind them, and which methods are not.
    """
    if len(grid.sizes) < 2:
        return absent("one size alone tells nothing about sizes"), [], ""
    if any(parameters(size) is None for size in grid.sizes):
        return absent("the names of the sizes do not tell their order"), [], ""
    columns: list[pd.Series] = []
    cells: list[str] = []
    lacking: dict[str, str] = {}
    methods = dict.fromkeys(method for method, _ in grid.cells)
    for method in methods:
        at = [grid.cells[method, size].id for size in grid.sizes if (method, size) in grid.cells]
        found = "no cell at every size"
        if len(at) == len(grid.sizes):
            found_columns = _columns(claim, metric, track, at, grid)
            if not isinstance(found_columns, str):
                columns += found_columns
                cells += at
                continue
            found = found_columns
        lacking[method] = found
    if not columns:
        return absent(next(iter(lacking.values()), "no cell")), [], ""
    paired = pair(columns)
    shape = (-1, len(grid.sizes), paired.values.shape[1])
    means = dataclasses.replace(paired, values=paired.values.reshape(shape).mean(axis=0))
    beside = ", ".join(METHOD_LABELS[method] for method in lacking)
    return means, cells, f"; without {beside}, which lacks values" if beside else ""


def _columns(
    claim: Trend | SmallerKeep, metric: str, track: Track, cells: Sequence[str], grid: Grid
) -> list[pd.Series] | str:
    """The quantity of a claim per problem, a column per cell; or why there is none."""
    scores = grid.scores
    names: dict[str, str] = {}
    wanted: list[str] = []
    if not isinstance(claim, Trend) or claim.quantity == "balance":
        wanted = [metric]
    if isinstance(claim, Trend):
        issues = claim.issue_metrics(track.target_language)
        if not issues:
            return f"no metric of issues in {track.target_language} is listed"
        wanted += issues
    for name in wanted:
        column = scores.column(cells, track, name)
        if column is None:
            return scores.lacking(cells, track, name)
        names[name] = column
    if not isinstance(claim, Trend):
        return [scores.score(cell, track, names[metric]) for cell in cells]
    found = []
    for cell in cells:
        issue = scores.issue(cell, track, [names[name] for name in issues])
        if claim.quantity == "balance":
            issue = scores.score(cell, track, names[metric]) * (1 - issue)
        found.append(issue)
    return found


def _trend_row(
    claim: Trend, name: str, track: Track, means: Paired, cells: Sequence[str], grid: Grid
) -> Evidence:
    """A row for the linear contrast over all sizes, decided with the steps between them.

    Its difference is that of the larger sizes over the smaller, whatever the claim expects.
    """
    sign = 1 if claim.direction == "rises" else -1
    contrast = evidence.contrast_weights(len(grid.sizes)) @ means.values
    between = evidence.interval(contrast, seed=grid.seed)
    steps = {
        f"from {grid.sizes[i]} to {grid.sizes[i + 1]}": _signed(
            evidence.interval(means.values[i + 1] - means.values[i], seed=grid.seed), sign
        )
        for i in range(len(grid.sizes) - 1)
    }
    finding = evidence.trend(sign * contrast, _signed(between, sign), steps, claim.tolerance)
    row = _row(track, None, name, means, grid.sizes, cells, contrast, between, claim.tolerance)
    return dataclasses.replace(row, finding=finding)


def _signed(between: Interval, sign: int) -> Interval:
    """An interval of the differences times 1 or -1."""
    if sign > 0 or between.low is None or between.high is None:
        return between
    return Interval(-between.high, -between.low, between.reason)


def _kept_rows(
    measure: Measure, name: str, track: Track, means: Paired, cells: Sequence[str], grid: Grid
) -> Iterator[Evidence]:
    """A row for each smaller size against the largest."""
    largest = grid.sizes[-1]
    for index, size in enumerate(grid.sizes[:-1]):
        both = dataclasses.replace(means, values=means.values[[index, -1]])
        differences = measure.sign * (both.values[0] - both.values[1])
        between = evidence.interval(differences, seed=grid.seed)
        other = float(both.values[1].mean()) if differences.size else 0.0
        finding = evidence.holds_against(
            differences, between, measure.margin, other, (size, largest)
        )
        these = [cell for cell in cells if _is_of(cell, (size, largest), grid)]
        row = _row(
            track, size, name, both, (size, largest), these, differences, between, measure.margin
        )
        yield dataclasses.replace(row, finding=finding)


def _is_of(cell: str, sizes: Sequence[str], grid: Grid) -> bool:
    return any(found.id == cell and size in sizes for (_, size), found in grid.cells.items())
