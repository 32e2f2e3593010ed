"""The published statistics redone, as a report and as JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis import published
from bench.analysis.audits import Finding, merged
from bench.analysis.claims import Verdict
from bench.analysis.claims.paired import Variant
from bench.analysis.comparisons import SIGNIFICANCE
from bench.analysis.published import audits as packageaudits
from bench.analysis.published import papertables, printed, reanalysis
from bench.analysis.published.inputs import Values
from bench.analysis.published.instances import Package
from bench.analysis.published.reanalysis import NOT_COMPUTED, STEPS
from bench.analysis.published.verdicts import Reanalysis, Row
from bench.data import codexglue, sources
from bench.errors import BenchError, DataError
from bench.grid.store import write_atomic, writing
from bench.records import SCHEMA, TRACKS, TRANSLATION
from bench.report import audits, document, publishedclaims
from bench.report.audits import Audited
from bench.report.document import Cell, Column, Group, Report, Section, Table
from bench.report.labels import LANGUAGES, NULL, number
from bench.scoring import restored

TITLE = "The published statistics, recomputed and corrected"
STATUSES = ("equal", "differs", "inputs missing", "printed value missing")
LEGEND = (
    "p: adjusted within a file and size (pass@1: over all comparisons), as published, printed "
    "and corrected. Effect: Cliff's delta, for pass@1 the odds ratio. NA: not defined."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Redone:
    """All that was found: rows and flips, findings, and what could not be read."""

    package: Package
    analysis: Reanalysis
    findings: tuple[Finding, ...]
    problems: tuple[BenchError, ...]
    not_audited: tuple[str, ...]
    claims: Mapping[Variant, tuple[Verdict, ...]]

    @property
    def reproduced(self) -> bool:
        """Whether every printed row whose inputs are there is reproduced, and all was read."""
        return not self.problems and all(row.status != "differs" for row in self.analysis.rows)


def redo(mirror: Path, outputs: Path | None = None) -> Redone:
    """Redo the analysis of a mirror's or a clone's package, and audit it.

    ``outputs``: a folder of the published outputs, see ``bench.scoring.restored``.

    Raises:
        DataError: the package, or the folder of outputs, is absent or cannot be read.
    """
    package = published.package(mirror)
    results, problems = printed.results([package.root])
    written = None if outputs is None else restored.restored(outputs, mirror)
    again = None
    if written is not None:
        problems += written.problems
        again = Values(Package(package.folder, written.instances, ()))
    analysis = reanalysis.reanalyse(package, papertables.tables(package, results), again)
    inputs, unread = packageaudits.of_inputs(package)
    overlaps, not_audited = _overlaps(mirror)
    if written is None:
        not_audited.append(
            "lost prefixes and stray openings: the outputs are not at hand; --outputs DIR"
        )
    findings = [
        *packageaudits.of_statistics(analysis),
        *packageaudits.of_values(package, written.outputs if written is not None else None),
        *packageaudits.of_defects(package),
        *inputs,
        *overlaps,
    ]
    return Redone(
        package,
        analysis,
        tuple(merged(findings)),
        (*package.problems, *problems, *unread),
        tuple(not_audited),
        publishedclaims.decide(package),
    )


def _overlaps(mirror: Path) -> tuple[list[Finding], list[str]]:
    """Test problems of translation that were trained on, where the mirror has the corpus."""
    # A clone of the package holds no corpus: then the fetched one serves.
    corpus = mirror if (mirror / "codexglue").is_dir() else None
    locate = functools.partial(sources.locate, mirror=corpus)
    found: list[Finding] = []
    for track in (track for track in TRACKS if track.task == TRANSLATION):
        try:
            trained, _ = codexglue.samples(track, "train", locate)
            tested, _ = codexglue.samples(track, "test", locate)
        except DataError as error:
            return found, [f"train/test overlap of translation: {error.problem}"]
        found += packageaudits.overlapping(track, trained, tested)
    return found, []


def as_json(redone: Redone) -> dict[str, Any]:
    """``schema``, ``rows`` (see ``reanalysis.Row``) and ``audits`` (see ``audits.Finding``).

    A file that could not be read is an audit of its own.
    """
    unread = [
        {"audit": "not read", "where": one.problem, "count": 1, "of": 1, "detail": one.hint}
        for one in redone.problems
    ]
    return {
        "schema": SCHEMA,
        "rows": [dataclasses.asdict(row) for row in redone.analysis.rows],
        "audits": [*(dataclasses.asdict(finding) for finding in redone.findings), *unread],
    }


def write(path: Path, content: str) -> None:
    """Write a text whole or not at all, with its folder.

    Raises:
        MachineError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content.encode())


