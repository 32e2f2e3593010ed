"""The tables of scores: methods side by side per size, with deltas and significance."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.analysis import comparisons
from bench.analysis.comparisons import MIXTURES, QUESTIONS, Comparison
from bench.naming import METHOD_LABELS, MIXTURE_LABELS
from bench.records import TRACKS, Track, series
from bench.report.document import Cell, Column, Group, Row, Table, Tone
from bench.report.labels import BASE, LABELS, MINUS, NULL, Key, number, stars, track_title
from bench.report.results import Results


def _mixture(a: str, b: str) -> str:
    """RQ3 has one question per mixture."""
    return f"{MIXTURES}: {comparisons.label(a, b)}"


#: The method that another's delta refers to, and the question that tests it.
REFERENCES = {b: (a, question) for question, (a, b) in QUESTIONS.items()} | {
    b: (a, _mixture(a, b)) for b in MIXTURE_LABELS for a in METHOD_LABELS if b.startswith(f"{a}-")
}

#: How a comparison came out for the second of its methods.
BETTER, WORSE, UNDECIDED, NOT_TESTABLE = "better", "worse", "not significant", "not testable"
PARTIAL = "mean of the problems that have a value; results.json says how many have none, and why"


class Notes:
    """The numbered footnotes of one table: one number per distinct reason."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {}

    def null(self, reason: str) -> Cell:
        """The cell of a value that is missing for a reason."""
        return Cell(NULL, note=self.number(reason))

    def number(self, reason: str) -> int:
        """The number of a reason, from 1 in the order of first use."""
        return self._reasons.setdefault(reason, len(self._reasons) + 1)

    @property
    def lines(self) -> tuple[str, ...]:
        """The reasons in the order of their numbers."""
        return tuple(self._reasons)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A base or a cell: its metrics and the reasons of those that are null."""

    metrics: Mapping[str, float | None]
    notes: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """All scores of a run by (method, size), and its comparisons after Holm by key."""

    sizes: tuple[str, ...]
    methods: tuple[str, ...]
    entries: Mapping[tuple[str, str], Entry]
    tests: Mapping[tuple[str, str, str], Comparison]
    #: Every metric key of the run, in the order of the score files.
    keys: Mapping[Key, None]

    def value(self, method: str, size: str, key: str) -> float | None:
        """A metric of a method at a size."""
        entry = self.entries.get((method, size))
        return None if entry is None else entry.metrics.get(key)


def gather(results: Results, rows: Iterable[Comparison], suites: Sequence[str]) -> Scores:
    """Arrange a run's scores. ``suites`` in the study's order: a track's first is principal."""
    rows = [row for row in rows if row.adjust == "holm"]
    present: dict[Track, set[str]] = {}
    for row in rows:
        present.setdefault(Track(row.task, row.language), set()).add(row.suite)
    principal = {
        track: next(name for name in suites if name in found) for track, found in present.items()
    }
    entries = {
        (BASE, base["size"]): Entry(base["metrics"], base["notes"]) for base in results["bases"]
    }
    for cell in results["cells"]:
        method = series(cell["id"], cell["method"], cell["size"])
        entries[method, cell["size"]] = Entry(cell["metrics"], cell["notes"])
    return Scores(
        tuple(dict.fromkeys(size for _, size in entries)),
        tuple(dict.fromkeys(method for method, _ in entries)),
        entries,
        {(_question(row), row.size, test_key(row, principal)): row for row in rows},
        {Key.parse(key): None for entry in entries.values() for key in entry.metrics},
    )


def _question(row: Comparison) -> str:
    return f"{row.rq}: {row.comparison}" if row.rq == MIXTURES else row.rq


def test_key(row: Comparison, principal: Mapping[Track, str]) -> str:
    """The metric key that a comparison tests."""
    key = Key.parse(f"{row.task}/{row.language}/{row.metric}")
    suite = "" if principal[key.track] == row.suite else row.suite
    return str(dataclasses.replace(key, part=suite))


