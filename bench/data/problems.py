"""The problems of a study's suites: what its models are evaluated on."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from bench.data import embedded
from bench.data.corpora import EMBEDDED, evenly_spaced, tracks_of
from bench.data.sources import locate
from bench.data.suites import SUITES
from bench.errors import unknown
from bench.grid.study import Suite
from bench.records import Sample, Track


def suite_problems(suite: Suite, tasks: Sequence[str], mirror: Path | None) -> list[Sample]:
    """The problems of a suite in every track that it has among the tasks (maybe none).

    Raises:
        BenchError: no suite of that name.
        DataError: a file that is missing, changed or broken, or a row count that is wrong.
    """
    check_name(suite.name)
    cap = suite.max_problems_per_track
    tracks = [track_problems(suite.name, track, mirror) for track in tracks_of(tasks)]
    return [problem for problems in tracks for problem in evenly_spaced(problems, cap)]


def track_problems(name: str, track: Track, mirror: Path | None) -> list[Sample]:
    """All problems of a suite in one track; none where it does not have the track.

    Raises:
        BenchError: no suite of that name.
        DataError: a file that is missing, changed or broken, or a row count that is wrong.
    """
    check_name(name)
    if name == EMBEDDED:
        return embedded.samples(embedded.load(), "test", track)
    if track not in SUITES[name].files:
        return []
    return SUITES[name].problems(track, functools.partial(locate, mirror=mirror))


def check_name(name: str) -> None:
    """Raise a BenchError unless a suite has this name."""
    if name != EMBEDDED and name not in SUITES:
        raise unknown("suite", name, (EMBEDDED, *SUITES))
