"""Which study a command works on: the one that was named, the default, or one with the cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bench.data.corpora import CORPORA, EMBEDDED
from bench.data.prompts import wordings
from bench.data.suites import SUITES
from bench.errors import unknown
from bench.gpus import gpu_visible
from bench.grid import cells as grid_cells
from bench.grid import study as study_module
from bench.grid import tables
from bench.grid.study import Study
from bench.records import Cell

#: Needs nothing but the kit, so it comes first where several studies have a cell.
_FIRST = "smoke"


def choose(
    name: str | None, options: Sequence[str], patterns: Sequence[str] = ()
) -> tuple[Study, str]:
    """The study that was asked for, or the default one, with its options, and why.

    ``patterns`` are of cells: where none was asked for and the default study lacks them, one
    that has them is chosen, with the option that brings them.

    Raises:
        BenchError: no such study, option or cell.
    """
    if name is not None:
        found = study_module.load(name, options)
        _check_names(found, name)
        return found, "as asked"
    default, why = _FIRST, "the default: no CUDA GPU is visible"
    if gpu_visible():
        default = "paper"
        why = f"the default where a CUDA GPU is visible; the quick look: --study {_FIRST}"
    having = _with_cells(options, patterns) if patterns else {}
    if patterns and not having:
        _check_known(patterns)
    if not having or having.get(default) == tuple(options):
        return study_module.load(default, options), why
    chosen, *others = sorted(having, key=lambda one: (len(having[one]), one != _FIRST, one))
    added = [option for option in having[chosen] if option not in options]
    asked = " and ".join(patterns)
    told = [f"it has {asked}, which the default study {default} lacks"]
    told += [f"with its option {', '.join(added)}"] if added else []
    told += [f"{one} has it, too: --study {one}{_with(having[one])}" for one in others]
    return study_module.load(chosen, having[chosen]), "; ".join(told)


def _check_names(study: Study, file: str) -> None:
    """Check the names that a study's file gives to data of the kit.

    Raises:
        BenchError: there is no such corpus, suite or wording.
    """
    if study.data.corpus not in CORPORA:
        raise unknown(f"corpus ({file}: data.corpus)", study.data.corpus, CORPORA)
    known = (EMBEDDED, *SUITES)
    for number, suite in enumerate(study.suites):
        if suite.name not in known:
            raise unknown(f"suite ({file}: suites.{number}.name)", suite.name, known)
    asked = {"prompts": study.prompts}
    asked |= {
        f"suites.{number}.prompts": suite.prompts
        for number, suite in enumerate(study.suites)
        if suite.prompts is not None
    }
    for field, wording in asked.items():
        if wording not in wordings.names():
            raise unknown(f"prompts ({file}: {field})", wording, wordings.names())


def _with(options: Sequence[str]) -> str:
    return "".join(f" --with {option}" for option in options)


def _with_cells(options: Sequence[str], patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The studies that have a cell for each pattern, with the options that they need for it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in tables.available():
        table = tables.read(tables.locate(name))
        offered = tuple(table.get("options", ()))
        if not set(options) <= set(offered):
            continue
        further = [option for option in offered if option not in options]
        # The fewest that bring the cells: an option may cost more than it shows.
        counts = range(len(further) + 1)
        for more in (some for count in counts for some in itertools.combinations(further, count)):
            grid = tables.grid(tables.with_options(table, (*options, *more)))
            if all(grid_cells.matching(grid, pattern) for pattern in patterns):
                found[name] = (*options, *more)
                break
    return found


def _check_known(patterns: Sequence[str]) -> None:
    """Raise the error for a pattern that matches no cell of any study, with the nearest ids."""
    whole: dict[str, Cell] = {}
    for name in tables.available():
        table = tables.read(tables.locate(name))
        grid = tables.grid(tables.with_options(table, table.get("options", ())))
        whole.update((cell.id, cell) for cell in grid)
    grid_cells.select(tuple(whole.values()), patterns)