def track_tables(scores: Scores, track: Track) -> list[Table]:
    """The main scores of a track, and in a second table all the others."""
    keys = [key for key in scores.keys if key.track == track]
    names = {key.name for key in keys}
    if "codebleu" in names:  # the similarity of code is its CodeBLEU
        keys = [key for key in keys if key.name != "similarity"]
    keys.sort(key=lambda key: key.order)
    main = [key for key in keys if _is_main(key)]
    other = [key for key in keys if not _is_main(key)]
    title = track_title(track)
    tables = [_table(scores, title, main)] if main else []
    if other:
        further = _table(scores, f"{title}: code quality and further scores", other)
        tables.append(dataclasses.replace(further, detail=True))
    return tables


def _is_main(key: Key) -> bool:
    of_all = not key.part or key.name.startswith("pass@")
    return of_all and not key.variant and not key.metric.quality


def _table(scores: Scores, title: str, keys: Sequence[Key]) -> Table:
    notes = Notes()
    measured = {key.name for key in keys if _measured(scores, key)}
    groups = tuple(
        Group(key.label, _rows(scores, key, notes, collapsed=key.name not in measured))
        for key in keys
        if key.name in measured or not key.part  # a part of what is nowhere measured says nothing
    )
    columns = tuple(Column(size) for size in scores.sizes)
    return Table(title, columns, groups, _caption(scores, keys), notes.lines)


def _measured(scores: Scores, key: Key) -> bool:
    return any(entry.metrics.get(str(key)) is not None for entry in scores.entries.values())


def _rows(scores: Scores, key: Key, notes: Notes, *, collapsed: bool) -> tuple[Row, ...]:
    """A row per method; one for all of them where none has a value."""

    def cells(method: str) -> tuple[Cell, ...]:
        return tuple(_cell(scores, method, size, key, notes) for size in scores.sizes)

    if collapsed:
        return (Row("all", cells(scores.methods[0])),)
    methods = (one for one in scores.methods if key.track.task in comparisons.tasks_of(one))
    return tuple(Row(LABELS[method], cells(method)) for method in methods)


def _caption(scores: Scores, keys: Sequence[Key]) -> str:
    """The suites behind some keys and how many problems were paired."""
    wanted = {str(key) for key in keys}
    suites: dict[str, int] = {}
    for (_, _, key), row in scores.tests.items():
        if key in wanted:
            suites[row.suite] = max(suites.get(row.suite, 0), row.n_pairs)
    return "; ".join(f"suite {name}, {pairs} problems" for name, pairs in suites.items())


def _cell(scores: Scores, method: str, size: str, key: Key, notes: Notes) -> Cell:
    entry = scores.entries.get((method, size))
    if entry is None:
        return notes.null("not in the grid")
    value = entry.metrics.get(str(key))
    if value is None:
        return notes.null(entry.notes.get(str(key), "not scored"))
    metric = key.metric
    text = metric.show(value)
    shown = {
        metric.show(other): other * metric.better
        for rival in scores.methods
        if (rival, size) in scores.entries
        and (other := scores.value(rival, size, str(key))) is not None
    }
    best = metric.better != 0 and len(shown) > 1 and text == max(shown, key=shown.__getitem__)
    delta, mark, tone = _delta(scores, method, size, key, value)
    note = notes.number(PARTIAL) if str(key) in entry.notes else None
    return Cell(text, delta, mark, tone, best, note)


def _delta(scores: Scores, method: str, size: str, key: Key, value: float) -> tuple[str, str, Tone]:
    """The difference to the method of reference, with its mark after Holm."""
    reference, question = REFERENCES.get(method, ("", ""))
    if (reference, size) not in scores.entries:
        return "", "", ""
    other = scores.value(reference, size, str(key))
    if other is None:
        return "", "", ""
    delta = key.metric.show(value - other, signed=True)
    test = scores.tests.get((question, size, str(key)))
    mark = stars(test.p_adj) if test is not None else ""
    if not mark or not key.metric.better or value == other:
        return delta, mark, ""
    return delta, mark, "better" if (value - other) * key.metric.better > 0 else "worse"


