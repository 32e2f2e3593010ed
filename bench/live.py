"""What the terminal shows beside reports: progress while running, plans, checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from bench.grid.plan import PlannedStage
from bench.records import Outcome
from bench.run.doctor import Check
from bench.run.runner import Event
from bench.scoring.selfcheck import SelfCheck

_STYLES = {"done": "green", "stale": "yellow", "missing": "dim", "failed": "red"}


class Progress:
    """Shows a run: bars on a terminal, one line per finished stage elsewhere."""

    def __init__(self, console: Console, stages: Sequence[PlannedStage]) -> None:
        self._console = console
        self._left = len(stages)
        self._done = 0
        self._bars: dict[str, TaskID] = {}
        self._started = time.monotonic()
        self._live = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._live.add_task("[bold]all stages", total=self._left, note="")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event of the runner."""
        name = event.stage.id
        if event.kind == "started":
            self._bars[name] = self._live.add_task(f"  {_short(event.stage)}", total=None, note="")
        elif event.kind == "progress":
            self._live.update(
                self._bars[name], completed=event.done, total=event.total, note=event.note
            )
        else:
            self._finish(event)

    def _finish(self, event: Event) -> None:
        self._done += 1
        self._live.update(self._all, completed=self._done)
        if event.stage.id in self._bars:
            self._live.remove_task(self._bars.pop(event.stage.id))
        record = event.record
        assert record is not None
        passed = record.outcome is Outcome.OK
        cost = "" if record.cpu_s is None else f"{record.wall_s:6.1f} s {record.cpu_s:6.1f} cpu s"
        what = f"[{self._done:3d}/{self._left}] {_short(event.stage):<40}"
        if passed:
            self._live.console.print(f"{what} [green]ok[/]{cost:>28}")
        else:
            why = f"{record.outcome}: {escape(record.reason or '')}"
            self._live.console.print(f"{what} [red]{why}[/]", soft_wrap=True)


def _short(stage: PlannedStage) -> str:
    """``st-qlora-2m generation train``, ``base 2m generate``."""
    where = f"base {stage.size}" if stage.cell is None else f"{stage.cell} {stage.model}"
    return f"{where} {stage.stage}"


def plan_table(stages: Sequence[PlannedStage]) -> Table:
    """One row per model with the state of each of its stages."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("cell", "model", "tasks", "stages"):
        table.add_column(name)
    owners = dict.fromkeys(stage.owner for stage in stages)
    for owner in owners:
        mine = [stage for stage in stages if stage.owner == owner]
        states = "  ".join(f"{one.stage} [{_STYLES[one.state]}]{one.state}[/]" for one in mine)
        first = mine[0]
        tasks = "all" if len(first.tasks) > 1 else first.tasks[0]
        table.add_row(first.cell or f"base {first.size}", first.model or "–", tasks, states)
    return table


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
