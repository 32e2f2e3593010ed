"""The study's two questions asked of a run: every paired comparison of its methods.

RQ1 sets single-task against multi-task QLoRA, RQ2 multi-task QLoRA against multi-task
full fine-tuning, at each size. Problems are paired by id (the published RQ2 pairs them by
position, which is wrong where an id is missing); what finds no partner is counted.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.errors import DataError
from bench.records import Cell, Track

#: Cell id -> track -> one row per problem: ``id``, optionally ``part``, and the metrics.
Tables = Mapping[str, Mapping[Track, pd.DataFrame]]

METHOD_LABELS = {"st-qlora": "ST-QLoRA", "mt-qlora": "MT-QLoRA", "mt-fft": "MT-FFT"}
#: The research questions: which method is a, which is b.
QUESTIONS = {"RQ1": ("st-qlora", "mt-qlora"), "RQ2": ("mt-qlora", "mt-fft")}

SIGNIFICANCE = 0.05
#: With five pairs even an exact two-sided signed-rank test cannot fall below 0.05.
MINIMUM_PAIRS = 6

#: Columns that are not compared: what identifies or describes an output, and the mean of
#: other columns, which would only enlarge the family.
_NOT_COMPARED = (
    "id",
    "part",
    "finish_reason",
    "similarity",
    "empty_outputs",
    "truncated_share",
    "parse_failures",
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
    rows = [
        row
        for rq in QUESTIONS
        for a, b in _opponents(cells, rq)
        for track, metrics in _metrics(tables).items()
        for row in _rows(rq, suite, track, metrics, (a, b), tables, seed)
    ]
    return [row for adjust in statistics.ADJUSTMENTS for row in _adjust(rows, adjust)]


def _opponents(cells: Sequence[Cell], rq: str) -> list[tuple[Cell, Cell]]:
    """The pairs of cells of one question, by size in the grid's order."""
    by_place = {(cell.size, cell.method): cell for cell in cells}
    method_a, method_b = QUESTIONS[rq]
    return [
        (by_place[size, method_a], by_place[size, method_b])
        for size in dict.fromkeys(cell.size for cell in cells)
        if (size, method_a) in by_place and (size, method_b) in by_place
    ]


def _metrics(tables: Tables) -> dict[Track, list[str]]:
    """Per track, the metric columns of all cells in their first order."""
    found: dict[Track, dict[str, None]] = {}
    for by_track in tables.values():
        for track, table in by_track.items():
            columns = (str(column) for column in table.columns if column not in _NOT_COMPARED)
            found.setdefault(track, {}).update(dict.fromkeys(columns))
    return {track: list(columns) for track, columns in sorted(found.items())}


def _rows(
    rq: str,
    suite: str,
    track: Track,
    metrics: Sequence[str],
    cells: tuple[Cell, Cell],
    tables: Tables,
    seed: int,
) -> Iterable[Comparison]:
    """The unadjusted rows of one track at one size."""
    a, b = (_by_id(tables, cell, track) for cell in cells)
    common = a.index.intersection(b.index, sort=False)
    n_unpaired = len(a.index.symmetric_difference(b.index))
    for metric in metrics:
        absent = [cell.id for cell, table in zip(cells, (a, b), strict=True) if metric not in table]
        blank = pd.Series(np.nan, index=common)
        column_a, column_b = (
            blank if metric not in table else table.loc[common, metric].astype(float)
            for table in (a, b)
        )
        valued = (column_a.notna() & column_b.notna()).to_numpy()
        yield _measure(
            np.asarray(column_a, dtype=np.float64)[valued],
            np.asarray(column_b, dtype=np.float64)[valued],
            Comparison(
                rq=rq,
                task=track.task,
                language=track.language,
                size=cells[0].size,
                comparison=" vs ".join(METHOD_LABELS[cell.method] for cell in cells),
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
                n_unpaired=n_unpaired,
                n_missing=int((~valued).sum()),
                suite=suite,
            ),
            seed,
        )


def _by_id(tables: Tables, cell: Cell, track: Track) -> pd.DataFrame:
    """A cell's table of one track, indexed by problem id; without rows where it has none."""
    table = tables.get(cell.id, {}).get(track)
    if table is None:
        return pd.DataFrame(index=pd.Index([], dtype="str"))
    where = f"{cell.id}: scores of {track}"
    if "id" not in table:
        raise DataError(f"{where}: no column 'id'", hint="score this cell again")
    if table["id"].duplicated().any():
        twice = table["id"][table["id"].duplicated()].iloc[0]
        raise DataError(f"{where}: id {twice!r} occurs twice", hint="score this cell again")
    indexed = table.assign(id=table["id"].astype("str")).set_index("id")
    for column in indexed.columns.difference(list(_NOT_COMPARED)):
        try:
            indexed[column] = pd.to_numeric(indexed[column])
        except (TypeError, ValueError):
            raise DataError(
                f"{where}: column {column!r} holds text", hint="score this cell again"
            ) from None
    return indexed


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
