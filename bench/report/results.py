"""``results.json``: a whole run as data, with every cell of the grid, run or not.

What a report says comes from here and from the comparisons, so a run can be reported
again, or elsewhere, without its models. What was not measured is null with a reason,
never 0.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from bench.grid.plan import BASE, GENERATE, TRAIN, beside, of_base, of_model
from bench.grid.store import write_atomic, writing
from bench.records import SCHEMA, Cell, Outcome, Phase, StageRecord
from bench.report import mixture
from bench.report.folder import Run, owner

#: The run's note that says how its stages' provenances differ.
MIXED = "provenance"
#: The note on what the size of a batch changes in greedy answers.
BATCH_EFFECT = "batch_effect"
#: And the one that says which of them are not what the present code would make.
ADOPTED = "adopted"
#: Contention of a phase above which its wall time says little, if it used this much CPU.
_CONTENTION = 2.0
_COMPUTES_S = 1.0


class TokenCounts(TypedDict):
    """Slots computed, those without padding, those with a loss or emitted."""

    processed: int
    real: int
    trained: int


class CostEntry(TypedDict):
    """What a training's record says of its cost, see ``bench.train.efficiency.cost``.

    ``energy_j`` and ``utilisation`` are those of the whole training, evaluation and saving
    among them; ``energy_way`` says where the joules come from, or why there are none.
    """

    setting: dict[str, Any]
    weight_bytes: int
    steady: dict[str, Any] | None
    steady_reason: str | None
    mfu: float | None
    mfu_reason: str | None
    train_s: dict[str, float]
    energy_j: float | None
    energy_way: str
    utilisation: float | None


class StageEntry(TypedDict):
    """One stage of a model; ``reason`` is set unless the outcome is ok.

    ``cost``: of a training; None where its record has none.
    """

    name: str
    outcome: str
    reason: str | None
    wall_s: float | None
    cpu_s: float | None
    peak_rss_bytes: int | None
    peak_device_bytes: int | None
    tokens: TokenCounts | None
    cost: CostEntry | None


class ModelEntry(TypedDict):
    """One trained model of a cell. ``artifact_bytes``: its adapter or weights on disk.

    ``as_published``: the training of a few steps that measures what the published setting
    costs; None where the study has no such arm.
    """

    id: str
    tasks: list[str]
    stages: list[StageEntry]
    as_published: StageEntry | None
    artifact_bytes: int | None


class CellEntry(TypedDict):
    """A cell. ``notes``: why a metric is null, or how many of its instances have no value."""

    id: str
    method: str
    size: str
    outcome: str
    models: list[ModelEntry]
    metrics: dict[str, float | None]
    notes: dict[str, str]


class BaseEntry(TypedDict):
    """A size's base model before any fine-tuning (zero-shot)."""

    size: str
    outcome: str
    stages: list[StageEntry]
    artifact_bytes: int | None
    metrics: dict[str, float | None]
    notes: dict[str, str]


class Results(TypedDict):
    """The content of results.json; ``notes`` explains what is null in the whole run.

    ``devices``: what trained and generated (``cpu``, or a GPU's name), with how many of it.
    """

    schema: int
    study: str
    provenance: dict[str, Any]
    devices: dict[str, int]
    cells: list[CellEntry]
    bases: list[BaseEntry]
    notes: dict[str, str]


def results(run: Run) -> Results:
    """The content of results.json: every cell of the grid, run or not, and the bases."""
    keys = list(dict.fromkeys(key for scored in run.metrics.values() for key in scored))
    return {
        "schema": SCHEMA,
        "study": run.study.name,
        "provenance": dict(run.provenance),
        "devices": _devices(run),
        "cells": [_cell(run, cell, keys) for cell in run.cells],
        "bases": [_base(run, base.name, keys) for base in run.study.sizes],
        "notes": _run_notes(run),
    }


def _devices(run: Run) -> dict[str, int]:
    """The devices that the stages themselves say they computed on, each slot's once."""
    seen = set()
    for (_, stage), record in run.records.items():
        name, slot = record.details.get("device"), record.details.get("slot") or {}
        if stage in (TRAIN, GENERATE) and isinstance(name, str):
            seen.add((name, str(slot.get("gpus") or "")))
    return dict(sorted(Counter(name for name, _ in seen).items()))


def _cell(run: Run, cell: Cell, keys: Sequence[str]) -> CellEntry:
    models: list[ModelEntry] = []
    metrics: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for model in cell.models:
        name = owner(cell, model.id)
        stages = _stages(run, name, of_model(run.study, model.tasks))
        models.append(
            {
                "id": model.id,
                "tasks": list(model.tasks),
                "stages": stages,
                "as_published": next(iter(_stages(run, name, beside(run.study, cell))), None),
                "artifact_bytes": _artifact_bytes(run, name, TRAIN),
            }
        )
        found, missing = _metrics(run, name, keys, model.tasks, stages)
        metrics |= found
        notes |= missing
    return {
        "id": cell.id,
        "method": cell.method,
        "size": cell.size,
        "outcome": _worst([stage for model in models for stage in model["stages"]]),
        "models": models,
        "metrics": {key: metrics[key] for key in keys if key in metrics},
        "notes": notes,
    }


def _base(run: Run, size: str, keys: Sequence[str]) -> BaseEntry:
    name = f"bases/{size}"
    stages = _stages(run, name, of_base(run.study))
    metrics, notes = _metrics(run, name, keys, run.study.tasks, stages)
    return {
        "size": size,
        "outcome": _worst(stages),
        "stages": stages,
        "artifact_bytes": _artifact_bytes(run, name, BASE),
        "metrics": metrics,
        "notes": notes,
    }


