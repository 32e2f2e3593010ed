"""Corpora by name: what the models of a study are trained on."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import codetotext, codexglue, embedded, hub
from bench.data.sources import locate
from bench.errors import BenchError, DataError, unknown
from bench.grid.study import TrainingData
from bench.records import GENERATION, SUMMARIZATION, TRACKS, TRANSLATION, Sample, Track

EMBEDDED = "embedded"
#: Code-to-text and code-to-code-trans in full: what the study trained on.
FULL = "codexglue-full"
CORPORA = (EMBEDDED, "codexglue", FULL)
SPLITS: tuple[embedded.Split, embedded.Split] = ("train", "valid")
#: Under a cap on the training samples of a track, its validation samples are a tenth of it.
VALID_SHARE = 10

#: The samples of a track and split, and the rows that were left out, by reason.
Read = Callable[[Track, embedded.Split], tuple[list[Sample], Counter[str]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """What became of a track's rows in a split: ``read`` = ``kept`` + all ``dropped``.

    ``used`` is less than ``kept`` under a cap. ``dropped`` counts rows by reason.
    """

    split: str
    task: str
    language: str
    read: int
    kept: int
    used: int
    dropped: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """The ``train`` and ``valid`` samples of some tasks, and the counts of every track."""

    samples: dict[str, list[Sample]]
    counts: tuple[Count, ...]

    def as_json(self) -> list[dict[str, Any]]:
        """The counts as plain data, for a stage's record."""
        return [dataclasses.asdict(count) for count in self.counts]


def training_samples(
    data: TrainingData, tasks: Sequence[str], mirror: Path | None
) -> dict[str, list[Sample]]:
    """The ``train`` and ``valid`` samples of some tasks, see ``load``."""
    return load(data, tasks, mirror).samples


def load(data: TrainingData, tasks: Sequence[str], mirror: Path | None) -> Loaded:
    """The samples of some tasks, track after track, and what was left out of them.

    A cap keeps evenly spaced samples of each track. The order is the files'; who trains
    shuffles (``bench.data.rows``).

    Raises:
        BenchError: no corpus of that name.
        DataError: a file that is missing, changed or broken, or has not the study's rows.
    """
    check_name(data.corpus)
    cap = data.max_samples_per_track
    caps = {"train": cap, "valid": math.ceil(cap / VALID_SHARE) if cap else None}
    read = _reader(data, mirror)
    samples: dict[str, list[Sample]] = {}
    counts = []
    for split in SPLITS:
        samples[split] = []
        for track in tracks_of(tasks):
            kept, dropped = read(track, split)
            used = evenly_spaced(kept, caps[split])
            samples[split] += used
            whole = len(kept) + dropped.total()
            reasons = dict(sorted(dropped.items()))
            counts.append(
                Count(split, track.task, track.language, whole, len(kept), len(used), reasons)
            )
        if not samples[split]:
            raise DataError(
                f"corpus {data.corpus}: no {split} samples for {', '.join(tasks)}",
                hint="the training needs both splits",
            )
    return Loaded(samples, tuple(counts))


def _reader(data: TrainingData, mirror: Path | None) -> Read:
    """How a corpus is read. What a reader keeps in memory falls with it."""
    find = functools.partial(locate, mirror=mirror)
    if data.corpus == FULL:
        return _full(data, mirror)
    if data.corpus == EMBEDDED:
        corpus = embedded.load()
        return lambda track, split: (embedded.samples(corpus, split, track), Counter())
    return lambda track, split: codexglue.samples(track, split, find)


def _full(data: TrainingData, mirror: Path | None) -> Read:
    """Both text tasks of a language share its parsed functions: they are read once."""
    folder = functools.cache(lambda: hub.folder(codetotext.repository(), mirror))
    functions = functools.cache(
        lambda language, split: codetotext.functions(language, split, folder())
    )
    authors = authors_folder(data)

    def read(track: Track, split: embedded.Split) -> tuple[list[Sample], Counter[str]]:
        if track.task == TRANSLATION:
            return codexglue.pairs(
                track, split, functools.partial(locate, mirror=mirror)
            ), Counter()
        if track.task == GENERATION and authors is not None:
            return codetotext.authors_samples(track, split, authors)
        if track.task == SUMMARIZATION and data.variant == "published":
            kept, dropped = codetotext.joined_tokens(track.language, split, folder())
        else:
            kept, dropped = functions(track.language, split)
        return [codexglue.function_sample(track, split, one) for one in kept], dropped

    return read


def authors_folder(data: TrainingData) -> Path | None:
    """The folder with the authors' generation files, where a study names one.

    Raises:
        BenchError: the study's corpus is not the one that they belong to.
    """
    if data.generation_files is None:
        return None
    if data.corpus != FULL:
        raise BenchError(
            f"generation_files belong to the corpus {FULL}, this study's is {data.corpus}",
            hint=f'set corpus = "{FULL}", or remove generation_files',
        )
    return Path(data.generation_files).expanduser()


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