def json_text(redone: Redone) -> str:
    """The text of the JSON file."""
    return json.dumps(as_json(redone), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def build(redone: Redone) -> Report:
    """The report, ready for any rendering."""
    rows = redone.analysis.rows
    counts = Counter(row.status for row in rows)
    printed_rows = len(rows) - counts["printed value missing"]
    lead = [
        f"{len(rows)} rows recomputed from {len(redone.package.instances)} files of "
        f"{redone.package.folder}",
        f"{counts['equal']} of the {printed_rows - counts['inputs missing']} rows with printed "
        f"values and inputs are equal in every printed digit; {counts['differs']} differ",
    ]
    sections = [
        Section("Reproduction", (), (_statuses(rows),)),
        *_unread(redone.problems),
        _corrections(redone.analysis),
        *_withheld(redone.analysis.withheld),
        audits.section(Audited(_shown_findings(redone), redone.not_audited)),
        *publishedclaims.sections(redone.claims),
        Section("Every row", (LEGEND,), tuple(_row_tables(rows)), detail=True),
    ]
    return Report(TITLE, tuple(lead), tuple(sections))


def _shown_findings(redone: Redone) -> tuple[Finding, ...]:
    """The findings that no other section shows."""
    return tuple(one for one in redone.findings if one.audit != "verdicts turned")


def _statuses(rows: Sequence[Row]) -> Table:
    counts = Counter((row.rq, str(row.status)) for row in rows)
    questions = sorted({row.rq for row in rows})
    lines = tuple(
        document.Row(rq, tuple(Cell(str(counts[rq, status])) for status in STATUSES))
        for rq in questions
    )
    return Table("Rows by research question", tuple(map(Column, STATUSES)), (Group("", lines),))


def _unread(problems: Sequence[BenchError]) -> Iterator[Section]:
    """What could not be read, one line each with the next step."""
    if problems:
        yield Section("Not read", tuple(str(problem) for problem in problems))


def _corrections(analysis: Reanalysis) -> Section:
    """Which correction turns which verdicts."""
    turned = Counter(turn.step for flip in analysis.flips for turn in flip.turns)
    lasting = [flip for flip in analysis.flips if flip.lasting and not flip.withheld]
    steps = tuple(
        document.Row(f"{place}. {step.name}", (Cell(str(turned[step.name])),))
        for place, step in enumerate(STEPS, 1)
    )
    text = (
        f"Each correction is made on top of those before it; {len(lasting)} verdicts "
        f"(p < {SIGNIFICANCE}) are not the published ones in the end.",
    )
    tables = [
        Table("Verdicts that each correction turns", (Column("verdicts"),), (Group("", steps),))
    ]
    groups: dict[str, list[document.Row]] = {}
    for flip in analysis.flips:
        texts = (flip.before, flip.after, "; ".join(turn.why for turn in flip.turns))
        label = f"{flip.row.metric} {flip.row.size} ({flip.row.adjust})"
        row = document.Row(label, tuple(map(Cell, texts)))
        groups.setdefault(_place(flip.row), []).append(row)
    if groups:
        columns = tuple(
            Column(label, numeric=False) for label in ("published", "corrected", "turned by")
        )
        shown = tuple(Group(label, tuple(rows)) for label, rows in groups.items())
        tables.append(Table("Verdicts that flip, at one step or in the end", columns, shown))
    return Section("Corrected analysis", text, tuple(tables))


def _place(row: Row) -> str:
    return f"{row.rq} {row.task}, {LANGUAGES.get(row.language, row.language)}"


def _withheld(rows: Sequence[Row]) -> Iterator[Section]:
    """Rows whose corrected values need outputs that are not at hand, by comparison."""
    if not rows:
        return
    groups: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        why = next(part for part in row.note.split("; ") if part.startswith(NOT_COMPUTED))
        metrics = groups.setdefault(f"{_place(row)}, {row.size}, {row.comparison}", {})
        metrics.setdefault(why.removeprefix(f"{NOT_COMPUTED}: "), []).append(row.metric)
    lines = tuple(
        document.Row(label, (Cell(", ".join(dict.fromkeys(metrics))), Cell(why)))
        for label, members in groups.items()
        for why, metrics in members.items()
    )
    columns = (Column("metrics", numeric=False), Column("why", numeric=False))
    text = (
        f"{len(rows)} corrected rows are left open: their outputs are damaged and must be "
        "restored and scored again (--outputs DIR). In the adjustment of their family they "
        "count with the values at hand.",
    )
    yield Section("Not corrected", text, (Table("Rows", columns, (Group("", lines),)),))


def _row_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Every row, a table per question, track and adjustment."""
    labels = ("p", "printed", "corrected", "effect", "printed", "corrected", "status", "note")
    columns = tuple(Column(label, numeric=label not in ("status", "note")) for label in labels)
    places: dict[tuple[str, str], dict[str, list[document.Row]]] = {}
    for row in rows:
        groups = places.setdefault((_place(row), row.adjust), {})
        digits = 6 if row.metric.startswith("pass@") else 4
        missing = row.status == "printed value missing"
        values = (
            _shown(row.p_adj, digits),
            NULL if missing else _shown(row.printed_p_adj, digits),
            _shown(row.corrected_p_adj, digits),
            _shown(row.effect, 4),
            NULL if missing else _shown(row.printed_effect, 4),
            _shown(row.corrected_effect, 4),
            row.status,
            row.note,
        )
        line = document.Row(row.metric, tuple(map(Cell, values)))
        groups.setdefault(f"{row.size}, {row.comparison}", []).append(line)
    for (place, adjust), found in places.items():
        shown = tuple(Group(label, tuple(lines)) for label, lines in found.items())
        yield Table(f"{place} ({adjust})", columns, shown, detail=True)


def _shown(value: float | None, digits: int) -> str:
    return "NA" if value is None else number(value, digits)
