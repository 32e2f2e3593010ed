"""How much a study trains on: samples per track, and rows and steps per model, for a plan.

Nothing is fetched and no tokenizer is loaded. What a corpus has on disk is counted; of one
that is not there the listed rows are told. Rows are estimated from the tokens of a sample in
``datasets/token_counts.toml``, and not told where nothing is known of the tokenizer.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import codetotext, codexglue, corpora, lengths, problems, readers
from bench.data.corpora import FULL, SPLITS, tracks_of
from bench.data.fetching import needs
from bench.data.prompts import wordings
from bench.data.sources import ROOT, manifest
from bench.errors import BenchError
from bench.grid.plan import Amounts
from bench.grid.study import HubBase, Study
from bench.records import GENERATION, TRANSLATION, Cell, Track

TOKENS = ROOT / "datasets" / "token_counts.toml"
_NOT_READ = "rows of the source: what is left out of them is known once they are read"
_NO_TOKENIZER = "rows are known once they are packed: they depend on the base's own tokenizer"


@dataclasses.dataclass(frozen=True, slots=True)
class TrackSize:
    """Samples of a track in both splits; None where the data are not here, with a reason.

    ``characters`` of the texts to train on: what is known before they are tokenized.
    """

    task: str
    language: str
    train: int | None
    valid: int | None
    reason: str | None = None
    characters: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ModelSize:
    """What one model trains on: samples, packed rows and optimizer steps.

    ``steps`` are those of all epochs, unless it stops early. None has a ``reason``, and so has
    an estimate.
    """

    train: int | None
    valid: int | None
    rows: int | None
    steps_per_epoch: int | None
    steps: int | None
    reason: str | None


def amounts(study: Study, cells: Sequence[Cell], mirror: Path | None, *, has_gpu: bool) -> Amounts:
    """What a plan tells of a study's data, and what is missing to run it."""
    known = tracks(study, mirror)
    models = {
        (cell.method, one.tasks): dataclasses.asdict(model(study, cell.method, one.tasks, known))
        for cell in cells
        for one in cell.models
    }
    lacking = [
        dataclasses.asdict(one)
        for one in needs.missing(study, mirror, {cell.size for cell in cells})
    ]
    if not has_gpu and any(isinstance(base, HubBase) for base in study.sizes):
        how = "run it where nvidia-smi finds one; nox -s doctor says what this machine has"
        lacking.append({"what": "a CUDA GPU", "bytes": None, "how": how})
    data = {
        "corpus": study.data.corpus,
        "tracks": [dataclasses.asdict(one) for one in known],
        "suites": suites(study, mirror),
    }
    return Amounts(data, models, lacking)


def tracks(study: Study, mirror: Path | None) -> tuple[TrackSize, ...]:
    """The samples of every track of a study."""
    if study.data.corpus == FULL and study.data.generation_files is None:
        return tuple(_listed(study, track) for track in tracks_of(study.tasks))
    try:
        corpus = corpora.load(study.data, study.tasks, mirror)
    except BenchError as error:
        return tuple(
            TrackSize(track.task, track.language, None, None, error.problem)
            for track in tracks_of(study.tasks)
        )
    used = {(one.task, one.language, one.split): one.used for one in corpus.counts}
    train, valid = SPLITS
    characters: dict[Track, int] = {}
    for one in corpus.samples[train]:
        length = len(one.reference) + sum(len(text) for text in one.inputs.values())
        characters[one.track] = characters.get(one.track, 0) + length
    return tuple(
        TrackSize(
            track.task,
            track.language,
            used[track.task, track.language, train],
            used[track.task, track.language, valid],
            characters=characters.get(track),
        )
        for track in tracks_of(study.tasks)
    )


