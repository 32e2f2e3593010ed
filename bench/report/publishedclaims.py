"""The paper's claims on its own published values, as published and corrected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.analysis import claims, published
from bench.analysis.claims import Verdict
from bench.analysis.claims.paired import Variant
from bench.analysis.comparisons import Tables
from bench.analysis.published import Package
from bench.records import Track
from bench.report.claims import as_json, section
from bench.report.document import Report, Section
from bench.report.labels import METRICS

READINGS: Mapping[Variant, str] = {
    "published": "Every value as the package has it; all pairs are by id.",
    "corrected": (
        "An output that an analyser could not read has an issue instead of none, and an empty "
        "output no similarity. Where a large share of a model's outputs cannot be parsed, they "
        "were damaged before they were scored: their scores are left out."
    ),
}
#: The share of unreadable outputs that tells damage: of the package's other files of Java,
#: the worst has one in eleven, of the three damaged ones the best two in seven.
DAMAGED = 0.2
STUDY = "published values"


def decide(package: Package) -> dict[Variant, tuple[Verdict, ...]]:
    """The verdicts on the published per-instance values in each reading.

    Raises:
        BenchError: the file of claims is not valid.
    """
    wanted = claims.load(metrics=METRICS)
    found: dict[Variant, tuple[Verdict, ...]] = {}
    for variant in READINGS:
        cells, tables = published.tables(package, variant)
        unsound = damaged(tables) if variant == "corrected" else {}
        found[variant] = claims.decide(
            wanted, cells, tables, None, variant=variant, unsound=unsound
        )
    return found


def damaged(tables: Tables) -> dict[tuple[str, Track], str]:
    """The cells and tracks of which PMD could not read more outputs than models spoil.

    ``tables``: corrected ones, which have no value for an unreadable output.
    """
    found = {}
    for cell, by_track in tables.items():
        for track, table in by_track.items():
            columns = [name for name in table if str(name).startswith("pmd_")]
            unread = int(table[columns].isna().all(axis=1).sum()) if columns else 0
            if unread > DAMAGED * len(table):
                of = f"{unread:,} of {len(table):,} outputs of {cell}"
                found[cell, track] = f"{of} cannot be parsed: they were damaged"
    return found


def sections(verdicts: Mapping[Variant, tuple[Verdict, ...]]) -> list[Section]:
    """A section of a report per reading."""
    return [
        section(found, (READINGS[variant],), f"Claims on the values, {_title(variant)}")
        for variant, found in verdicts.items()
    ]


def _title(variant: Variant) -> str:
    return "as published" if variant == "published" else "corrected"


def records(verdicts: Mapping[Variant, tuple[Verdict, ...]]) -> list[dict[str, Any]]:
    """The claims of both readings as JSON data, each with its ``variant``."""
    return [row for variant, found in verdicts.items() for row in as_json(found, variant)]


def report(mirror: Path) -> tuple[Report, list[dict[str, Any]]]:
    """The report and the JSON data of ``python -m bench claims``.

    Raises:
        DataError: the package is absent from the mirror or cannot be read.
    """
    package = published.package(mirror)
    verdicts = decide(package)
    lead = [
        f"The paper's claims on its published values: {len(package.instances)} files of "
        f"{package.folder}, sizes {', '.join(package.sizes)}",
        *(f"Left out or doubtful: {problem.problem}" for problem in package.problems),
    ]
    title = "The paper's claims on its published values"
    return Report(title, tuple(lead), tuple(sections(verdicts))), records(verdicts)
