"""Checks of per-instance values and outputs that need no knowledge of where they come from.

Each finds a class of error that went unnoticed in published figures: lost prefixes, empty
outputs, unreadable files counted as clean, misaligned pairs, constant or doubled columns,
files at the wrong place. They run on the paper's values and on every run of the kit alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.analysis import texts
from bench.analysis.comparisons import MIXTURES, QUESTIONS, Tables, opponents
from bench.analysis.statistics import Floats
from bench.analysis.texts import Written
from bench.records import Cell, Track

#: What a model wrote: cell id -> track -> its outputs.
Outputs = Mapping[str, Mapping[Track, Sequence[Written]]]

#: What CodeBLEU gives an output without any code: its data-flow part alone is full.
EMPTY_CODEBLEU = 0.25
#: From this share on, one exact value of a continuous metric is told.
REPEATED_SHARE = 0.05
#: Tables with fewer problems say too little about repetition and equality.
MINIMUM_ROWS = 10
#: Cells named in a detail, those with the highest counts first.
_NAMED = 6

#: Columns that are equal to others by their definition, or describe an output.
_DERIVED = ("id", "part", "finish_reason", "similarity", "empty_outputs", "truncated_share")


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader must know before trusting a figure.

    ``count`` of the ``of`` outputs, problems, cells or pairs at ``where`` show it.
    """

    audit: str
    where: str
    count: int
    of: int
    detail: str


def audit(cells: Sequence[Cell], tables: Tables, outputs: Outputs | None = None) -> list[Finding]:
    """Every finding about a run's tables, and about its outputs where they are at hand.

    Pure; the order is by audit and place. A table needs the column ``id``, all other
    columns are optional.
    """
    columns = _Columns.gather(tables)
    found = [
        *_misaligned(cells, tables),
        *_another_track(tables),
        *_same_table(tables),
        *_empty(columns),
        *_unread(columns),
        *_constant(columns),
        *_doubled(columns),
        *_repeated(columns),
    ]
    if outputs is not None:
        found += _written(outputs)
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Columns:
    """Every numeric column of every table: track -> cell id -> column -> values [problems]."""

    values: Mapping[Track, Mapping[str, Mapping[str, Floats]]]

    @classmethod
    def gather(cls, tables: Tables) -> _Columns:
        found: dict[Track, dict[str, dict[str, Floats]]] = {}
        for cell, by_track in tables.items():
            for track, table in by_track.items():
                numbers = table.select_dtypes("number")
                found.setdefault(track, {})[cell] = {
                    str(name): numbers[name].to_numpy(dtype=np.float64, na_value=np.nan)
                    for name in numbers.columns
                }
        return cls(found)

    def items(self) -> Iterator[tuple[Track, Mapping[str, Mapping[str, Floats]]]]:
        yield from sorted(self.values.items())


