"""From results and comparisons to a report: the one place that decides what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.claims import Verdict
from bench.analysis.comparisons import Comparison
from bench.grid.study import Study, TinyBase
from bench.records import Track, series
from bench.report import audits, brief, claims, costs, outcomes, reference, scoreboard
from bench.report.audits import Audited
from bench.report.document import Cell, Column, Group, Report, Row, Section, Table
from bench.report.labels import BASE, LANGUAGES, NULL, Key, number, p_value, points
from bench.report.results import ADOPTED, BATCH_EFFECT, MIXED, Results
from bench.report.scoreboard import Scores

#: How a stage calls the processor that it computed on.
CPU = "cpu"
WARNING = "proves the pipeline, not quality"
LEGEND = (
    "Differences: MT-QLoRA against ST-QLoRA (RQ1), MT-FFT against MT-QLoRA (RQ2); "
    "*, **, ***: p below 0.05, 0.01, 0.001 after Holm. Best value in bold. "
    "Text scores and rates are × 100."
)


def build(
    results: Results,
    comparisons: Sequence[Comparison],
    study: Study,
    verdicts: Sequence[Verdict] = (),
    audited: Audited | None = None,
    data: Section | None = None,
) -> Report:
    """The report of a run, ready for any rendering."""
    scores = scoreboard.gather(results, comparisons, [suite.label for suite in study.suites])
    tracks = sorted({key.track for key in scores.keys})
    tables = [table for track in tracks for table in scoreboard.track_tables(scores, track)]
    sections = [
        Section(
            "At a glance",
            (*_beats_base(results, scores), costs.summary(results)),
            (scoreboard.overview(scores, study.tasks), scoreboard.verdicts(scores)),
        ),
        Section("Scores", (LEGEND,), tuple(tables)),
        Section(
            "Costs",
            (
                *(
                    note
                    for name, note in results["notes"].items()
                    if name.endswith("_s") or name == BATCH_EFFECT
                ),
                reference.NO_COSTS,
            ),
            (costs.cost_table(results, scores), costs.steady_table(results, scores)),
            costs.charts(results, scores, study.tasks),
        ),
        claims.of_study(verdicts, study),
        reference.of_study(scores, study),
        *([] if audited is None else [audits.section(audited, detail=True)]),
        outcomes.section(results, study),
        Section(
            "Every comparison",
            (
                "Problems are paired by id. p: unadjusted; Holm and BH: adjusted within one "
                "track and size (pass@1: within a task, over languages and sizes). Effect: "
                "Cliff's delta, for pass@1 the odds ratio. Difference: a − b with its 95 % "
                "bootstrap interval.",
            ),
            tuple(_comparison_tables(comparisons)),
            detail=True,
        ),
        *([] if data is None else [data]),
        Section("Provenance", (), (_provenance(results["provenance"]),), detail=True),
    ]
    mixed = [results["notes"][name] for name in (MIXED, ADOPTED) if name in results["notes"]]
    lead = [*mixed, _first_line(results, study), study.summary.removesuffix(f"; {WARNING}")]
    run = brief.Run(
        results,
        scores,
        study,
        verdicts,
        audited,
        provenance_line(results["provenance"], results["devices"]),
        _gains(results, scores),
    )
    title = f"Report of the study {study.name}"
    return Report(title, tuple(lead), tuple(sections), brief.of_run(run))


def _first_line(results: Results, study: Study) -> str:
    """What was run and on what, in one line."""
    models = sum(len(cell["models"]) for cell in results["cells"])
    parts = [
        f"Study {study.name}: {len(results['cells'])} cells, {models} models",
        *provenance_line(results["provenance"], results["devices"]),
    ]
    if any(isinstance(base, TinyBase) for base in study.sizes):
        parts.append(WARNING)
    return " · ".join(parts)


def provenance_line(
    provenance: Mapping[str, Any], devices: Mapping[str, int] | None = None
) -> list[str]:
    """Commit, machine and torch of a run (see ``bench.run.provenance``), where known.

    ``devices`` are those that its stages computed on, which may not be all that is there.
    """
    git, machine, libraries = (
        provenance.get(name) or {} for name in ("git", "machine", "libraries")
    )
    parts = []
    if git.get("commit"):
        parts.append(f"commit {git['commit'][:10]}{' (modified)' if git.get('dirty') else ''}")
    if machine:
        memory = machine.get("memory_bytes")
        facts = (
            machine.get("cpu"),
            machine.get("cores") and f"{machine['cores']} cores",
            memory and f"{memory / 2**30:.1f} GiB",
        )
        parts.append(", ".join(str(fact) for fact in facts if fact))
        parts.append(_computed_on(machine, devices or {}))
    return [*parts, f"torch {libraries['torch']}"] if libraries.get("torch") else parts


def _computed_on(machine: Mapping[str, Any], devices: Mapping[str, int]) -> str:
    """What computed, by the stages' own records; where they do not say, what is there."""
    used = _counted({name: many for name, many in devices.items() if name != CPU})
    if used and CPU in devices:
        return f"computed on {used} and in part on the CPU"
    if used:
        return f"computed on {used}"
    here = Counter(gpu["name"] for gpu in machine.get("gpus") or ())
    here |= Counter(machine.get("gpus_shown") or ())
    if here and devices:
        return f"computed on the CPU, though {_counted(here)} is here"
    return _counted(here) or "no GPU"


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{many} × {name}" if many > 1 else name for name, many in names.items())


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested data as dotted names with plain values, in order."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list | tuple):
        plain = all(not isinstance(item, Mapping | list | tuple) for item in value)
        if plain:
            yield prefix, " ".join(map(str, value)) or NULL
        else:
            for index, item in enumerate(value):
                yield from _flatten(item, f"{prefix}.{index}")
    else:
        yield prefix, value


