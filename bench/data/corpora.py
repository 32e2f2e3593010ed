"""Corpora and suites by name: what a study trains on, what it is evaluated on, their digests."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data import codexglue, embedded, prompts
from bench.data.sources import locate, manifest
from bench.data.suites import SUITES
from bench.errors import DataError, unknown
from bench.grid.study import Study, Suite, TrainingData
from bench.records import TRACKS, Sample, Track

EMBEDDED = "embedded"
CORPORA = (EMBEDDED, "codexglue")
SPLITS: tuple[embedded.Split, embedded.Split] = ("train", "valid")
#: Under a cap on the training samples of a track, its validation samples are a tenth of it.
VALID_SHARE = 10


def training_samples(
    data: TrainingData, tasks: Sequence[str], mirror: Path | None
) -> dict[str, list[Sample]]:
    """The ``train`` and ``valid`` samples of some tasks, track after track.

    A cap keeps evenly spaced samples of each track. The order is the files'; who trains
    shuffles (``bench.data.rows``).

    Raises:
        BenchError: no corpus of that name.
        DataError: a file that is missing, changed or broken.
    """
    _known_corpus(data.corpus)
    cap = data.max_samples_per_track
    caps = {"train": cap, "valid": math.ceil(cap / VALID_SHARE) if cap else None}
    functions = embedded.load() if data.corpus == EMBEDDED else ()
    find = functools.partial(_find, mirror)
    samples: dict[str, list[Sample]] = {}
    for split in SPLITS:
        samples[split] = []
        for track in _tracks(tasks):
            if data.corpus == EMBEDDED:
                found = embedded.samples(functions, split, track)
            else:
                found, _ = codexglue.samples(track, split, find)
            samples[split] += evenly_spaced(found, caps[split])
        if not samples[split]:
            raise DataError(
                f"corpus {data.corpus}: no {split} samples for {', '.join(tasks)}",
                hint="the training needs both splits",
            )
    return samples


def suite_problems(suite: Suite, tasks: Sequence[str], mirror: Path | None) -> list[Sample]:
    """The problems of a suite in every track that it has among the tasks (maybe none).

    Raises:
        BenchError: no suite of that name.
        DataError: a file that is missing, changed or broken, or a row count that is wrong.
    """
    _known_suite(suite.name)
    cap = suite.max_problems_per_track
    if suite.name == EMBEDDED:
        functions = embedded.load()
        tracks = [embedded.samples(functions, "test", track) for track in _tracks(tasks)]
    else:
        public, find = SUITES[suite.name], functools.partial(_find, mirror)
        tracks = [public.problems(track, find) for track in _tracks(tasks) if track in public.files]
    return [problem for problems in tracks for problem in evenly_spaced(problems, cap)]


def evenly_spaced(samples: Sequence[Sample], cap: int | None) -> list[Sample]:
    """At most ``cap`` of the samples, evenly spaced, the first one included, in order."""
    if cap is None or cap >= len(samples):
        return list(samples)
    return [samples[number * len(samples) // cap] for number in range(cap)]


def digests(study: Study, mirror: Path | None) -> dict[str, str]:
    """SHA-256 of every data file that a study reads, by path.

    With a mirror each public file is verified (once; then remembered), so that a broken one
    is told before anything is computed. Without one, the manifest's digest stands for it.

    Raises:
        BenchError: an unknown corpus, suite or wording.
        DataError: a file of the mirror that is missing or not the listed one.
    """
    stages = stage_digests(study, study.tasks, mirror)
    return {path: sha256 for files in stages.values() for path, sha256 in files.items()}


def stage_digests(
    study: Study, tasks: Sequence[str], mirror: Path | None
) -> dict[str, dict[str, str]]:
    """``digests`` of what each stage of a model reads: another suite retrains nothing."""
    variant = prompts.Prompts.load(study.prompts)
    wording = {f"datasets/prompts/{variant.variant}.toml": variant.digest}
    _known_corpus(study.data.corpus)
    training: dict[str, str] = {}
    evaluation: dict[str, str] = {}
    for track in _tracks(tasks):
        if study.data.corpus == EMBEDDED:
            training |= _embedded_digests()
        else:
            for split in SPLITS:
                training |= _public_digests(codexglue.files(track, split), mirror)
        for suite in study.suites:
            _known_suite(suite.name)
            if suite.name == EMBEDDED:
                evaluation |= _embedded_digests()
            else:
                evaluation |= _public_digests(SUITES[suite.name].files.get(track, ()), mirror)
    return {
        "base": {},
        "train": training | wording,
        "generate": evaluation | wording,
        "score": evaluation,
    }


def _embedded_digests() -> dict[str, str]:
    return {
        f"datasets/embedded/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in embedded.files()
    }


def _public_digests(paths: Sequence[str], mirror: Path | None) -> Mapping[str, str]:
    for path in paths if mirror is not None else ():
        locate(path, mirror)
    return {path: manifest()[path].sha256 for path in paths}


def _find(mirror: Path | None, path: str) -> Path:
    return locate(path, mirror)


def _tracks(tasks: Sequence[str]) -> list[Track]:
    return [track for track in TRACKS if track.task in tasks]


def _known_corpus(name: str) -> None:
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)


def _known_suite(name: str) -> None:
    if name != EMBEDDED and name not in SUITES:
        raise unknown("suite", name, (EMBEDDED, *SUITES))
