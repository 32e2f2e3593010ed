"""What became of the rows that models were trained on: read, kept, used, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.grid.plan import TRAIN
from bench.records import TRACKS, Track
from bench.report.document import Cell, Column, Group, Row, Section, Table
from bench.report.folder import Run
from bench.report.labels import LANGUAGES

TITLE = "Training data"
_COLUMNS = (Column("read"), Column("kept"), Column("used"), Column("left out", numeric=False))
_SPLITS = {"train": "Training", "valid": "Validation"}


def of_run(run: Run) -> Section | None:
    """The counts in the records of the trainings; None where none of them has any.

    A track's rows are read alike for every model, so each is shown once.
    """
    found: dict[tuple[str, Track], Mapping[str, Any]] = {}
    for (_, stage), record in run.records.items():
        if stage == TRAIN:
            for one in record.details.get("data", ()):
                found.setdefault((one["split"], Track(one["task"], one["language"])), one)
    if not found:
        return None
    groups = tuple(
        Group(title, tuple(_row(track, found[split, track]) for track in TRACKS
                           if (split, track) in found))
        for split, title in _SPLITS.items()
    )  # fmt: skip
    table = Table(
        "Rows by track",
        _COLUMNS,
        groups,
        "kept: after the filters (datasets/README.md says each); used: after the study's cap.",
    )
    return Section(TITLE, (), (table,), detail=True)


def _row(track: Track, one: Mapping[str, Any]) -> Row:
    reasons = ", ".join(f"{why} {rows:,}" for why, rows in one["dropped"].items())
    numbers = tuple(Cell(f"{one[name]:,}") for name in ("read", "kept", "used"))
    label = f"{track.task}, {LANGUAGES[track.language]}"
    return Row(label, (*numbers, Cell(reasons or "nothing")))