def _told(counts: Mapping[str, int]) -> str:
    """The cells with the highest counts, for example ``st-qlora-3b 781, mt-qlora-3b 777``."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    named = ", ".join(f"{cell} {count}" for cell, count in ranked[:_NAMED])
    left = len(ranked) - _NAMED
    return f"{named}, {left} more" if left > 0 else named


def _misaligned(cells: Sequence[Cell], tables: Tables) -> Iterator[Finding]:
    """Pairs of cells whose rows do not hold the same problems in the same order."""
    for a, b in itertools.chain(*(opponents(cells, rq) for rq in (*QUESTIONS, MIXTURES))):
        for track in sorted(tables.get(a.id, {}).keys() & tables.get(b.id, {}).keys()):
            left, right = (list(map(str, tables[cell.id][track]["id"])) for cell in (a, b))
            if left == right:
                continue
            shorter = min(len(left), len(right))
            shifted = sum(x != y for x, y in zip(left, right, strict=False))
            alone = len(set(left) ^ set(right))
            yield Finding(
                "misaligned pairs",
                f"{track} {a.id} / {b.id}",
                shifted,
                shorter,
                f"{len(left)} and {len(right)} rows, {alone} ids in one of them only: "
                f"pairing by position compares different problems in {shifted} rows",
            )


def _another_track(tables: Tables) -> Iterator[Finding]:
    """Tables whose problems are those of another track."""
    members = {
        (track, cell): set(map(str, table["id"]))
        for cell, by_track in tables.items()
        for track, table in by_track.items()
    }
    counts: dict[Track, Counter[str]] = {}
    for (track, _), ids in members.items():
        counts.setdefault(track, Counter()).update(ids)
    for (track, cell), ids in members.items():
        # Its own track counts this table too: another cell must know the problem.
        known = sum(counts[track][name] > 1 for name in ids)
        if known >= len(ids) / 2:
            continue
        for other in counts:
            shared = len(ids & counts[other].keys())
            if other != track and shared > len(ids) / 2:
                where, told = f"{track} {cell}", f"its ids are those of {other}"
                yield Finding("another track's problems", where, shared, len(ids), told)


def _same_table(tables: Tables) -> Iterator[Finding]:
    """Two tables with the same values in all columns: one file under two names."""
    seen: dict[str, str] = {}
    for cell, by_track in tables.items():
        for track, table in by_track.items():
            numbers = table.select_dtypes("number")
            varied = any(numbers[name].nunique() > 1 for name in numbers.columns)
            if len(table) < MINIMUM_ROWS or not varied:
                continue
            content = numbers.to_numpy(dtype=np.float64, na_value=np.nan).tobytes()
            place = f"{track} {cell}"
            first = seen.setdefault(hashlib.sha256(content).hexdigest(), place)
            if first != place:
                told = f"every value is that of {first}"
                yield Finding("same values under two names", place, len(table), len(table), told)


def _empty(columns: _Columns) -> Iterator[Finding]:
    """Outputs without any text, counted, or seen from the value that CodeBLEU gives them."""
    for track, by_cell in columns.items():
        counts, total, likely = {}, 0, False
        for cell, values in by_cell.items():
            if "empty_outputs" in values:
                empty = values["empty_outputs"] > 0
            elif "codebleu@published" in values:
                empty, likely = values["codebleu@published"] == EMPTY_CODEBLEU, True
                if "sonar_ccn@published" in values:  # read, and no function in it
                    read = values["sonar_loc@published"] > 0
                    empty = empty & read & (values["sonar_ccn@published"] == 0)
                elif "lizard_detection@published" in values:
                    empty = empty & (values["lizard_detection@published"] == 0)
            else:
                continue
            total += empty.size
            if empty.any():
                counts[cell] = int(empty.sum())
        if counts:
            why = f": CodeBLEU gives {EMPTY_CODEBLEU} to an output without code" if likely else ""
            told = _told(counts) + why
            yield Finding("empty outputs", str(track), sum(counts.values()), total, told)


def unread(tool: str, values: Mapping[str, Floats]) -> npt.NDArray[np.bool_] | None:
    """Which outputs [problems] an analyser could not read, seen from its values; None: unknown.

    PMD finds at least one violation in every wrapped file that it can parse (a class
    without a package), and code has at least one line: six zeros, or no line, is a file
    that could not be read and counts as clean.
    """
    if tool == "pmd" and len(values) == 6:
        return np.asarray(np.sum(list(values.values()), axis=0) == 0)
    lines = {"sonar": "sonar_loc", "lizard": "lizard_nloc"}.get(tool)
    return values[lines] == 0 if lines is not None and lines in values else None


def _unread(columns: _Columns) -> Iterator[Finding]:
    """Outputs that an analyser could not parse and whose counts are 0 all the same."""
    for track, by_cell in columns.items():
        counts: dict[str, dict[str, int]] = {}
        total: Counter[str] = Counter()
        for cell, values in by_cell.items():
            for tool, failed in _failures(values):
                total[tool] += failed.size
                if failed.any():
                    counts.setdefault(tool, {})[cell] = int(failed.sum())
        for tool, by_name in counts.items():
            yield Finding(
                "unparsable counted clean",
                f"{track} {tool}",
                sum(by_name.values()),
                total[tool],
                _told(by_name),
            )


def _failures(values: Mapping[str, Floats]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Each analyser's columns with the outputs that it could not read but has counts of."""
    groups: dict[tuple[str, str], dict[str, Floats]] = {}
    for name, column in values.items():
        metric, _, variant = name.partition("@")
        groups.setdefault((metric.partition("_")[0], variant), {})[metric] = column
    unparsed = values.get("parse_failures")
    for (tool, variant), group in groups.items():
        failed = unread(tool, group)
        if failed is None and unparsed is not None and tool in ("pylint", "flake8", "checkstyle"):
            failed = (unparsed > 0) & (np.nansum(list(group.values()), axis=0) == 0)
            failed &= ~np.isnan(list(group.values())).all(axis=0)
        if failed is not None:
            yield tool + (variant and f"@{variant}"), failed