def _provenance(provenance: Mapping[str, Any]) -> Table:
    rows = tuple(
        Row(name, (Cell(NULL if value is None else str(value)),))
        for name, value in _flatten(provenance)
    )
    return Table("run.json", (Column("value", numeric=False),), (Group("", rows),), detail=True)


def _gains(results: Results, scores: Scores) -> list[float]:
    """By how much each trained model is more similar than its own base on its own tasks."""
    gains: list[float] = []
    for cell in results["cells"]:
        for model in cell["models"]:
            trained, base = (
                scoreboard.mean_similarity(scores, method, cell["size"], model["tasks"])
                for method in (series(cell["id"], cell["method"], cell["size"]), BASE)
            )
            if trained is not None and base is not None:
                gains.append(trained - base)
    return gains


def _beats_base(results: Results, scores: Scores) -> tuple[str, ...]:
    """How many trained models are better than their own base on their own tasks."""
    gains = _gains(results, scores)
    if not gains:
        return ()
    return (
        f"{sum(gain > 0 for gain in gains)} of {len(gains)} trained models have a higher mean "
        "similarity on their tasks than their own base without fine-tuning; the differences are "
        f"{points(min(gains))} to {points(max(gains))} points.",
    )


_COMPARISON_COLUMNS = (
    "a",
    "b",
    "difference",
    "95 % interval",
    "effect",
    "p",
    "Holm",
    "BH",
    "pairs",
)


def _comparison_tables(comparisons: Sequence[Comparison]) -> Iterator[Table]:
    """One table per question, suite and track; a group per size."""
    places = dict.fromkeys(map(_table_place, comparisons))
    bh = {_place(row): row.p_adj for row in comparisons if row.adjust == "BH"}
    for rq, comparison, suite, task, language in places:
        notes = scoreboard.Notes()
        groups: dict[str, list[Row]] = {}
        for row in comparisons:
            place = (rq, comparison, suite, task, language)
            if _table_place(row) == place and row.adjust == "holm":
                key = Key.parse(f"{task}/{language}/{row.metric}")
                cells = _comparison_cells(row, key, bh.get(_place(row)), notes)
                groups.setdefault(row.size, []).append(Row(key.label, cells))
        track = Track(task, language)
        where = f"{track.task}, {LANGUAGES.get(language, language)}, suite {suite}"
        a, b = comparison.split(" vs ")
        yield Table(
            f"{rq}, {where}",
            tuple(Column(label) for label in _COMPARISON_COLUMNS),
            tuple(Group(size, tuple(rows)) for size, rows in groups.items()),
            f"a: {a}, b: {b}",
            notes.lines,
            detail=True,
        )


def _table_place(row: Comparison) -> tuple[str, str, str, str, str]:
    return (row.rq, row.comparison, row.suite, row.task, row.language)


def _place(row: Comparison) -> tuple[str, ...]:
    return (*_table_place(row), row.size, row.metric)


def _comparison_cells(
    row: Comparison, key: Key, bh: float | None, notes: scoreboard.Notes
) -> tuple[Cell, ...]:
    why = row.reason or "not defined"

    def cell(value: float | None, text: str) -> Cell:
        return notes.null(why) if value is None else Cell(text)

    def shown(value: float | None, *, signed: bool = False) -> str:
        return "" if value is None else key.metric.show(value, signed=signed)

    interval = f"{shown(row.ci_low, signed=True)} … {shown(row.ci_high, signed=True)}"
    pairs = f"{row.n_pairs}" + (
        f" ({row.n_unpaired + row.n_missing} lost)" if row.n_unpaired + row.n_missing else ""
    )
    return (
        cell(row.mean_a, shown(row.mean_a)),
        cell(row.mean_b, shown(row.mean_b)),
        cell(row.diff, shown(row.diff, signed=True)),
        cell(row.ci_low, interval),
        cell(row.effect, number(row.effect or 0, 2)),
        cell(row.p, p_value(row.p)),
        cell(row.p_adj, p_value(row.p_adj)),
        cell(bh, p_value(bh)),
        Cell(pairs),
    )
