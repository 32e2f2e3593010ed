"""The study's three questions asked of a run: every paired comparison of its methods.

RQ1 sets single-task against multi-task QLoRA, RQ2 multi-task QLoRA against multi-task
full fine-tuning, at each size; RQ3 sets a multi-task method on all tasks against the same on
two of them, wherever the grid has such cells. Problems are paired by id (the published RQ2
pairs them by position, which is wrong where an id is missing); what finds no partner is
counted.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.errors import DataError
from bench.naming import SERIES_LABELS
from bench.records import TASKS, Cell, Track

#: Cell id -> track -> one row per problem: ``id``, optionally ``part``, and the metrics.
Tables = Mapping[str, Mapping[Track, pd.DataFrame]]

#: The research questions: which method is a, which is b.
QUESTIONS = {"RQ1": ("st-qlora", "mt-qlora"), "RQ2": ("mt-qlora", "mt-fft")}
#: The question whose opponents differ in their tasks: the method on all, and on some of them.
MIXTURES = "RQ3"


def tasks_of(series: str) -> tuple[str, ...]:
    """The tasks that a series was trained on (a base on none: it is asked all of them)."""
    named = tuple(task for task in TASKS if task in series.split("-"))
    return named or TASKS


def label(a: str, b: str) -> str:
    """What two series are called side by side, as ``Comparison.comparison`` has it."""
    return f"{SERIES_LABELS[a]} vs {SERIES_LABELS[b]}"


SIGNIFICANCE = 0.05
#: With five pairs even an exact two-sided signed-rank test cannot fall below 0.05.
MINIMUM_PAIRS = 6

#: Columns that are not compared: what identifies or describes an output, and the mean of
#: other columns, which would only enlarge the family.
NOT_COMPARED = (
    "id",
    "part",
    "finish_reason",
    "similarity",
    "empty_outputs",
    "truncated_share",
    "parse_failures",
    "judge_parse_failures",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """One row of stats.csv, with the published file's column names where they apply.

    ``mean_a``, ``mean_b``, ``diff`` (a - b) and its 95 % bootstrap interval are those of
    the ``n_pairs`` problems that both methods have a value for. ``n_unpaired`` ids occur
    in one table only; ``n_missing`` pairs lack a value. ``p`` is unadjusted. What is not
    defined is None, and ``reason`` says why.
    """

    rq: str
    task: str
    language: str
    size: str
    comparison: str
    metric: str
    test: str
    adjust: str
    p_adj: float | None
    effect_name: str
    effect: float | None
    significant: bool | None
    a_only: int | None
    b_only: int | None
    n_pairs: int
    mean_a: float | None
    mean_b: float | None
    diff: float | None
    ci_low: float | None
    ci_high: float | None
    reason: str | None
    p: float | None
    n_unpaired: int
    n_missing: int
    suite: str

    @property
    def family(self) -> tuple[str, ...]:
        """What is adjusted together.

        Per-instance metrics: all metrics of one track and size. pass@1: all languages and
        sizes of one task. A ``metric@variant`` never shares a family with another variant.
        """
        shared = () if self.test == "mcnemar" else (self.language, self.size)
        return (self.suite, self.rq, self.test, _variant(self.metric), self.task, *shared)


def _variant(metric: str) -> str:
    """``corrected`` of ``bleu@corrected`` and of ``pass@1@corrected``; else empty."""
    return metric.removeprefix("pass@").partition("@")[2]


def compare(cells: Sequence[Cell], tables: Tables, *, suite: str, seed: int) -> list[Comparison]:
    """Every comparison of one suite, adjusted once by Holm and once by Benjamini-Hochberg.

    A metric that any cell has is a row at every size where both methods are in the grid:
    where a table or its column is absent the row is NA with the reason.

    Raises:
        DataError: a table without ids, with an id twice, or with text in a metric column.
    """
    scores = {
        (cell, track): _scores(cell, track, table)
        for cell, by_track in tables.items()
        for track, table in by_track.items()
    }
    metrics: dict[Track, dict[str, None]] = {}
    for (_, track), scored in scores.items():
        metrics.setdefault(track, {}).update(dict.fromkeys(scored.values))
    rows = [
        row
        for rq in (*QUESTIONS, MIXTURES)
        for pair in opponents(cells, rq)
        for track in sorted(metrics)
        if rq != MIXTURES or any(track.task in model.tasks for model in pair[1].models)
        for row in _rows(rq, suite, track, metrics[track], pair, scores, seed)
    ]
    return [row for adjust in statistics.ADJUSTMENTS for row in _adjust(rows, adjust)]


def opponents(cells: Sequence[Cell], rq: str) -> list[tuple[Cell, Cell]]:
    """The pairs of cells of one question, by size in the grid's order."""
    by_place = {(cell.size, cell.series): cell for cell in cells}
    if rq == MIXTURES:
        return [
            (by_place[cell.size, cell.method], cell)
            for cell in cells
            if cell.series != cell.method and (cell.size, cell.method) in by_place
        ]
    method_a, method_b = QUESTIONS[rq]
    return [
        (by_place[size, method_a], by_place[size, method_b])
        for size in dict.fromkeys(cell.size for cell in cells)
        if (size, method_a) in by_place and (size, method_b) in by_place
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Scores:
    """One table: the problems' ids and each metric's values [problems], NaN for none."""

    ids: tuple[str, ...]
    values: Mapping[str, statistics.Floats]


def _scores(cell: str, track: Track, table: pd.DataFrame) -> _Scores:
    """Check and take apart a cell's table of one track."""
    where, hint = f"{cell}: scores of {track}", "score this cell again"
    if "id" not in table:
        raise DataError(f"{where}: no column 'id'", hint=hint)
    ids = tuple(map(str, table["id"]))
    if len(set(ids)) < len(ids):
        twice, _ = Counter(ids).most_common(1)[0]
        raise DataError(f"{where}: id {twice!r} occurs twice", hint=hint)
    values = {}
    for column in table.columns.drop(list(NOT_COMPARED), errors="ignore"):
        try:
            values[str(column)] = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise DataError(f"{where}: column {column!r} holds text", hint=hint) from None
    return _Scores(ids, values)


def _rows(
    rq: str,
    suite: str,
    track: Track,
    metrics: Iterable[str],
    cells: tuple[Cell, Cell],
    scores: Mapping[tuple[str, Track], _Scores],
    seed: int,
) -> Iterable[Comparison]:
    """The unadjusted rows of one track at one size."""
    a, b = (scores.get((cell.id, track), _Scores((), {})) for cell in cells)
    place_in_b = {identifier: place for place, identifier in enumerate(b.ids)}
    common = [i for i, identifier in enumerate(a.ids) if identifier in place_in_b]
    partner = [place_in_b[a.ids[i]] for i in common]
    for metric in metrics:
        absent = [
            cell.id for cell, found in zip(cells, (a, b), strict=True) if metric not in found.values
        ]
        column_a, column_b = (
            np.full(len(common), np.nan) if absent else found.values[metric][places]
            for found, places in ((a, common), (b, partner))
        )
        valued = ~(np.isnan(column_a) | np.isnan(column_b))
        yield _measure(
            column_a[valued],
            column_b[valued],
            Comparison(
                rq=rq,
                task=track.task,
                language=track.language,
                size=cells[0].size,
                comparison=label(cells[0].series, cells[1].series),
                metric=metric,
                test="mcnemar" if metric.startswith("pass@") else "wilcoxon",
                adjust="",
                p_adj=None,
                effect_name="",
                effect=None,
                significant=None,
                a_only=None,
                b_only=None,
                n_pairs=int(valued.sum()),
                mean_a=None,
                mean_b=None,
                diff=None,
                ci_low=None,
                ci_high=None,
                reason=f"not scored for {' and '.join(absent)}" if absent else None,
                p=None,
                n_unpaired=len(a.ids) + len(b.ids) - 2 * len(common),
                n_missing=int((~valued).sum()),
                suite=suite,
            ),
            seed,
        )


def _measure(a: statistics.Floats, b: statistics.Floats, row: Comparison, seed: int) -> Comparison:
    """Fill in means, difference, interval, effect and p-value of the paired values."""
    interval = statistics.bootstrap_difference_ci(a, b, seed=seed)
    if a.size:
        row = dataclasses.replace(
            row,
            mean_a=float(a.mean()),
            mean_b=float(b.mean()),
            diff=float((a - b).mean()),
            ci_low=interval.low,
            ci_high=interval.high,
        )
    if row.test == "mcnemar":
        row = dataclasses.replace(row, effect_name="odds_ratio")
        if not np.isin(np.concatenate([a, b]), (0, 1)).all():
            return dataclasses.replace(row, reason="several outputs per problem: not 0 or 1")
        a_only, b_only = statistics.discordant(a, b)
        effect: float | None = statistics.odds_ratio(a_only, b_only) if a.size else None
        row = dataclasses.replace(row, effect=effect, a_only=a_only, b_only=b_only)
        test = statistics.mcnemar(a_only, b_only)
    else:
        effect = statistics.cliffs_delta(a, b)
        row = dataclasses.replace(row, effect_name="cliffs_delta", effect=effect)
        test = statistics.wilcoxon(a, b)
    if row.n_pairs < MINIMUM_PAIRS:
        few = f"too few pairs: {row.n_pairs}, at least {MINIMUM_PAIRS} are needed"
        return dataclasses.replace(row, reason=row.reason or few)
    return dataclasses.replace(row, p=test.p, reason=row.reason or test.reason or interval.reason)


def _adjust(rows: Sequence[Comparison], adjust: str) -> list[Comparison]:
    """The rows in their order with one adjustment applied family by family."""
    families: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault(row.family, []).append(index)
    adjusted = list(rows)
    for members in families.values():
        p_values = statistics.ADJUSTMENTS[adjust]([rows[index].p for index in members])
        for index, p_adj in zip(members, p_values, strict=True):
            significant = None if p_adj is None else p_adj < SIGNIFICANCE
            adjusted[index] = dataclasses.replace(
                rows[index], adjust=adjust, p_adj=p_adj, significant=significant
            )
    return adjusted


COLUMNS = tuple(field.name for field in dataclasses.fields(Comparison))
#: Columns that are empty, not NA, where they do not apply.
_EMPTY = ("a_only", "b_only", "reason")


def to_csv(rows: Iterable[Comparison]) -> str:
    """The text of stats.csv: NA where a value is not defined, ten significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_field(name, getattr(row, name)) for name in COLUMNS)
    return text.getvalue()


def _field(name: str, value: object) -> str:
    if value is None:
        return "" if name in _EMPTY else "NA"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