def _constant(columns: _Columns) -> Iterator[Finding]:
    """Columns that hold one value alone in at least two cells: not testable there."""
    for track, by_cell in columns.items():
        constant: dict[str, list[str]] = {}
        shown: dict[str, Counter[float]] = {}
        for cell, values in by_cell.items():
            for name, column in values.items():
                present = column[~np.isnan(column)]
                if name in _DERIVED or present.size < MINIMUM_ROWS or np.ptp(present) != 0:
                    continue
                constant.setdefault(name, []).append(cell)
                shown.setdefault(name, Counter())[float(present[0])] += 1
        for name, members in constant.items():
            having = sum(name in values for values in by_cell.values())
            if len(members) > 1:
                held = ", ".join(f"{value:g}" for value in shown[name])
                named = "every model" if len(members) == having else ", ".join(members)
                told = f"always {held} for {named}"
                yield Finding("constant column", f"{track} {name}", len(members), having, told)


def _doubled(columns: _Columns) -> Iterator[Finding]:
    """Two columns of one table that are equal in every row."""
    for track, by_cell in columns.items():
        counts: Counter[tuple[str, str]] = Counter()
        for values in by_cell.values():
            varied = {
                name: column
                for name, column in values.items()
                if name not in _DERIVED
                and column.size >= MINIMUM_ROWS
                and len(set(column[~np.isnan(column)].tolist())) > 2
            }
            for (a, left), (b, right) in itertools.combinations(varied.items(), 2):
                same_metric = a.partition("@")[0] == b.partition("@")[0]
                if not same_metric and np.array_equal(left, right, equal_nan=True):
                    counts[a, b] += 1
        for (a, b), count in counts.items():
            told = "the two columns are equal in every row"
            yield Finding("doubled column", f"{track} {a} = {b}", count, len(by_cell), told)


def _repeated(columns: _Columns) -> Iterator[Finding]:
    """One exact value, neither 0 nor 1, that many outputs share in a continuous metric.

    Outputs that differ seldom score exactly alike; many that do share a defect, for
    example a lost first character in code of one pattern.
    """
    for track, by_cell in columns.items():
        found: dict[str, dict[str, tuple[int, float]]] = {}
        for cell, values in by_cell.items():
            for name, column in values.items():
                repeated = repeated_value(column)
                if name not in _DERIVED and repeated is not None:
                    found.setdefault(name, {})[cell] = repeated
        for name, by_name in found.items():
            counts = {f"{cell} ({value:.6g})": count for cell, (count, value) in by_name.items()}
            total = sum(values[name].size for cell, values in by_cell.items() if cell in by_name)
            where = f"{track} {name}"
            yield Finding("repeated value", where, sum(counts.values()), total, _told(counts))


def repeated_value(column: Floats) -> tuple[int, float] | None:
    """How often the most frequent value between 0 and 1 occurs, if suspiciously often."""
    present = column[~np.isnan(column)]
    inside = present[(present > 0) & (present < 1)]
    continuous = present.size >= 10 * MINIMUM_ROWS and inside.size and present.max() <= 1
    if not continuous or present.min() < 0:
        return None
    values, counts = np.unique(inside, return_counts=True)
    most = int(counts.argmax())
    if values.size < MINIMUM_ROWS or counts[most] < REPEATED_SHARE * present.size:
        return None
    return int(counts[most]), float(values[most])


def _written(outputs: Outputs) -> Iterator[Finding]:
    """What the outputs themselves show: lost prefixes, stray openings, nothing at all."""
    by_track: dict[Track, dict[str, Sequence[Written]]] = {}
    for cell, tracks in outputs.items():
        for track, written in tracks.items():
            by_track.setdefault(track, {})[cell] = written
    for track, members in sorted(by_track.items()):
        total = sum(map(len, members.values()))
        counts: dict[str, dict[str, int]] = {}
        for cell, written in members.items():
            openings = texts.openings(one.reference for one in written)
            defects = Counter(texts.defect(one.output, openings) for one in written)
            for name, count in defects.items():
                if name:
                    counts.setdefault(name, {})[cell] = count
        for name, by_name in sorted(counts.items()):
            yield Finding(name, str(track), sum(by_name.values()), total, _told(by_name))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of several calls, each place of an audit once (the first), by audit."""
    first: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.audit, finding.where), finding)
    return sorted(first.values(), key=lambda one: (one.audit, one.where))
