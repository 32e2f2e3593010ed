"""The grid's expansion into cells: one pure function, standard library only.

The noxfile runs where only nox is installed, so this module imports no parser and no
third-party library; ``bench.grid.study`` calls the same function.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Sequence

from bench.errors import unknown
from bench.records import TASKS, Cell, Model

MULTI_TASK = "multi-task"
#: A method at a size that is trained on some of the tasks: (method, size, tasks).
Mixture = tuple[str, str, Sequence[str]]


def expand(
    sizes: Iterable[str],
    methods: Sequence[str],
    tasks: Sequence[str],
    mixtures: Iterable[Mixture] = (),
) -> tuple[Cell, ...]:
    """The cells of a grid, by size and then by method, each with the models it trains.

    ``st-qlora`` trains one model per task, the other methods one on all tasks together. A
    mixture is a further cell behind them, for example ``mt-qlora-3b-generation-translation``.
    """
    multi = (Model(MULTI_TASK, tuple(tasks)),)
    single = tuple(Model(task, (task,)) for task in tasks)
    whole = [
        Cell(f"{method}-{size}", method, size, single if method == "st-qlora" else multi)
        for size, method in itertools.product(sizes, methods)
    ]
    return (*whole, *(_mixed(*mixture) for mixture in mixtures))


def _mixed(method: str, size: str, tasks: Sequence[str]) -> Cell:
    """The cell of a mixture; its tasks stand in the kit's order, however they were named."""
    ordered = tuple(task for task in TASKS if task in tasks)
    name = "-".join((method, size, *ordered))
    return Cell(name, method, size, (Model(MULTI_TASK, ordered),))


def matching(cells: Sequence[Cell], pattern: str) -> tuple[Cell, ...]:
    """The cells whose id matches a shell-style pattern."""
    return tuple(cell for cell in cells if fnmatch.fnmatchcase(cell.id, pattern))


def select(cells: Sequence[Cell], patterns: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose id matches one of the shell-style patterns; all without patterns.

    Raises:
        BenchError: a pattern that matches nothing (the nearest ids are named).
    """
    for pattern in patterns:
        if not matching(cells, pattern):
            raise unknown("cell", pattern, (cell.id for cell in cells))
    return tuple(
        cell
        for cell in cells
        if not patterns or any(fnmatch.fnmatchcase(cell.id, pattern) for pattern in patterns)
    )
