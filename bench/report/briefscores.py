"""The scores of the brief report, and its questions in words."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.analysis.comparisons import MIXTURES, QUESTIONS, Comparison
from bench.naming import METHOD_LABELS
from bench.records import TRACKS, Track
from bench.report import scoreboard
from bench.report.document import Block, Cell, Column, Row
from bench.report.labels import (
    BASE,
    LABELS,
    LANGUAGES,
    Key,
    number,
    p_value,
    points,
    superscript,
)
from bench.report.scoreboard import BETTER, NOT_TESTABLE, WORSE, Notes, Scores

#: Which reading of the values is told; the published one stands in the whole report.
VARIANT = "corrected values"


@dataclasses.dataclass(frozen=True, slots=True)
class _Score:
    """Something that each method has at each size, or lacks for a reason."""

    value: Callable[[str, str], float | None]
    why: Callable[[str, str], str]


def of_methods(scores: Scores, tasks: Sequence[str], gains: Sequence[float]) -> Block:
    """Mean similarity and pass@1 of each method at each size, the best of a column marked."""
    executed = _executed(scores, tasks)
    shown = (
        _Score(
            lambda method, size: scoreboard.mean_similarity(scores, method, size, tasks),
            lambda method, size: scoreboard.why_no_similarity(scores, method, size, tasks),
        ),
        _Score(
            lambda method, size: _pass_rate(scores, method, size, executed),
            lambda method, size: _why_not_executed(scores, method, size, executed, tasks),
        ),
    )
    methods = compared(scores)
    notes = Notes()
    rows = tuple(
        Row(
            LABELS[method],
            tuple(
                _cell(one, method, size, methods, notes) for size in scores.sizes for one in shown
            ),
        )
        for method in methods
    )
    columns = tuple(Column(label) for size in scores.sizes for label in (size, "pass@1"))
    if not any(cell.note is None for row in rows for cell in row.cells):
        reason = notes.lines[0] if notes.lines else "nothing was scored"
        return Block("Scores", 8, text=(f"Not measured: {reason}.",))
    text = (*footnotes(notes), _about(executed), *_above_base(gains))
    title = f"Mean similarity, pass@1 × 100 ({VARIANT}; * is the best of its column)"
    return Block(title, 8, columns, rows, text, together=len(shown))


def compared(scores: Scores) -> list[str]:
    """The methods that are shown side by side.

    A mixture's mean is over other tasks than the others': it has no place among them.
    """
    return [one for one in scores.methods if one == BASE or one in METHOD_LABELS]


def footnotes(notes: Notes) -> list[str]:
    """Why values are missing, all reasons in one sentence; none where nothing is."""
    told = [f"{superscript(place)} {reason}" for place, reason in enumerate(notes.lines, 1)]
    return ["; ".join(told)] if told else []


def _executed(scores: Scores, tasks: Iterable[str]) -> list[Track]:
    """The tracks of which any method's answers were executed."""
    return [
        track
        for track in TRACKS
        if track.task in tasks
        and any(_passed(one.metrics, track) is not None for one in scores.entries.values())
    ]


def _passed(metrics: Mapping[str, float | None], track: Track) -> float | None:
    return metrics.get(str(Key(track, "pass@1")))


def _pass_rate(scores: Scores, method: str, size: str, tracks: Sequence[Track]) -> float | None:
    """The mean pass@1 over some tracks; None where one is missing."""
    entry = scores.entries.get((method, size))
    values = [None if entry is None else _passed(entry.metrics, track) for track in tracks]
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found and len(found) == len(values) else None


def _why_not_executed(
    scores: Scores, method: str, size: str, executed: Sequence[Track], tasks: Sequence[str]
) -> str:
    entry = scores.entries.get((method, size))
    if entry is None:
        return "not in the grid"
    wanted = executed or [track for track in TRACKS if track.task in tasks]
    keys = [str(Key(track, "pass@1")) for track in wanted if _passed(entry.metrics, track) is None]
    return next((entry.notes[key] for key in keys if key in entry.notes), "not executed")


def _cell(score: _Score, method: str, size: str, methods: Sequence[str], notes: Notes) -> Cell:
    value = score.value(method, size)
    if value is None:
        return notes.null(score.why(method, size))
    rivals = [score.value(rival, size) for rival in methods]
    shown = {number(100 * rival, 2): rival for rival in rivals if rival is not None}
    text = number(100 * value, 2)
    return Cell(text, best=len(shown) > 1 and text == max(shown, key=shown.__getitem__))


