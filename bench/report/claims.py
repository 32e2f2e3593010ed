"""The paper's claims in a run's report and in claims.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis import claims
from bench.analysis.claims import Cost, Ruling, Verdict
from bench.analysis.claims.evidence import READINGS, Evidence
from bench.analysis.claims.paired import Variant
from bench.analysis.comparisons import Tables
from bench.grid.store import write_atomic, writing
from bench.grid.study import HubBase, Study
from bench.records import SCHEMA, Outcome, Track
from bench.report import costs, rates, scoreboard
from bench.report.document import Cell, Column, Group, Row, Section, Table
from bench.report.folder import Run
from bench.report.labels import LABELS, LANGUAGES, METRICS, Key, Metric, mebibytes, number, seconds
from bench.report.results import Results, StageEntry

TITLE = "Claims of the paper"
RULES = (
    "What decides each claim: bench/studies/claims.toml. Problems are paired by id, intervals "
    "are 95 % bootstrap intervals of the mean difference. A claim as a whole is supported if "
    "all of its parts are, and contradicted if a part is that survives Holm's adjustment."
)
NOT_QUALITY = (
    "Tiny bases: this proves the pipeline, not quality. What is decided below is how this run "
    "came out; it says nothing of the models that the paper speaks of."
)
SUITES = "Each track is decided by its first suite, the principal one of the scores."
NOT_SCORED = (
    "What is not run lacks a value; for one of a tool that was not asked, name the tool (pmd, "
    "roslyn) in the study's [scoring] metrics."
)
#: What the rows call a quantity that is no metric of its own.
_QUANTITIES = {
    "balance": Metric("score without an issue"),
    "issues": Metric("outputs with an issue", -1),
}
_NO_ARM = {"": "add --with published-cost"}
_NOT_TUNED = {"": 'the study says plan = "published"'}
_COSTS = {
    "wall_s_per_mtoken": ("GPU seconds a million tokens", seconds),
    "cpu_s_per_mtoken": ("CPU seconds a million tokens", seconds),
    "energy_j_per_mtoken": ("joules a million tokens", seconds),
    "peak_device_bytes": ("peak device memory, MiB", mebibytes),
    "peak_rss_bytes": ("peak process memory, MiB", mebibytes),
    "artifact_bytes": ("weights kept, MiB", mebibytes),
}


def of_run(
    run: Run, results: Results, tables: Mapping[str, Mapping[str, Mapping[Track, Any]]]
) -> tuple[claims.Verdict, ...]:
    """The verdicts on a run: each track by its principal suite, see ``Study.suites``.

    ``tables``: suite -> cell id -> track -> table.

    Raises:
        BenchError: the file of claims is not valid.
        DataError: a table without ids.
    """
    chosen = principal(tables, [suite.label for suite in run.study.suites])
    return claims.decide(
        claims.load(metrics=METRICS), run.cells, chosen, costs_of(results), seed=run.study.seed
    )


def principal(
    tables: Mapping[str, Mapping[str, Mapping[Track, Any]]], suites: Sequence[str]
) -> Tables:
    """The tables of each track's first suite: cell id -> track -> table."""
    found: dict[str, dict[Track, Any]] = {}
    first: dict[Track, str] = {}
    for suite in suites:
        for cell, by_track in tables.get(suite, {}).items():
            for track, table in by_track.items():
                if first.setdefault(track, suite) == suite:
                    found.setdefault(cell, {})[track] = table
    return found


def costs_of(results: Results) -> dict[str, dict[str, Cost]]:
    """What training each cell cost, by the setting under which it was measured.

    The study's own training is one of the two readings, its measuring arm the published one; a
    reading that was not measured says why.
    """
    found: dict[str, dict[str, Cost]] = {}
    for cell in results["cells"]:
        own = [model["stages"][0] for model in cell["models"]]
        artifact = costs.total([model["artifact_bytes"] for model in cell["models"]])
        plan = next((stage["cost"]["setting"]["plan"] for stage in own if stage["cost"]), "tuned")
        arm = [model["as_published"] for model in cell["models"]]
        measured = [stage for stage in arm if stage is not None]
        readings = {plan: _cost(own, artifact)}  # first: its artifact counts
        if plan != "published":
            readings["published"] = _cost(measured, None) if measured else Cost(lacks=_NO_ARM)
        if plan != "tuned":
            readings["tuned"] = Cost(lacks=_NOT_TUNED)
        found[cell["id"]] = readings
    return found


