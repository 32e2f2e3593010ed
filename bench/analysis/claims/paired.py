"""From per-instance tables to paired columns: the same problems of several cells.

A metric has a plain column (corrected) and sometimes one that repeats the paper's scripts
(``metric@published``); which one is read first is the variant of the analysis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from bench.analysis.comparisons import Tables
from bench.analysis.statistics import Floats
from bench.errors import DataError
from bench.records import Track

#: Why an output was not generated, see ``bench.records.Generation``.
NOT_ASKED = "prompt-too-long"

Variant = Literal["published", "corrected"]


@dataclasses.dataclass(frozen=True, slots=True)
class Paired:
    """The values of several columns on the problems that all of them have.

    ``values`` [columns, problems]. ``lost``: problems of any column that another lacks.
    ``why``: the reason where no problem is left because a whole column is missing.
    """

    values: Floats
    lost: int
    why: str | None = None


def absent(why: str) -> Paired:
    """No problems at all, for a reason."""
    return Paired(np.empty((0, 0)), 0, why)


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """The tables of a run, read in one variant.

    ``unsound``: by cell and track, why outputs were damaged before they were scored, so that
    no score of theirs tells anything of the model.
    """

    tables: Tables
    variant: Variant
    unsound: Mapping[tuple[str, Track], str] = dataclasses.field(default_factory=dict)

    def column(self, cells: Sequence[str], track: Track, metric: str) -> str | None:
        """The column of a metric that all cells have values in, the variant's own first."""
        names = (metric, f"{metric}@published")
        for name in names if self.variant == "corrected" else reversed(names):
            if all(self._has(cell, track, name) for cell in cells):
                return name
        return None

    def lacking(self, cells: Sequence[str], track: Track, metric: str) -> str:
        """Why ``column`` found none: unsound, nowhere scored, or not for the cells named."""
        unsound = [self.unsound[cell, track] for cell in cells if (cell, track) in self.unsound]
        if unsound:
            return f"{track}: {'; '.join(unsound)}"
        unscored = [cell for cell in cells if track not in self.tables.get(cell, {})]
        if unscored:
            return f"{track} has no scores of {', '.join(unscored)}"
        names = [cell for cell in cells if self.column([cell], track, metric) is None]
        of = "" if len(names) == len(cells) else f" of {', '.join(names)}"
        return f"{track} has no {metric}{of}"

    def score(self, cell: str, track: Track, column: str) -> pd.Series:
        """A column by the problems' ids, NaN for none.

        Raises:
            DataError: no column ``id``, or an id twice.
        """
        table = self.tables[cell][track]
        if "id" not in table or table["id"].duplicated().any():
            raise DataError(
                f"{cell}: scores of {track}: no column 'id', or an id twice",
                hint="score this cell again",
            )
        values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        return pd.Series(values, index=table["id"].astype(str))

    def issue(self, cell: str, track: Track, columns: Sequence[str]) -> pd.Series:
        """By id, 1 where any of the columns counts a finding or an analyser found no code.

        Such an output has no value in a column that others have values in; only in the
        published variant, whose scripts took it for clean, it stays without one. An output
        that was never asked for (its prompt had no room) has none either.
        """
        found = pd.DataFrame({name: self.score(cell, track, name) for name in columns})
        issue = found.gt(0).any(axis=1).astype(np.float64)
        unread = found.isna().any(axis=1)
        issue[unread & (issue == 0)] = 1.0 if self.variant == "corrected" else np.nan
        table = self.tables[cell][track]
        if "finish_reason" in table:
            issue[table["finish_reason"].eq(NOT_ASKED).to_numpy()] = np.nan
        return issue

    def _has(self, cell: str, track: Track, column: str) -> bool:
        if (cell, track) in self.unsound:
            return False
        table = self.tables.get(cell, {}).get(track)
        return table is not None and column in table and bool(table[column].notna().any())


def pair(columns: Sequence[pd.Series]) -> Paired:
    """Columns by id brought together on the problems that have a value in each."""
    joined = pd.concat([column.rename(str(place)) for place, column in enumerate(columns)], axis=1)
    kept = joined.dropna()
    return Paired(kept.to_numpy(dtype=np.float64).T, len(joined) - len(kept))
