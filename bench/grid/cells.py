"""The grid's expansion into cells: one pure function, standard library only.

The noxfile runs where only nox is installed, so this module imports no parser and no
third-party library; ``bench.grid.study`` calls the same function.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Sequence

from bench.errors import unknown
from bench.records import Cell, Model


def expand(sizes: Iterable[str], methods: Sequence[str], tasks: Sequence[str]) -> tuple[Cell, ...]:
    """The cells of a grid, by size and then by method, each with the models it trains.

    ``st-qlora`` trains one model per task, the other methods one on all tasks together.
    """
    multi = (Model("multi-task", tuple(tasks)),)
    single = tuple(Model(task, (task,)) for task in tasks)
    return tuple(
        Cell(f"{method}-{size}", method, size, single if method == "st-qlora" else multi)
        for size, method in itertools.product(sizes, methods)
    )


def select(cells: Sequence[Cell], patterns: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose id matches one of the shell-style patterns; all without patterns.

    Raises:
        BenchError: a pattern that matches nothing (the nearest ids are named).
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(cell.id, pattern) for cell in cells):
            raise unknown("cell", pattern, (cell.id for cell in cells))
    return tuple(
        cell
        for cell in cells
        if not patterns or any(fnmatch.fnmatchcase(cell.id, pattern) for pattern in patterns)
    )