def _cost(stages: Sequence[StageEntry], artifact_bytes: float | None) -> Cost:
    """The cost of some trainings together; of one that did not end well nothing is known."""
    if any(stage["outcome"] != Outcome.OK for stage in stages):
        return Cost(lacks={"": str(rates.of(stages))})
    found = rates.of(stages)
    peaks = Cost(
        peak_rss_bytes=costs.peak([stage["peak_rss_bytes"] for stage in stages]),
        peak_device_bytes=costs.peak([stage["peak_device_bytes"] for stage in stages]),
        artifact_bytes=artifact_bytes,
    )
    if isinstance(found, str):
        return dataclasses.replace(peaks, lacks={"time": found, "energy": found})
    return dataclasses.replace(
        peaks,
        wall_s_per_mtoken=found.seconds if found.gpu else None,
        cpu_s_per_mtoken=None if found.gpu else found.seconds,
        energy_j_per_mtoken=found.joules,
        setting=found.setting + (", launch-bound" if found.launch_bound else ""),
        lacks=found.lacks,
    )


def as_json(verdicts: Iterable[Verdict], variant: Variant = "corrected") -> list[dict[str, Any]]:
    """The claims of claims.json: whole claims and their parts, each with its evidence."""
    return [
        {
            "id": verdict.id,
            "claim": verdict.claim,
            "text": verdict.text,
            "reading": verdict.reading,
            "task": verdict.task,
            "size": verdict.size,
            "variant": variant,
            "verdict": verdict.verdict.value,
            "reason": verdict.reason,
            "evidence": [_evidence(row) for row in verdict.evidence],
        }
        for verdict in verdicts
    ]


def _evidence(row: Evidence) -> dict[str, Any]:
    return {
        "task": row.task,
        "language": row.language,
        "size": row.size,
        "metric": row.metric,
        "cells": list(row.cells),
        "values": dict(row.values),
        "difference": row.difference,
        "ci_low": row.low,
        "ci_high": row.high,
        "limit": row.limit,
        "n_pairs": row.n,
        "n_lost": row.lost,
        "decides": row.decides,
        "verdict": row.finding.ruling.value if row.decides else None,
        "reason": row.finding.reason,
        "reading": row.reading,
        "p_contradicted": row.finding.p,
    }


def write(path: Path, study: str, verdicts: Iterable[dict[str, Any]]) -> None:
    """Write claims.json, whole or not at all.

    Raises:
        MachineError: the folder cannot be written.
    """
    content = {"schema": SCHEMA, "study": study, "claims": list(verdicts)}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, f"{text}\n".encode())


def of_study(verdicts: Sequence[Verdict], study: Study) -> Section:
    """The section of a run's report."""
    real = all(isinstance(base, HubBase) for base in study.sizes)
    several = len(study.suites) > 1
    return section(verdicts, (*(() if real else (NOT_QUALITY,)), *((SUITES,) if several else ())))


def section(verdicts: Sequence[Verdict], text: Sequence[str] = (), title: str = TITLE) -> Section:
    """What becomes of each claim, in one table, in words, and with its evidence in detail."""
    whole = [verdict for verdict in verdicts if verdict.whole]
    told = [_line(verdict) for verdict in whole]
    if any(verdict.verdict is Ruling.NOT_RUN for verdict in verdicts):
        told.append(NOT_SCORED)
    tables = [_table(whole, verdicts), *(_detail(verdict, verdicts) for verdict in whole)]
    return Section(title, (*text, RULES, *told), tuple(tables))


