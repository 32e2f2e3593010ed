"""A run folder read: records, scores and per-instance tables, as they lie there now."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from bench.data import readers
from bench.errors import DataError
from bench.grid import changes, intact
from bench.grid.plan import GENERATE, SCORE, beside, of_base, of_model
from bench.grid.store import PROVENANCES, RUN, Store
from bench.grid.study import Study, expand
from bench.records import TRACKS, Cell, Outcome, StageRecord, Track
from bench.report.mixture import Origin

#: What a report reads of a stage that answered, and of one that scored.
GENERATIONS, SCORES = "generations.jsonl", "scores.json"
_METRICS = pydantic.TypeAdapter(dict[str, float | None])
_NOTES = pydantic.TypeAdapter(dict[str, str])
_AGAIN = "delete that stage's folder and give the same command again"
_COPY = "copy it from where the run was made, or give the run's command again"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What a run folder holds now. Records and scores are keyed by owner, see ``Store``.

    ``origins``: where each record comes from.
    """

    study: Study
    cells: tuple[Cell, ...]
    provenance: Mapping[str, Any]
    records: Mapping[tuple[str, str], StageRecord]
    metrics: Mapping[str, Mapping[str, float | None]]
    notes: Mapping[str, Mapping[str, str]]
    score_folders: Mapping[str, Path]
    origins: Sequence[Origin] = ()


def read(folder: Path, study: Study, keys: Mapping[str, str] | None = None) -> Run:
    """Read the records and scores of a run folder.

    ``keys`` maps a stage's id (``cells/mt-qlora-2m/multi-task/train``) to its present key;
    a record of another key counts as not run. Without keys every record counts.

    Raises:
        DataError: a scores or provenance file that cannot be read.
    """
    store, cells = Store(folder), expand(study)
    owners = {f"bases/{base.name}": of_base(study) for base in study.sizes}
    for cell in cells:
        owners |= {
            owner(cell, model.id): (*of_model(study, model.tasks), *beside(study, cell))
            for model in cell.models
        }
    records, metrics, notes, score_folders = {}, {}, {}, {}
    for name, stages in owners.items():
        for stage in stages:
            key = None if keys is None else keys.get(f"{name}/{stage}", "")
            if store.path(name, stage).exists():
                intact.read(store.path(name, stage))
            record = store.record(name, stage, key)
            if record is not None:
                records[name, stage] = record
        scored = records.get((name, SCORE))
        if scored is not None and scored.outcome is Outcome.OK:
            score_folders[name] = store.path(name, SCORE)
            _check(store, name, records)
            path = score_folders[name] / SCORES
            content = readers.read_object(path, hint=_AGAIN)
            metrics[name], notes[name] = readers.parsed(path, _scores, content, hint=_AGAIN)
    kept = _provenances(folder)
    told = os.path.lexists(folder / RUN)
    provenance = readers.read_object(folder / RUN, hint=_COPY) if told else {}
    if not intact.unsealed(provenance):
        raise DataError(f"{folder / RUN}: was altered", hint=_COPY)
    if kept and not any(intact.same_invocation(provenance, one) for one in kept.values()):
        raise DataError(f"{folder / RUN}: is none of those in {PROVENANCES}/", hint=_COPY)
    origins = tuple(_origins(store, records, kept))
    return Run(study, cells, provenance, records, metrics, notes, score_folders, origins)


def _scores(content: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, str]]:
    metrics = _METRICS.validate_python(content["metrics"], strict=True)
    return metrics, _NOTES.validate_python(content["notes"], strict=True)


def _check(store: Store, name: str, records: Mapping[tuple[str, str], StageRecord]) -> None:
    """Raise for scores, tables or generations of an owner that were altered since."""
    folder, record = store.path(name, SCORE), records[name, SCORE]
    tables = {one for one in record.files if one.endswith(".csv")}
    tables |= {path.name for path in folder.glob("*.csv") if not intact.is_litter(path.name)}
    intact.require(folder, record, [SCORES, *sorted(tables)])
    mine = {stage: one for (other, stage), one in records.items() if other == name}
    generated = store.path(name, GENERATE)
    if GENERATE in mine and os.path.lexists(generated / GENERATIONS):  # they may be left out
        intact.require(generated, mine[GENERATE], [GENERATIONS])
    done = {stage: one for stage, one in mine.items() if one.outcome is Outcome.OK}
    for stage, one in done.items():
        if (anew := intact.made_anew(one, done)) is not None:
            raise DataError(
                f"{store.path(name, stage)}: {anew} was made anew since, and differs",
                hint=intact.AGAIN.format(folder=store.path(name, stage)),
            )


def _provenances(folder: Path) -> dict[str, dict[str, Any]]:
    """What each invocation was made of, by its name, which is its digest."""
    kept = {}
    for path in sorted((folder / PROVENANCES).glob("*.json")):
        if not intact.is_litter(path.name):
            kept[path.stem] = readers.read_object(path, hint=_COPY)
            if intact.name_of(kept[path.stem]) != path.stem:
                raise DataError(f"{path}: its content is not what it is named after", hint=_COPY)
    return kept


def _origins(
    store: Store,
    records: Mapping[tuple[str, str], StageRecord],
    kept: Mapping[str, Mapping[str, Any]],
) -> Iterator[Origin]:
    """Where each stage comes from, as far as it was kept."""
    for (name, stage), record in records.items():
        made_of = changes.read(store.made_of(name, stage)) or {}
        yield Origin(record, made_of, kept.get(record.provenance or "", {}))


def owner(cell: Cell, model: str) -> str:
    """The folder of a cell's model inside the run folder."""
    return f"cells/{cell.id}/{model}"


def tables(run: Run) -> dict[str, dict[str, dict[Track, pd.DataFrame]]]:
    """The per-instance tables of the cells: suite -> cell id -> track -> table.

    Raises:
        DataError: a table that cannot be read.
    """
    found: dict[str, dict[str, dict[Track, pd.DataFrame]]] = {}
    owners = ((cell.id, owner(cell, model.id)) for cell in run.cells for model in cell.models)
    scored = [(cell, run.score_folders[name]) for cell, name in owners if name in run.score_folders]
    for suite, (cell, folder), track in itertools.product(run.study.suites, scored, TRACKS):
        path = folder / f"{suite.label}.{track.task}-{track.language}.csv"
        if path.is_file():
            found.setdefault(suite.label, {}).setdefault(cell, {})[track] = read_table(path)
    return found


def read_table(path: Path) -> pd.DataFrame:
    """A per-instance table of a score stage.

    Raises:
        DataError: it cannot be read, or is no table.
    """
    content = io.BytesIO(readers.read_bytes(path, hint=_AGAIN))
    try:
        return pd.read_csv(
            content, dtype={"id": "str", "part": "str"}, keep_default_na=False, na_values=[""]
        )
    except ValueError as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path}: not a table ({told})", hint=_AGAIN) from None