def _listed(study: Study, track: Track) -> TrackSize:
    """A track of the full corpus as its manifests count it."""
    rows: list[int | None] = []
    for split in SPLITS:
        if track.task == TRANSLATION:
            rows.append(manifest()[codexglue.files(track, split)[0]].rows)
        else:
            listed = codetotext.repository().rows.get(track.language, {})
            rows.append(listed.get(codetotext.SPLITS[split]))
    whole = track.task == TRANSLATION or (
        track.task != GENERATION and study.data.variant == "published"
    )
    cap = study.data.max_samples_per_track
    caps = (cap, math.ceil(cap / corpora.VALID_SHARE) if cap else None)
    train, valid = (
        count if count is None or limit is None else min(count, limit)
        for count, limit in zip(rows, caps, strict=True)
    )
    return TrackSize(track.task, track.language, train, valid, None if whole else _NOT_READ)


def model(study: Study, method: str, tasks: Sequence[str], known: Sequence[TrackSize]) -> ModelSize:
    """What a model of some tasks trains on, from the sizes of the study's tracks."""
    mine = [one for one in known if one.task in tasks]
    reasons = list(dict.fromkeys(one.reason for one in mine if one.reason))
    if any(one.train is None or one.valid is None for one in mine):
        return ModelSize(None, None, None, None, None, "; ".join(reasons))
    train, valid = sum(one.train or 0 for one in mine), sum(one.valid or 0 for one in mine)
    tokens = _tokens(study, mine)
    if tokens is None:
        return ModelSize(train, valid, None, None, None, "; ".join((_NO_TOKENIZER, *reasons)))
    training = study.training.of(tasks)
    chosen = training.full if method == "mt-fft" else training.qlora
    # Published packing ends each document with one more token and drops next to nothing.
    joined = training.packing == "published"
    rows = max(1, int(tokens + train * joined) // training.row_tokens)
    steps_per_epoch = math.ceil(rows / chosen.rows_per_step)
    steps = steps_per_epoch * chosen.epochs
    told = f"estimated from the mean tokens of a sample ({TOKENS.name})"
    if chosen.max_steps is not None:
        steps = min(steps, chosen.max_steps)
    return ModelSize(train, valid, rows, steps_per_epoch, steps, "; ".join((told, *reasons)))


def _tokens(study: Study, mine: Sequence[TrackSize]) -> float | None:
    """The tokens of all training samples, None where the tokenizer is not one that was counted."""
    if study.prompts == "kit" or not all(isinstance(base, HubBase) for base in study.sizes):
        return None
    counted = _counted().get(study.data.corpus, {})
    if any(f"{one.task}/{one.language}" not in counted for one in mine):
        return None
    return sum((one.train or 0) * counted[f"{one.task}/{one.language}"] for one in mine)


@functools.cache
def _counted(path: Path = TOKENS) -> Mapping[str, Mapping[str, float]]:
    table = readers.read_toml(path)
    return {name: counts for name, counts in table.items() if isinstance(counts, dict)}


def suites(study: Study, mirror: Path | None) -> list[dict[str, Any]]:
    """The problems of every suite by track, as plain data; a reason where they are not here.

    ``lengths`` by track: tokens of prompts and references (``bench.data.lengths.Lengths``).
    """
    found: list[dict[str, Any]] = []
    count, basis = lengths.counter(study, mirror)
    for suite in study.suites:
        entry: dict[str, Any] = {"label": suite.label, "name": suite.name}
        try:
            members = problems.suite_problems(suite, study.tasks, mirror)
            wording = wordings.asked(study.asked(suite), study.tasks, mirror)
            known = lengths.of_tracks(members, suite, wording, count, basis)
        except BenchError as error:
            found.append({**entry, "problems": None, "lengths": {}, "reason": error.problem})
            continue
        counts: dict[str, int] = {}
        for problem in members:
            counts[str(problem.track)] = counts.get(str(problem.track), 0) + 1
        told = lengths.as_mapping(known)
        found.append({**entry, "problems": counts, "lengths": told, "reason": None})
    return found
