"""How many rows of a training are computed at once: as many as the device's memory holds.

A step's rows are divided into micro-batches of one size, so each choice is the same
mathematics: what differs is how often operations are started, and what has to be kept for the
backward pass. Activation checkpointing is chosen only where that is faster than smaller
micro-batches without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bench import costs
from bench.costs import Fit, Shape
from bench.grid import durations
from bench.grid.durations import Device
from bench.grid.study import Optimization

#: Rows at once in the study's scripts.
PUBLISHED_ROWS = 2
#: A CPU gains nothing from more tokens at once than these, and pays memory for them.
CPU_TOKENS = 4096
#: Where a device's limits are not known, settings are compared as on this one (an H100).
_LIKELY = Device(989e12, 3350e9)


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """Rows that are computed at once, and whether activations are computed again."""

    rows: int
    checkpointing: bool

    def accumulation(self, rows_per_step: int) -> int:
        """Micro-batches per optimizer step."""
        return rows_per_step // self.rows

    def as_json(self, rows_per_step: int) -> dict[str, Any]:
        """The setting as a stage's record has it."""
        return {
            "rows": self.rows,
            "accumulation": self.accumulation(rows_per_step),
            "checkpointing": self.checkpointing,
        }


def settings(chosen: Optimization, row_tokens: int, *, gpu: bool) -> list[Setting]:
    """What a study leaves open, the largest micro-batches first."""
    if chosen.rows_per_micro_batch == "auto":
        most = chosen.rows_per_step if gpu else max(1, CPU_TOKENS // row_tokens)
        rows = [
            count
            for count in range(min(most, chosen.rows_per_step), 0, -1)
            if not chosen.rows_per_step % count
        ]
    else:
        rows = [chosen.rows_per_micro_batch]
    again = chosen.gradient_checkpointing
    ways = [False, True] if again == "auto" else [again]
    return [Setting(count, way) for count in rows for way in ways]


def published(chosen: Optimization, *, full: bool) -> Setting:
    """The study's own: two rows at once, full fine-tuning with checkpointing."""
    rows, again = chosen.rows_per_micro_batch, chosen.gradient_checkpointing
    return Setting(
        min(PUBLISHED_ROWS, chosen.rows_per_step) if rows == "auto" else rows,
        full if again == "auto" else again,
    )


def of(fit: Fit, setting: Setting) -> Fit:
    """A training under a setting."""
    return dataclasses.replace(
        fit,
        micro_rows=setting.rows,
        checkpointing=setting.checkpointing,
        graphs=fit.graphs and not setting.checkpointing,  # see bench.train.graphs
    )


def fitting(shape: Shape, fit: Fit, found: Sequence[Setting], room: float) -> list[Setting]:
    """The settings whose bytes ``room`` holds; the least one where none does."""
    needs = {one: costs.training_memory(shape, of(fit, one)).total for one in found}
    within = [one for one in found if needs[one] <= room]
    return within or [min(found, key=lambda one: needs[one])]


def choose(
    shape: Shape, fit: Fit, found: Sequence[Setting], room: float, device: Device | None
) -> Setting:
    """The fastest setting whose bytes ``room`` holds: by the analytic model of ``durations``.

    Among equally fast ones, the one with the least memory: no more rows than help.
    """

    def seconds(one: Setting) -> float:
        return durations.training_time(shape, of(fit, one), 1.0, device or _LIKELY).seconds

    within = fitting(shape, fit, found, room)
    best = min(seconds(one) for one in within)
    return max((one for one in within if seconds(one) <= best * 1.001), key=lambda one: one.rows)


def smaller(shape: Shape, fit: Fit, found: Sequence[Setting], before: Setting) -> Setting | None:
    """The setting that takes the next less memory; None where there is none."""
    needs = {one: costs.training_memory(shape, of(fit, one)).total for one in found}
    less = [one for one in found if needs[one] < needs.get(before, 0)]
    return max(less, key=lambda one: needs[one], default=None)