def _line(verdict: Verdict) -> str:
    """A claim's verdict in words."""
    chance = f" ({claims.CHANCE})" if claims.CHANCE in verdict.reason else ""
    return f"{verdict.verdict.capitalize()}: {verdict.text}{chance}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(whole: Sequence[Verdict], verdicts: Sequence[Verdict]) -> Table:
    """A row per claim and task; the parts of a size in its column."""
    sizes = list(dict.fromkeys(v.size for v in verdicts if v.size is not None))
    notes = scoreboard.Notes()
    groups = []
    for claim in whole:
        parts = {(v.task, v.size): v for v in verdicts if v.claim == claim.claim and not v.whole}
        parts[None, None] = claim
        tasks = dict.fromkeys((None, *(task for task, _ in parts)))
        rows = tuple(
            Row(
                task or "as a whole",
                tuple(_cell(parts.get((task, size)), notes) for size in (None, *sizes)),
            )
            for task in tasks
        )
        groups.append(Group(claim.label, rows))
    columns = tuple(Column(label) for label in ("all sizes", *sizes))
    return Table("Verdicts", columns, tuple(groups), "", notes.lines)


def _cell(verdict: Verdict | None, notes: scoreboard.Notes) -> Cell:
    if verdict is None:
        return Cell("")
    # A whole claim's note would repeat those of its parts.
    lacking = [row for row in verdict.evidence if row.finding.ruling is Ruling.NOT_RUN]
    lacking = [row for row in lacking if row.decides]
    reasons = dict.fromkeys(row.finding.reason for row in lacking) if not verdict.whole else ()
    note = notes.number(_sentence("; ".join(reasons))) if reasons else None
    return Cell(verdict.verdict.value, best=verdict.whole, note=note)


def _detail(claim: Verdict, verdicts: Sequence[Verdict]) -> Table:
    """Every row that a claim rests on, by part."""
    parts = [v for v in verdicts if v.claim == claim.claim and not v.whole]
    names = list(
        dict.fromkeys(_name(n, row) for p in parts for row in p.evidence for n in row.values)
    )
    groups = tuple(
        Group(
            " at ".join(filter(None, (part.task, part.size))),
            tuple(Row(_place(row), tuple(_row_cells(row, names))) for row in part.evidence),
        )
        for part in parts
    )
    columns = (
        *(Column(name) for name in names),
        *map(Column, ("difference", "95 % interval", "limit", "pairs", "verdict")),
        Column("why", numeric=False),
    )
    return Table(claim.text, columns, groups, f"Decided by: {claim.reading}.", detail=True)


def _name(name: str, row: Evidence) -> str:
    """The column of a value: its method where cells of one size are compared, else its size."""
    if row.size is not None and name.endswith(f"-{row.size}"):
        return LABELS.get(name.removesuffix(f"-{row.size}"), name)
    return name


def _place(row: Evidence) -> str:
    if row.metric in _COSTS:
        reading = "" if row.reading is None else f", {READINGS[row.reading]}"
        return f"{_COSTS[row.metric][0]}{reading}"
    label = _QUANTITIES[row.metric].label if row.metric in _QUANTITIES else _key(row).label
    return f"{LANGUAGES.get(str(row.language), row.language)}: {label}"


def _key(row: Evidence) -> Key:
    return Key.parse(f"{row.task}/{row.language}/{row.metric}")


def _row_cells(row: Evidence, names: Sequence[str]) -> Iterator[Cell]:
    values = {_name(name, row): value for name, value in row.values.items()}

    def show(value: float, *, signed: bool = False) -> str:
        if row.metric in _COSTS:
            return _COSTS[row.metric][1](value)
        metric = _QUANTITIES.get(row.metric) or _key(row).metric
        return metric.show(value, signed=signed)

    for name in names:
        yield Cell(show(values[name]) if name in values else "")
    costly = row.metric in _COSTS
    if row.difference is None:
        yield Cell("")
    elif costly:
        yield Cell(f"{number(100 * row.difference, 1, signed=True)} %")
    else:
        yield Cell(show(row.difference, signed=True))
    between = row.low is not None and row.high is not None
    yield Cell(
        f"{show(row.low or 0, signed=True)} … {show(row.high or 0, signed=True)}" if between else ""
    )
    limit = row.limit or 0.0
    yield Cell(f"{number(100 * limit, 0)} %" if costly else show(limit))
    yield Cell(f"{row.n}" + (f" ({row.lost} lost)" if row.lost else "") if row.n else "")
    absent = row.finding.ruling is Ruling.NOT_RUN
    yield Cell(row.finding.ruling.value if row.decides or absent else "shown only")
    yield Cell(row.finding.reason if row.decides or absent else "")