def _about(executed: Sequence[Track]) -> str:
    """What pass@1 is a mean of."""
    if not executed:
        return "pass@1: not measured, no answer was executed."
    by_task: dict[str, list[str]] = {}
    for track in executed:
        by_task.setdefault(track.task, []).append(LANGUAGES.get(track.language, track.language))
    over = "; ".join(f"{task} {', '.join(of)}" for task, of in by_task.items())
    return f"pass@1: {'mean of ' if len(executed) > 1 else ''}{over}."


def place(track: Track) -> str:
    """A track in a sentence: ``translation Java → C#``."""
    return f"{track.task} {LANGUAGES.get(track.language, track.language)}"


def _above_base(gains: Sequence[float]) -> tuple[str, ...]:
    if not gains:
        return ()
    above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
    between = f"{points(min(gains))} to {points(max(gains))}"
    return (f"Above their own base in similarity: {above} models, {between} points.",)


def questions(scores: Scores) -> Block:
    """RQ1 and RQ2 in words, and RQ3 where the grid asks it, each with its largest effect."""
    told = [
        _question(scores, [name], f"{name}: {LABELS[b]} against {LABELS[a]}")
        for name, (a, b) in QUESTIONS.items()
    ]
    if mixed := [name for name, _, _ in scores.tests if name.startswith(MIXTURES)]:
        told.append(_question(scores, mixed, f"{MIXTURES}: two tasks against all"))
    title = f"Questions ({VARIANT}; paired by problem, p < 0.05 after Holm)"
    return Block(title, 6, text=tuple(told))


def _question(scores: Scores, names: Iterable[str], label: str) -> str:
    """How many comparisons came out which way, and the largest effect among them."""
    wanted = set(names)
    found = [(Key.parse(key), test) for (rq, _, key), test in scores.tests.items() if rq in wanted]
    tests = [(key, test) for key, test in found if key.metric.better and not key.variant]
    if not tests:
        return f"{label}: not asked, nothing of both was scored."
    counts = Counter(scoreboard.verdict(test, key) for key, test in tests)
    if counts[NOT_TESTABLE] == len(tests):
        reasons = Counter(test.reason or "no effect is defined" for _, test in tests)
        return f"{label}: not testable: {reasons.most_common(1)[0][0]}."
    untested = f" ({counts[NOT_TESTABLE]} not testable)" if counts[NOT_TESTABLE] else ""
    return (
        f"{label}: better in {counts[BETTER]} of {len(tests)}, worse in {counts[WORSE]}"
        f"{untested}. {_largest(tests)}"
    )


def _largest(tests: Sequence[tuple[Key, Comparison]]) -> str:
    """The largest effect in words, of the significant ones where there are any.

    Cliff's delta and odds ratios do not compare: a test of solved problems is named only
    where no other metric has an effect.
    """
    known = [
        (key, test)
        for key, test in tests
        if test.effect is not None and test.p_adj is not None and test.diff
    ]
    if not known:
        return "No difference has an effect."

    def rank(found: tuple[Key, Comparison]) -> tuple[bool, bool, float]:
        _, test = found
        graded = test.effect_name == "cliffs_delta"
        return bool(test.significant), graded, abs((test.effect if graded else test.diff) or 0)

    key, test = max(known, key=rank)
    which = "Largest" if test.significant else "Largest, not significant"
    effect = f"Cliff's δ {number(-(test.effect or 0), 2, signed=True)}"
    if test.effect_name != "cliffs_delta":
        effect = f"solved alone {test.a_only} → {test.b_only}"
    suffix = "" if len({one.suite for _, one in tests}) == 1 else f", {test.suite}"
    better = "better" if -(test.diff or 0) * key.metric.better > 0 else "worse"
    shown = " → ".join(key.metric.show(mean or 0) for mean in (test.mean_a, test.mean_b))
    return (
        f"{which}: {key.metric.label}, {place(key.track)}{suffix}, {test.size}: {shown} "
        f"({better}, {effect}, p {_shown(p_value(test.p_adj))})."
    )


def _shown(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"
