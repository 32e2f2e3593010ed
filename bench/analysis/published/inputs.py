"""Which values a printed row was computed from, and how they were paired.

The package's result files do not name their inputs. Normally they are the files of the
row's own track; where these do not give the printed effects, another track's files of the
same tool may: then the statistics were computed from the wrong files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from bench.analysis import statistics
from bench.analysis.published import mend
from bench.analysis.published.instances import Instances, Package
from bench.analysis.published.papertables import Asked, PaperTable
from bench.analysis.published.printed import Side, agrees
from bench.analysis.statistics import Floats
from bench.records import Track

Pairing = Literal["position", "id"]


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Two paired columns [pairs]; ``unpaired`` problems are in one of them only.

    ``excluded`` pairs were left out because one of the two has no value.
    """

    a: Floats
    b: Floats
    unpaired: int = 0
    excluded: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Lacking:
    """Why a row has no columns."""

    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """How a table reads its inputs: the track of each tool's files, and the pairing."""

    pairing: Pairing
    tracks: Mapping[tuple[str, Track], Track]

    def track(self, row: Asked) -> Track:
        """The track whose files a row's values are read from."""
        column = row.column
        return row.track if column is None else self.tracks.get((column[0], row.track), row.track)


class Values:
    """The package's values by tool, track and model, as published or mended."""

    def __init__(self, package: Package) -> None:
        """Index the files of a package."""
        self._files: dict[tuple[str, Track, str, Side], Instances] = {
            (one.tool, one.track, f"{one.size[:-1]}B", (one.method, one.mixture)): one
            for one in package.instances
        }
        self._mended: dict[str, Mapping[str, Floats]] = {}

    def file(self, row: Asked, side: Side, track: Track) -> Instances | None:
        """The file of one side of a row, None where the package lacks it."""
        column = row.column
        return None if column is None else self._files.get((column[0], track, row.size, side))

    def columns(
        self, row: Asked, track: Track, pairing: Pairing, *, mended: bool = False
    ) -> Columns | Lacking:
        """The two columns of a row from one track's files, or why there are none."""
        if row.column is None:
            return Lacking(f"the metric {row.metric} is unknown")
        files = [self.file(row, side, track) for side in row.sides]
        missing = [
            " ".join(filter(None, side))
            for side, file in zip(row.sides, files, strict=True)
            if file is None or row.column[1] not in file.values
        ]
        if missing:
            tool = row.column[0]
            return Lacking(f"the package lacks {tool} of {track} for {' and '.join(missing)}")
        first, second = (file for file in files if file is not None)
        a, b = (self._column(file, row.column[1], mended) for file in (first, second))
        if pairing == "position":
            shorter = min(a.size, b.size)
            return Columns(a[:shorter], b[:shorter])
        return _by_id(first.ids, second.ids, a, b)

    def _column(self, file: Instances, metric: str, mended: bool) -> Floats:
        if not mended:
            return file.values[metric]
        if file.path not in self._mended:
            self._mended[file.path] = mend(file)
        return self._mended[file.path][metric]

    def places(self) -> set[tuple[str, tuple[Track, str, Side]]]:
        """Tool, track, size and model of every file."""
        return {(tool, (track, size, side)) for tool, track, size, side in self._files}

    def tracks(self, tool: str) -> list[Track]:
        """The tracks that the package has a tool's files of."""
        return sorted({track for name, track, _, _ in self._files if name == tool})


def _by_id(first: Sequence[str], second: Sequence[str], a: Floats, b: Floats) -> Columns:
    """Pairs of equal ids in the first one's order, without those that lack a value."""
    places: dict[str, int] = {}
    for place, name in enumerate(second):
        places.setdefault(name, place)
    own = {name: place for place, name in reversed(list(enumerate(first)))}
    common = [name for name in own if name in places]
    common.sort(key=own.__getitem__)
    left = a[[own[name] for name in common]] if common else np.empty(0)
    right = b[[places[name] for name in common]] if common else np.empty(0)
    valued = ~(np.isnan(left) | np.isnan(right))
    return Columns(
        left[valued],
        right[valued],
        len(own) + len(places) - 2 * len(common),
        int((~valued).sum()),
    )


def choices(tables: Sequence[PaperTable], values: Values) -> list[Choice]:
    """How each table was computed, as its printed values show.

    A table without printed values follows the printed ones: it reads what they read.
    """
    found: dict[tuple[str, Track], Track] = {}
    chosen: list[Choice | None] = []
    for table in tables:
        if table.result is None:
            chosen.append(None)
            continue
        own = {
            (tool, track): other
            for tool, track in dict.fromkeys(
                (row.column[0], row.track) for row in table.rows if row.column
            )
            if (other := _source(table, tool, track, values)) != track
        }
        found |= own
        chosen.append(Choice(_pairing(table, values), own))
    return [
        choice
        or Choice(
            _usual(table),
            {
                place: other
                for place, other in found.items()
                if any(row.column and (row.column[0], row.track) == place for row in table.rows)
            },
        )
        for table, choice in zip(tables, chosen, strict=True)
    ]


def _usual(table: PaperTable) -> Pairing:
    """RQ1 merges pass@1 by id; everything else takes the rows as they come."""
    return "id" if (table.rq, table.test) == ("RQ1", "mcnemar") else "position"


def _pairing(table: PaperTable, values: Values) -> Pairing:
    """The pairing that gives the printed effects, the usual one if both do."""
    usual = _usual(table)
    other: Pairing = "position" if usual == "id" else "id"
    score = {
        pairing: sum(_reproduced(row, row.track, pairing, values) is True for row in table.rows)
        for pairing in ((usual, other) if table.test == "mcnemar" else (usual,))
    }
    return max(score, key=lambda pairing: score[pairing])


def _source(table: PaperTable, tool: str, track: Track, values: Values) -> Track:
    """The track whose files of a tool give the printed effects of a track's rows."""
    if table.test == "mcnemar":
        return track
    rows = [
        row for row in table.rows if row.track == track and row.column and row.column[0] == tool
    ]
    known = [_reproduced(row, track, "position", values) for row in rows]
    if False not in known:
        return track
    best, most = track, known.count(True)
    for other in values.tracks(tool):
        matched = [_reproduced(row, other, "position", values) for row in rows]
        if False not in matched and matched.count(True) > most:
            best, most = other, matched.count(True)
    return best


def _reproduced(row: Asked, track: Track, pairing: Pairing, values: Values) -> bool | None:
    """Whether a track's files give the printed effect; None where they are missing."""
    columns = values.columns(row, track, pairing)
    if row.printed is None or isinstance(columns, Lacking):
        return None
    return agrees(effect(row, columns), row.printed.effect)


def effect(row: Asked, columns: Columns) -> float | None:
    """Cliff's delta, for pass@1 the odds ratio of the discordant pairs."""
    if row.metric.startswith("pass@"):
        return statistics.odds_ratio(*statistics.discordant(columns.a, columns.b))
    return statistics.cliffs_delta(columns.a, columns.b)


def test(row: Asked, columns: Columns) -> statistics.PairedTest:
    """The unadjusted test of a row."""
    if row.metric.startswith("pass@"):
        return statistics.mcnemar(*statistics.discordant(columns.a, columns.b))
    return statistics.wilcoxon(columns.a, columns.b)