def mean_similarity(scores: Scores, method: str, size: str, tasks: Iterable[str]) -> float | None:
    """The mean similarity over the tracks of some tasks, None where one is missing.

    A track that nobody has a similarity in (a suite without references) is left out.
    """
    wanted = [
        str(Key(track, "similarity"))
        for track in TRACKS
        if track.task in tasks and _measured(scores, Key(track, "similarity"))
    ]
    values = [scores.value(method, size, key) for key in wanted]
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found and len(found) == len(values) else None


def overview(scores: Scores, tasks: Sequence[str]) -> Table:
    """Mean similarity per task and over all, each method's delta to its own base."""
    notes = Notes()

    def cell(method: str, size: str, of: Sequence[str]) -> Cell:
        value, base = (mean_similarity(scores, name, size, of) for name in (method, BASE))
        if value is None:
            return notes.null(why_no_similarity(scores, method, size, of))
        rivals = [mean_similarity(scores, name, size, of) for name in scores.methods]
        best = number(100 * value, 2) == max(
            (number(100 * rival, 2) for rival in rivals if rival is not None), key=_as_float
        )
        if method == BASE or base is None:
            return Cell(number(100 * value, 2), best=best)
        return Cell(number(100 * value, 2), number(100 * (value - base), 2, signed=True), best=best)

    groups = [
        Group(
            label,
            tuple(
                Row(LABELS[method], tuple(cell(method, size, of) for size in scores.sizes))
                for method in scores.methods
                if set(of) <= set(comparisons.tasks_of(method))
            ),
        )
        for label, of in [("all tasks", tasks), *((task, [task]) for task in tasks)]
    ]
    columns = tuple(Column(size) for size in scores.sizes)
    caption = "Difference: against the same size's base model without fine-tuning."
    return Table("Mean similarity × 100", columns, tuple(groups), caption, notes.lines)


def _as_float(text: str) -> float:
    return float(text.replace(MINUS, "-").replace("\u2009", ""))


def why_no_similarity(scores: Scores, method: str, size: str, tasks: Sequence[str]) -> str:
    """Why a method has no mean similarity over some tasks."""
    if (method, size) not in scores.entries:
        return "not in the grid"
    for key, reason in scores.entries[method, size].notes.items():
        parsed = Key.parse(key)
        if parsed.name == "similarity" and parsed.track.task in tasks:
            return reason
    return "not scored"


def verdicts(scores: Scores) -> Table:
    """Per question and size, how many comparisons went which way after Holm."""
    columns = tuple(Column(label) for label in (BETTER, WORSE, UNDECIDED, NOT_TESTABLE))
    groups = []
    for b, (a, question) in REFERENCES.items():
        rows = []
        for size in scores.sizes:
            counts = dict.fromkeys((BETTER, WORSE, UNDECIDED, NOT_TESTABLE), 0)
            for (rq, of_size, key), test in scores.tests.items():
                if (rq, of_size) == (question, size) and Key.parse(key).metric.better:
                    counts[verdict(test, Key.parse(key))] += 1
            if any(counts.values()):
                rows.append(Row(size, tuple(Cell(str(n)) for n in counts.values())))
        if rows:
            label = f"{question[:3]}: {LABELS[b]} against {LABELS[a]}"
            groups.append(Group(label, tuple(rows)))
    return Table("Significant differences", columns, tuple(groups), "Metrics after Holm, p < 0.05.")


def verdict(test: Comparison, key: Key) -> str:
    """How b does against a, after Holm."""
    if test.p_adj is None or test.diff is None:
        return NOT_TESTABLE
    if not test.significant or test.diff == 0:
        return UNDECIDED
    return BETTER if -test.diff * key.metric.better > 0 else WORSE