def _stages(run: Run, name: str, stages: Sequence[str]) -> list[StageEntry]:
    """The stages of one owner; one without a record was skipped, and the reason says why."""
    entries: list[StageEntry] = []
    for stage in stages:
        record = run.records.get((name, stage))
        if record is not None:
            entries.append(
                {
                    "name": stage,
                    "outcome": record.outcome.value,
                    "reason": record.reason,
                    "wall_s": record.wall_s,
                    "cpu_s": record.cpu_s,
                    "peak_rss_bytes": record.peak_rss_bytes,
                    "peak_device_bytes": record.peak_device_bytes,
                    "tokens": None
                    if record.tokens is None
                    else {
                        "processed": record.tokens.processed,
                        "real": record.tokens.real,
                        "trained": record.tokens.trained,
                    },
                    "cost": _cost(record),
                }
            )
            continue
        before = next((entry for entry in entries if entry["outcome"] != Outcome.OK), None)
        reason = "not run" if before is None else f"{before['name']} ended: {before['outcome']}"
        entries.append(
            {
                "name": stage,
                "outcome": Outcome.SKIPPED.value,
                "reason": reason,
                "wall_s": None,
                "cpu_s": None,
                "peak_rss_bytes": None,
                "peak_device_bytes": None,
                "tokens": None,
                "cost": None,
            }
        )
    return entries


def _cost(record: StageRecord) -> CostEntry | None:
    """What a training's record says of its cost; of other stages, and of older records, none."""
    details = record.details
    if "setting" not in details:
        return None
    phase = next((phase for phase in record.phases if phase.name == TRAIN), None)
    use = None if phase is None else phase.device_use
    return {
        "setting": dict(details["setting"]),
        "weight_bytes": details["weight_bytes"],
        "steady": details["steady"],
        "steady_reason": details["steady_reason"],
        "mfu": details["mfu"],
        "mfu_reason": details["mfu_reason"],
        "train_s": dict(details["train_s"]),
        "energy_j": None if use is None else use.energy_j,
        "energy_way": "no GPU" if use is None else use.energy_way,
        "utilisation": None if use is None else use.utilisation,
    }


def _artifact_bytes(run: Run, name: str, stage: str) -> int | None:
    record = run.records.get((name, stage))
    return None if record is None else record.artifact_bytes


def _worst(stages: Sequence[StageEntry]) -> str:
    """The outcome of stages together: the first that failed by itself, else skipped or ok."""
    bad = [stage["outcome"] for stage in stages if stage["outcome"] != Outcome.OK]
    causes = [outcome for outcome in bad if outcome != Outcome.SKIPPED]
    return (causes or bad or [Outcome.OK.value])[0]


def _metrics(
    run: Run, name: str, keys: Sequence[str], tasks: Sequence[str], stages: Sequence[StageEntry]
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Every metric known of these tasks, null with a note where this owner lacks it."""
    metrics: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    failed = next((stage for stage in stages if stage["outcome"] != Outcome.OK), None)
    for key in keys:
        if key.partition("/")[0] not in tasks:
            continue
        value = run.metrics.get(name, {}).get(key)
        told = run.notes.get(name, {}).get(key)
        metrics[key] = None if value is None or not math.isfinite(value) else float(value)
        if metrics[key] is None and told is None:
            told = "the score stage gave no value"
            if failed is not None:
                told = f"{failed['name']}: {failed['outcome']}: {failed['reason']}"
        if told is not None:
            notes[key] = told
    return metrics, notes


def _run_notes(run: Run) -> dict[str, str]:
    """Reasons for what is null in every stage, and warnings about times and provenance."""
    notes = {}
    if not any(record.peak_device_bytes is not None for record in run.records.values()):
        notes["peak_device_bytes"] = "no GPU"
    disturbed = sum(any(map(_contended, record.phases)) for record in run.records.values())
    if disturbed:
        notes["wall_s"] = (
            f"{disturbed} of {len(run.records)} stages waited for cores that other work held: "
            "compare their CPU seconds, not their wall seconds"
        )
    resumed = sum(bool(record.details.get("resumed")) for record in run.records.values())
    if resumed:
        notes["cpu_s"] = (
            f"{resumed} of {len(run.records)} stages continued interrupted work: their seconds "
            "are those of the last attempt alone"
        )
    if (effect := _batch_effect(run.records.values())) is not None:
        notes[BATCH_EFFECT] = effect
    mixed = mixture.differences(run.origins)
    if (told := mixture.line(mixed)) is not None:
        notes[MIXED] = told
    if any(one.aspect == mixture.HARDWARE for one in mixed):
        notes["hardware_s"] = mixture.TIMES
    return notes


def _batch_effect(records: Iterable[StageRecord]) -> str | None:
    """How many of the answers that were written again, one at a time, are others then."""
    found = [effect for one in records if (effect := one.details.get("batch_effect"))]
    checked = sum(one["checked"] for one in found)
    if not checked:
        return None
    differing = sum(one["differing"] for one in found)
    first = min((one["first_token"] for one in found if one["differing"]), default=None)
    where = f", at token {first + 1} the earliest" if first is not None else ""
    return (
        f"Size of batches: of {checked} answers that were written again one at a time, {differing} "
        f"{'differs' if differing == 1 else 'differ'} from the batch's{where}."
    )


def _contended(phase: Phase) -> bool:
    """Whether a phase that computes got less than half of the cores that it could use."""
    return (
        phase.cpu_s >= _COMPUTES_S
        and phase.contention is not None
        and phase.contention > _CONTENTION
    )


def write(path: Path, content: Results) -> None:
    """Write results.json, whole or not at all.

    Raises:
        MachineError: the folder cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with writing(path):
        write_atomic(path, f"{text}\n".encode())
