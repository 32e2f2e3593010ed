"""The audits of a run, and their section in every report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.analysis.audits import Finding, audit, merged
from bench.analysis.comparisons import Tables
from bench.analysis.published.audits import leaked, overlapping
from bench.analysis.texts import Written
from bench.data import corpora, problems, storedlines
from bench.errors import DataError
from bench.grid.plan import GENERATE
from bench.grid.study import Study
from bench.records import TRANSLATION, Sample, Track
from bench.report import document
from bench.report.document import Cell, Column, Group, Section, Table
from bench.report.folder import GENERATIONS, Run, owner
from bench.report.labels import number

TITLE = "Audits"
#: Corpora of gigabytes: of these only some tasks are compared with the test problems.
_LARGE = {"codexglue-full": (TRANSLATION,)}


@dataclasses.dataclass(frozen=True, slots=True)
class Audited:
    """What the audits of a run found, and what they could not look at."""

    findings: tuple[Finding, ...]
    not_audited: tuple[str, ...]


def of_run(run: Run, tables: Mapping[str, Tables], mirror: Path | None = None) -> Audited:
    """Every audit of a run: its tables, its outputs where they still lie there, its data.

    ``tables``: suite -> cell id -> track -> table, see ``folder.tables``.
    """
    found: list[Finding] = []
    missing: list[str] = []
    every: list[Sample] = []
    for suite in run.study.suites:
        try:
            asked = problems.suite_problems(suite, run.study.tasks, mirror)
        except DataError as error:
            asked = []
            missing.append(f"inputs of the suite {suite.label}: {error.problem}")
        every += asked
        written = _outputs(run, suite.label, {problem.id: problem for problem in asked})
        mine = audit(run.cells, tables.get(suite.label, {}), written)
        mine += leaked(asked)
        several = len(run.study.suites) > 1
        found += [
            dataclasses.replace(one, where=f"{suite.label}: {one.where}") if several else one
            for one in mine
        ]
    overlaps, told = _overlaps(run.study, every, mirror)
    return Audited(tuple(merged([*found, *overlaps])), (*missing, *told))


def _outputs(
    run: Run, suite: str, asked: Mapping[str, Sample]
) -> dict[str, dict[Track, list[Written]]] | None:
    """The outputs of a suite by cell and track; None where no generations are left."""
    found: dict[str, dict[Track, list[Written]]] = {}
    for cell in run.cells:
        for model in cell.models:
            scored = run.score_folders.get(owner(cell, model.id))
            path = None if scored is None else scored.parent / GENERATE / GENERATIONS
            if path is None or not path.is_file():
                continue
            for line in storedlines.read(path).lines:
                problem = asked.get(line.id)
                if line.suite == suite and problem is not None and line.text is not None:
                    written = Written(line.id, line.text, problem.reference)
                    found.setdefault(cell.id, {}).setdefault(problem.track, []).append(written)
    return found or None


def _overlaps(
    study: Study, asked: Sequence[Sample], mirror: Path | None
) -> tuple[list[Finding], list[str]]:
    """Test problems that the study trains on."""
    tasks = [task for task in study.tasks if task in _LARGE.get(study.data.corpus, study.tasks)]
    told = [
        f"train/test overlap of {task}: the corpus {study.data.corpus} is too large for a report"
        for task in study.tasks
        if task not in tasks
    ]
    try:
        trained = corpora.training_samples(study.data, tasks, mirror)["train"]
    except DataError as error:
        return [], [*told, f"train/test overlap: {error.problem}"]
    found = []
    for track in study.tracks(tasks):
        tested = [problem for problem in asked if problem.track == track]
        found += overlapping(track, (one for one in trained if one.track == track), tested)
    return found, told


def section(audited: Audited, *, detail: bool = False) -> Section:
    """The section of a report; with ``detail`` the findings stand on the pages only."""
    findings = audited.findings
    text = [f"Not audited: {told}." for told in audited.not_audited]
    if not findings:
        return Section(TITLE, ("No audit found anything.", *text))
    counts = Counter(finding.audit for finding in findings)
    told = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    groups: dict[str, list[document.Row]] = {}
    for finding in findings:
        share = f"{number(finding.count, 0)} of {number(finding.of, 0)}"
        row = document.Row(finding.where, (Cell(share), Cell(finding.detail)))
        groups.setdefault(finding.audit, []).append(row)
    table = Table(
        "Findings",
        (Column("count", numeric=False), Column("detail", numeric=False)),
        tuple(Group(name, tuple(rows)) for name, rows in groups.items()),
        detail=detail,
    )
    return Section(TITLE, (f"Findings: {told}.", *text), (table,))
