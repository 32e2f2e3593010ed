"""One run against another, problem by problem: which metric of which model is better or worse.

The same model of two runs has answered the same problems, so each metric is a paired test, as
between the methods of one run (``bench.analysis.comparisons``). All tests of a comparison are
one family: whether anything became worse is one question, and it has one error rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from bench.analysis import statistics
from bench.analysis.comparisons import MINIMUM_PAIRS, NOT_COMPARED, SIGNIFICANCE, Tables
from bench.analysis.statistics import Floats
from bench.errors import DataError
from bench.records import Track

PASS = "pass@"  # noqa: S105 - a metric
CONFLICT = "mean and ranks point in opposite directions"


class Verdict(StrEnum):
    """How B does against A. ``differs`` is of metrics of which neither direction is better."""

    WORSE = "worse"
    BETTER = "better"
    DIFFERS = "differs"
    UNDECIDED = "undecided"
    SAME = "no difference"
    ONLY_A = "only in A"
    ONLY_B = "only in B"


#: What one run says of a metric that the other does not have.
ALONE = (Verdict.ONLY_A, Verdict.ONLY_B)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What is set side by side: a metric of one model on one track of one suite."""

    suite: str
    model: str
    track: Track
    metric: str


@dataclasses.dataclass(frozen=True, slots=True)
class Contrast:
    """A metric of a model in both runs, over the ``n`` problems that have a value in both.

    ``a`` and ``b`` are means, ``diff`` is b - a with its 95 % bootstrap interval. ``differing``
    of the pairs are not equal; ``a_alone`` and ``b_alone`` problems have a value in one run
    only. Of pass@1, ``lost`` and ``gained`` are the ids that passed in A and B alone. What is
    not defined is None, and ``reason`` says why.
    """

    place: Place
    verdict: Verdict
    reason: str | None = None
    test: str = ""
    n: int = 0
    differing: int = 0
    a_alone: int = 0
    b_alone: int = 0
    a: float | None = None
    b: float | None = None
    diff: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adj: float | None = None
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()


#: Suite -> model -> track -> one row per problem.
BySuite = Mapping[str, Tables]


def compare(a: BySuite, b: BySuite, better: Mapping[str, int], *, seed: int) -> list[Contrast]:
    """Every metric that either run has values of, decided.

    ``better`` says of a metric whether higher values are (1), or lower ones (-1); of one that it
    has not, or has as 0, no direction is. Columns ``metric@variant`` are left out.

    Raises:
        DataError: a table without ids, with an id twice, or with text in a metric's column.
    """
    left, right = _tables(a), _tables(b)
    rows = [
        row
        for place in dict.fromkeys([*left, *right])
        for row in _rows(place, left.get(place, _NOTHING), right.get(place, _NOTHING), seed)
    ]
    return decide(rows, better)


@dataclasses.dataclass(frozen=True, slots=True)
class _Scores:
    """One table: the problems' ids, and the values [problems] of each metric that has any."""

    ids: tuple[str, ...]
    values: Mapping[str, Floats]


_NOTHING = _Scores((), {})


def _tables(tables: BySuite) -> dict[tuple[str, str, Track], _Scores]:
    return {
        (suite, model, track): _scores(f"{model}: scores of {track}", table)
        for suite, by_model in tables.items()
        for model, by_track in by_model.items()
        for track, table in by_track.items()
    }


def _scores(where: str, table: pd.DataFrame) -> _Scores:
    if "id" not in table or table["id"].duplicated().any():
        told = f"{where}: no column 'id', or an id twice"
        raise DataError(told, hint="score this model again")
    values = {
        str(name): _numbers(table[name], where)
        for name in table.columns.drop(list(NOT_COMPARED), errors="ignore")
        if "@" not in str(name).removeprefix(PASS)
    }
    present = {name: column for name, column in values.items() if not np.isnan(column).all()}
    return _Scores(tuple(table["id"].astype(str)), present)


def _numbers(column: pd.Series[Any], where: str) -> Floats:
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        told = f"{where}: column {column.name!r} holds text"
        raise DataError(told, hint="score this model again") from None
    if np.isinf(values).any():
        told = f"{where}: column {column.name!r} holds what is not finite"
        raise DataError(told, hint="score this model again")
    return values


def _rows(place: tuple[str, str, Track], a: _Scores, b: _Scores, seed: int) -> Iterator[Contrast]:
    """The unadjusted rows of one model on one track; problems are paired once for all metrics."""
    place_in_b = {name: index for index, name in enumerate(b.ids)}
    in_a = [index for index, name in enumerate(a.ids) if name in place_in_b]
    in_b = [place_in_b[a.ids[index]] for index in in_a]
    ids = np.array([a.ids[index] for index in in_a], dtype=object)
    for metric in dict.fromkeys([*a.values, *b.values]):
        where = Place(*place, metric)
        if metric not in a.values or metric not in b.values:
            yield _alone(where, a.values.get(metric), b.values.get(metric))
            continue
        left, right = a.values[metric][in_a], b.values[metric][in_b]
        valued = ~(np.isnan(left) | np.isnan(right))
        n = int(valued.sum())
        found = Contrast(
            where,
            Verdict.UNDECIDED,
            test="mcnemar" if metric.startswith(PASS) else "wilcoxon",
            n=n,
            a_alone=int((~np.isnan(a.values[metric])).sum()) - n,
            b_alone=int((~np.isnan(b.values[metric])).sum()) - n,
        )
        yield _measured(found, ids[valued], left[valued], right[valued], seed)


