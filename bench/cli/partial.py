"""What partial reruns are told and tell: their options, what was taken over, what is lacking."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from bench.cli.console import err, out
from bench.errors import BenchError
from bench.grid.adopted import Selection
from bench.grid.plan import GENERATE, PlannedStage
from bench.grid.study import Study
from bench.run.earlier import Taken

#: ``score``'s options of a file, by name: those that it cannot do without, and the others.
_NEEDED = {"task": "--task", "language": "--language", "csv": "--csv"}
_OF_A_FILE = {
    **_NEEDED,
    "variant": "--variant",
    "references": "--references",
    "suite": "--suite",
    "metric": "--metric",
    "extract": "--extract",
    "answers": "--answers",
}
_OF_A_RUN = {
    "study": "--study",
    "options": "--with",
    "cells": "--cells",
    "earlier": "--from",
    "replace_older": "--replace-older",
    "jobs": "--jobs",
    "stage_hours": "--stage-hours",
    "full": "--full",
    "anyway": "--anyway",
    "executor": "--executor",
}
_DOING = {GENERATE: "generated"}


def of_a_file(options: argparse.Namespace) -> bool:
    """Whether ``score`` was given a file of generations, and not a study.

    Raises:
        BenchError: options of both, or a file without what it needs.
    """
    of_a_file = [name for one, name in _OF_A_FILE.items() if getattr(options, one)]
    of_a_run = [name for one, name in _OF_A_RUN.items() if getattr(options, one)]
    if options.generations is None:
        if of_a_file:
            raise BenchError(
                f"{', '.join(of_a_file)}: of a file of generations, and no file is named",
                hint="add --generations FILE; or leave them out to score a study's run",
            )
        return False
    if of_a_run:
        raise BenchError(
            f"--generations {options.generations} is one file, {', '.join(of_a_run)} a run",
            hint="score the one or the other: leave out --generations, or the options of a run",
        )
    lacking = [name for one, name in _NEEDED.items() if not getattr(options, one)]
    if lacking:
        raise BenchError(
            f"--generations {options.generations}: lacks {', '.join(lacking)}",
            hint="say what it holds and where the scores go, for example "
            "--task translation --language java_cs --csv scores.csv",
        )
    return True


def say_taken(taken: Taken, path: Path) -> None:
    """What was taken over from an earlier run, and what was not."""
    told = f"{len(taken.stages)} stages taken from {path}"
    if taken.present:
        told += f", {len(taken.present)} lie here already"
    out.print(told, soft_wrap=True, markup=False)
    if taken.kept:
        out.print(
            f"[yellow]kept as they lie here, though {escape(str(path))} has others:[/] "
            f"{escape(_listed(taken.kept))}; --replace-older takes the earlier run's where "
            "these are older",
            soft_wrap=True,
        )
    if taken.absent:
        told = f"[yellow]not in {escape(str(path))}:[/] {escape(_listed(taken.absent))}"
        out.print(told, soft_wrap=True)


def say_what_holds(taken: Taken | None, stages: Sequence[PlannedStage]) -> None:
    """How many of the stages that were taken over a whole run would make again."""
    stale = [one for one in stages if taken and one.id in taken.stages and not one.stored]
    if stale:
        out.print(
            f"[yellow]{len(stale)} of them are not what the present code and configuration make, "
            "and are made again[/]; `generate` and `score` build on them as they lie",
            soft_wrap=True,
        )


def say_lacking(found: Selection, study: Study, start: str) -> None:
    """One line for each cell or base that cannot be run, with what makes its input.

    Raises:
        BenchError: nothing can.
    """
    with_ = "".join(f" --with {option}" for option in study.with_)
    lines: dict[tuple[str, str, str], list[str]] = {}
    for one in sorted(found.lacking, key=lambda one: one.stage.cell is None):
        stage = one.stage
        command = f"nox -s {one.first} -- --study {study.name}{with_} --cells"
        command += f" {stage.cell}" if stage.cell else f" '*-{stage.size}'"
        where = stage.cell or f"base {stage.size}"
        lines.setdefault((where, one.why, command), []).append(stage.model or "")
    told = [
        (
            f"{where}{f' ({names})' if (names := ', '.join(filter(None, models))) else ''}: {why}",
            how,
        )
        for (where, why, how), models in lines.items()
    ]
    done = _DOING.get(start, "scored")
    if told and not any(stage.stage == start for stage in found.stages):
        more = f" (and of {len(told) - 1} more the same)" if len(told) > 1 else ""
        raise BenchError(f"nothing can be {done}: {told[0][0]}{more}", hint=told[0][1])
    for problem, how in told:
        err.print(f"[yellow]not {done}:[/] {escape(f'{problem}; first: {how}')}", soft_wrap=True)


def _listed(names: Sequence[str], many: int = 6) -> str:
    more = f" and {len(names) - many} more" if len(names) > many else ""
    return ", ".join(names[:many]) + more
