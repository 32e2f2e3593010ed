"""What the terminal shows beside reports and runs: plans, checks, scores of files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from bench import naming
from bench.grid.plan import Amounts, PlannedStage
from bench.grid.study import Study
from bench.records import Cell
from bench.run.doctor import Check
from bench.scoring.selfcheck import SelfCheck

if TYPE_CHECKING:  # they bring pandas
    from bench.scoring.sheet import Gap, Sheet
    from bench.scoring.stored import Scored

_STYLES = {"done": "green", "adopted": "cyan", "stale": "yellow", "missing": "dim", "failed": "red"}


def plan_table(stages: Sequence[PlannedStage]) -> Table:
    """One row per model with its cell's id and the state of each of its stages."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("model", "--cells", "stages"):
        table.add_column(name)
    owners = dict.fromkeys(stage.owner for stage in stages)
    for owner in owners:
        mine = [stage for stage in stages if stage.owner == owner]
        # Neighbours of one state stand together: "train done  generate, score missing".
        states = "  ".join(
            f"{', '.join(one.stage for one in alike)} [{_STYLES[state]}]{state}[/]"
            for state, alike in itertools.groupby(mine, key=lambda one: one.state)
        )
        first = mine[0]
        name = naming.model(first.cell, first.method, first.size, first.model)
        table.add_row(name, first.cell or "–", states)
    return table


def plan_amounts(study: Study, cells: Sequence[Cell], amounts: Amounts) -> Iterator[Table]:
    """What the models train on, what they are asked, and what is missing to run them."""
    table = _amounts_table("train on", "train", "valid", "rows", "steps an epoch", "steps")
    reasons: dict[str, None] = {}
    rows: dict[tuple[str, ...], None] = {}
    for cell in cells:
        for model in cell.models:
            size = amounts.models[cell.method, model.tasks]
            about = "all" if set(model.tasks) == set(study.tasks) else ", ".join(model.tasks)
            fields = ("train", "valid", "rows", "steps_per_epoch", "steps")
            rows[f"{about} ({cell.method})", *(_count(size[name]) for name in fields)] = None
            reasons.update(dict.fromkeys(filter(None, [size["reason"]])))
    for row in rows:
        table.add_row(*row)
    table.caption, table.caption_justify = escape("\n".join(reasons)), "left"
    yield table
    asked = _amounts_table("asked", "problems")
    for suite in amounts.data["suites"]:
        counts = suite["problems"] or {}
        told = ", ".join(f"{track} {count}" for track, count in counts.items())
        asked.add_row(suite["label"], told or escape(suite["reason"] or "none"))
    yield asked
    lacking = _amounts_table("missing", "MiB", "next")
    for one in amounts.missing:
        mebibytes = None if one["bytes"] is None else round(one["bytes"] / 2**20)
        lacking.add_row(escape(one["what"]), _count(mebibytes), escape(one["how"]))
    yield lacking if amounts.missing else _amounts_table("missing: nothing")


def _amounts_table(*names: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name)
    return table


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def selfcheck_table(check: SelfCheck) -> Table:
    """The references of a suite: how many passed per track, and every one that did not."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for track, (passed, total) in check.counts.items():
        style = "green" if passed == total else "yellow"
        table.add_row(check.suite, str(track), f"[{style}]{passed}/{total}[/] references pass")
    for failure in check.failures:
        why = failure.reason or f"[red]unexplained[/]: {escape(failure.detail)}"
        table.add_row("", escape(failure.id), f"{failure.outcome}: {why}")
    for reason, count in check.not_run.items():
        table.add_row("", f"not run: {count}", escape(reason))
    return table


def doctor_table(checks: Sequence[Check]) -> Table:
    """One row per check, with the remedy below what is missing."""
    marks = {True: "[green]ok[/]", False: "[red]missing[/]", None: "[yellow]absent[/]"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        table.add_row(check.name, marks[check.ok], escape(check.detail))
        if check.remedy:
            table.add_row("", "", f"[dim]→ {escape(check.remedy)}[/]")
    return table


#: Lines at fault, and ids of a gap, that are told one by one.
_TOLD_LINES, _TOLD_IDS = 20, 5


def score_remarks(scored: Scored) -> list[str]:
    """What is to be told of scored generations: lines at fault, missing references, gaps."""
    faults = [str(fault) for fault in scored.faults]
    told = faults[:_TOLD_LINES]
    if len(faults) > len(told):
        told.append(f"… and {len(faults) - len(told)} more lines at fault")
    sheet, present = scored.sheet, list(scored.sheet.table.columns)
    gaps = [_gap(gap, sheet) for gap in sheet.gaps]
    remarks = [
        f"{', '.join(_families(names, present))}: {what}" for what, names in sheet.remarks.items()
    ]
    return [*told, *scored.remarks, *gaps, *remarks]


def _gap(gap: Gap, sheet: Sheet) -> str:
    """``pmd.*: not run: …``, or how many rows have no value, why, and the first of them."""
    columns = ", ".join(_families(gap.columns, list(sheet.table.columns)))
    if len(gap.ids) == gap.rows:
        return f"{columns}: {gap.reason}"
    first = ", ".join(gap.ids[:_TOLD_IDS]) + (", …" if len(gap.ids) > _TOLD_IDS else "")
    return f"{columns}: {len(gap.ids)} of {gap.rows} have no value: {gap.reason} ({first})"


def _families(columns: Sequence[str], present: Sequence[str]) -> list[str]:
    """Column names, those of a whole family as ``pmd.*``."""
    names: dict[str, None] = {}
    for column in columns:
        family, dot, _ = column.partition(".")
        members = [one for one in present if dot and one.startswith(f"{family}.")]
        whole = len(members) > 1 and set(members) <= set(columns)
        names[f"{family}.*" if whole else column] = None
    return list(names)


def score_table(sheet: Sheet) -> Table:
    """The mean of every column, and over how many values."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("column")
    table.add_column("values", justify="right")
    table.add_column("mean", justify="right")
    for name in sheet.table.columns[1:]:
        values = sheet.table[name].dropna()
        mean = f"{float(values.mean()):.4f}" if len(values) else "–"
        table.add_row(escape(name), str(len(values)), mean)
    return table