def _alone(where: Place, a: Floats | None, b: Floats | None) -> Contrast:
    """A metric that one run alone has values of."""
    own = b if a is None else a
    assert own is not None
    mean, n = float(np.nanmean(own)), int((~np.isnan(own)).sum())
    if a is None:
        return Contrast(where, Verdict.ONLY_B, n=n, b=mean)
    return Contrast(where, Verdict.ONLY_A, n=n, a=mean)


def _measured(
    found: Contrast, ids: npt.NDArray[np.object_], left: Floats, right: Floats, seed: int
) -> Contrast:
    """Means, difference, interval and unadjusted p-value; the verdict is only a first one."""
    if not found.n:
        return dataclasses.replace(found, reason="no problem has a value in both runs")
    found = dataclasses.replace(
        found,
        differing=int((left != right).sum()),
        a=float(left.mean()),
        b=float(right.mean()),
        diff=float((right - left).mean()),
    )
    if not found.differing:
        return dataclasses.replace(found, verdict=Verdict.SAME)
    interval = statistics.bootstrap_difference_ci(right, left, seed=seed)
    found = dataclasses.replace(found, low=interval.low, high=interval.high)
    return _tested(found, ids, left, right)


def _tested(found: Contrast, ids: npt.NDArray[np.object_], left: Floats, right: Floats) -> Contrast:
    if found.test == "mcnemar":
        if not np.isin(np.concatenate([left, right]), (0, 1)).all():
            told = "several outputs per problem: not 0 or 1"
            return dataclasses.replace(found, reason=told)
        found = dataclasses.replace(
            found, lost=tuple(ids[left > right]), gained=tuple(ids[left < right])
        )
    if found.differing < MINIMUM_PAIRS:
        few = f"{found.differing} of {found.n} problems differ, at least {MINIMUM_PAIRS} have to"
        return dataclasses.replace(found, reason=few)
    if found.test == "mcnemar" or np.ptp(left) == np.ptp(right) == 0:
        # Two constant columns, for which the signed-rank test is not defined, differ everywhere.
        tested = statistics.mcnemar(int((left > right).sum()), int((left < right).sum()))
    else:
        tested = statistics.wilcoxon(right, left)
    # A mean that a few large differences made is no direction that the test has shown.
    ranks = _direction(right - left)
    conflict = found.diff is not None and ranks * found.diff < 0
    reason = CONFLICT if conflict else tested.reason
    return dataclasses.replace(found, p=tested.p, reason=reason)


def _direction(differences: Floats) -> int:
    """Which way most of the signed ranks go."""
    apart = differences[differences != 0]
    return int(np.sign(np.sum(np.sign(apart) * scipy.stats.rankdata(np.abs(apart)))))


def decide(rows: Sequence[Contrast], better: Mapping[str, int]) -> list[Contrast]:
    """The rows in their order, all p-values adjusted together by Holm, each with its verdict."""
    adjusted = statistics.holm([row.p for row in rows])
    return [
        dataclasses.replace(row, p_adj=p_adj, verdict=_verdict(row, p_adj, better))
        for row, p_adj in zip(rows, adjusted, strict=True)
    ]


def _verdict(row: Contrast, p_adj: float | None, better: Mapping[str, int]) -> Verdict:
    if row.verdict in ALONE or row.verdict is Verdict.SAME:
        return row.verdict
    shown = p_adj is not None and p_adj < SIGNIFICANCE and row.reason is None
    if not shown or not row.diff:
        return Verdict.UNDECIDED
    gain = row.diff * better.get(row.place.metric, 0)
    if not gain:
        return Verdict.DIFFERS
    return Verdict.BETTER if gain > 0 else Verdict.WORSE


def shared_problems(a: BySuite, b: BySuite) -> int:
    """How many problems the same model answered in both runs, over models and tracks."""
    ids = [_ids(side) for side in (a, b)]
    return sum(len(ids[0][place] & ids[1][place]) for place in ids[0].keys() & ids[1].keys())


def _ids(tables: BySuite) -> dict[tuple[str, str, Track], set[str]]:
    return {
        (suite, model, track): set(map(str, table.get("id", ())))
        for suite, by_model in tables.items()
        for model, by_track in by_model.items()
        for track, table in by_track.items()
    }


def counted(rows: Iterable[Contrast]) -> dict[Verdict, int]:
    """How many rows have each verdict, none among them."""
    counts = dict.fromkeys(Verdict, 0)
    for row in rows:
        counts[row.verdict] += 1
    return counts
