"""Corpora by name: what the models of a study are trained on."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path

from bench.data import codexglue, embedded
from bench.data.sources import locate
from bench.errors import DataError, unknown
from bench.grid.study import TrainingData
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
    check_name(data.corpus)
    cap = data.max_samples_per_track
    caps = {"train": cap, "valid": math.ceil(cap / VALID_SHARE) if cap else None}
    functions = embedded.load() if data.corpus == EMBEDDED else ()
    find = functools.partial(locate, mirror=mirror)
    samples: dict[str, list[Sample]] = {}
    for split in SPLITS:
        samples[split] = []
        for track in tracks_of(tasks):
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


def evenly_spaced(samples: Sequence[Sample], cap: int | None) -> list[Sample]:
    """At most ``cap`` of the samples, evenly spaced, the first one included, in order."""
    if cap is None or cap >= len(samples):
        return list(samples)
    return [samples[number * len(samples) // cap] for number in range(cap)]


def tracks_of(tasks: Sequence[str]) -> list[Track]:
    """The tracks of some tasks, in the kit's order."""
    return [track for track in TRACKS if track.task in tasks]


def check_name(name: str) -> None:
    """Raise a BenchError unless a corpus has this name."""
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)
