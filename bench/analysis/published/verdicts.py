"""What the reanalysis gives: rows, verdicts that turn, and how inputs were found."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

from bench.analysis.published.inputs import Choice
from bench.analysis.published.papertables import PaperTable

Status = Literal["equal", "differs", "inputs missing", "printed value missing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One comparison, recomputed as published and corrected: a row of the JSON file.

    Numbers that are not defined (a constant column, missing inputs) are None, and ``note``
    says why. ``effect`` is Cliff's delta, for pass@1 the odds ratio.
    """

    rq: str
    task: str
    language: str
    size: str
    comparison: str
    metric: str
    adjust: str
    p_adj: float | None
    effect: float | None
    printed_p_adj: float | None
    printed_effect: float | None
    status: Status
    corrected_p_adj: float | None
    corrected_effect: float | None
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """One correction that turned a row's verdict. ``own``: by its own values, not others'."""

    step: str
    before: str
    after: str
    own: bool

    @property
    def why(self) -> str:
        """The correction, and whether it acted through the adjustment alone."""
        return self.step if self.own else f"{self.step} (through its family's adjustment)"


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A row whose verdict some correction turns; ``turns`` in the order of the corrections.

    ``withheld``: no verdict in the end, since the values need outputs that are not at hand.
    """

    row: Row
    turns: tuple[Turn, ...]
    withheld: bool

    @property
    def before(self) -> str:
        """The published verdict."""
        return self.turns[0].before

    @property
    def after(self) -> str:
        """The corrected verdict."""
        return "not computed" if self.withheld else self.turns[-1].after

    @property
    def lasting(self) -> bool:
        """Whether the last verdict is not the published one."""
        return self.withheld or self.before != self.after


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """The discordant counts of a pass@1 row: as published, and paired by id."""

    published: tuple[int, int]
    by_id: tuple[int, int]
    pairs: int


@dataclasses.dataclass(frozen=True, slots=True)
class Reanalysis:
    """Every row, the verdicts that flip, and how each table's inputs were found.

    ``withheld``: the rows whose corrected values need outputs that are not at hand.
    """

    rows: tuple[Row, ...]
    flips: tuple[Flip, ...]
    withheld: tuple[Row, ...]
    counts: tuple[tuple[Row, Counts], ...]
    tables: tuple[PaperTable, ...]
    choices: tuple[Choice, ...]

    def by_table(self) -> Iterator[tuple[PaperTable, tuple[Row, ...]]]:
        """Each table with its rows."""
        rows = iter(self.rows)
        for table in self.tables:
            yield table, tuple(itertools.islice(rows, len(table.rows)))
