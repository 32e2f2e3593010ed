"""What the terminal shows of a run while it runs: models x stages, memory, time left, failures.

A line for each stage that ends is printed everywhere; a terminal also gets a table that is
drawn anew below these lines. What nobody measured is not shown as a number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench import naming
from bench.cli.forecast import Forecast
from bench.cli.livememory import Memory
from bench.cli.timeleft import TimeLeft
from bench.grid import analytic
from bench.grid.plan import BASE, EMBED, GENERATE, MEASURE, SCORE, TRAIN, PlannedStage
from bench.grid.study import Study
from bench.records import Outcome, StageRecord
from bench.run.runner import Event
from bench.run.slots import Slots

#: The columns of the table.
_STAGES = (BASE, TRAIN, MEASURE, GENERATE, EMBED, SCORE)
_TRAINS = (TRAIN, MEASURE)
#: Lines of the terminal that the table leaves to others.
_OTHER_LINES = 6
_MIB = 2**20


class Progress:
    """Shows a run, event by event; a table on a terminal, lines elsewhere.

    Args:
        console: where to.
        stages: those of the chosen cells, in their order.
        left: those of them that are to run.
        study: theirs.
        time_left: what is known of how long they take.
        memory: of what starts the stages; None where they are not below this process.
    """

    def __init__(
        self,
        console: Console,
        stages: Sequence[PlannedStage],
        left: Sequence[PlannedStage],
        study: Study,
        time_left: TimeLeft,
        memory: Memory | None,
    ) -> None:
        self._console = console
        self._study = study
        self._time_left = time_left
        self._memory = memory
        self._left = {stage.id for stage in left}
        self._owners: dict[str, list[PlannedStage]] = {}
        for stage in stages:
            self._owners.setdefault(stage.owner, []).append(stage)
        present = {stage.stage for stage in stages}
        self._names = [name for name in _STAGES if name in present]
        self._running: dict[str, Event] = {}
        #: When a stage first said how far it was, and how far: one that is resumed is not at 0.
        self._first: dict[str, tuple[float, float]] = {}
        #: And when it last did.
        self._told_s: dict[str, float] = {}
        self._ended: dict[str, StageRecord] = {}
        self._peak_bytes = 0
        self._begun = time.monotonic()
        #: The table is drawn by a thread; held without printing, for which that has a lock, too.
        self._lock = threading.Lock()
        self._live = Live(
            console=console, get_renderable=self.table, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event of the runner."""
        with self._lock:
            line = self._taken(event)
        if line is not None:
            self._console.print(line, soft_wrap=True)

    def _taken(self, event: Event) -> Text | None:
        """Take note of an event; the line of a stage that has ended."""
        name = event.stage.id
        if event.kind == "finished":
            self._running.pop(name, None)
            return self._finish(event)
        if event.kind == "progress":
            self._told_s[name] = time.monotonic()
            self._first.setdefault(name, (self._told_s[name], event.done))
        self._running[name] = event
        self._time_left.progress(name, event.done / event.total if event.total else 0.0)
        return None

    def _finish(self, event: Event) -> Text:
        record = event.record
        assert record is not None
        self._ended[event.stage.id] = record
        self._peak_bytes = max(self._peak_bytes, record.peak_rss_bytes or 0)
        self._time_left.ended(event.stage.id, record)
        count = f"[{len(self._ended):3d}/{len(self._left)}]"
        line = Text(f"{count} {name_of(event.stage):<37}")
        if record.outcome is Outcome.OK:
            line.append("ok", "green").append(_cost(record))
        else:
            line.append(f"{record.outcome}: {naming.stages(record.reason or '')}", "red")
        if not self._console.is_terminal:  # there the table tells it
            line.append(f" · {self._time_left.told()}")
        return line

    def table(self) -> RenderableType:
        """What stands below the lines: how far all is, each model's stages, what runs now."""
        with self._lock:
            return self._table()

    def _table(self) -> RenderableType:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("")
        for name in self._names:
            table.add_column(name, justify="right", no_wrap=True)
        owners = sorted(self._owners.values(), key=self._rank)
        room = max(1, self._console.height - _OTHER_LINES - len(self._running))
        for mine in owners[:room]:
            by_name = {stage.stage: stage for stage in mine}
            cells = (self._cell(by_name.get(name)) for name in self._names)
            table.add_row(Text(_model(mine[0])), *cells)
        more = len(owners) - room
        below = [Text(f"and {more} more models", style="dim")] if more > 0 else []
        below += [Text(line) for line in self._now()]
        return Group(Text(self._summary(), style="bold"), table, *below)

    def _rank(self, mine: Sequence[PlannedStage]) -> int:
        """Where something runs comes first, then what failed, what waits, what is done."""
        if any(stage.id in self._running for stage in mine):
            return 0
        ended = [self._ended[stage.id] for stage in mine if stage.id in self._ended]
        if any(record.outcome is not Outcome.OK for record in ended):
            return 1
        return 3 if all(self._is_done(stage) for stage in mine) else 2

    def _is_done(self, stage: PlannedStage) -> bool:
        return stage.id in self._ended or stage.id not in self._left

    def _cell(self, stage: PlannedStage | None) -> Text:
        if stage is None:
            return Text("")
        if stage.id in self._ended:
            return _ended(self._ended[stage.id])
        if stage.id in self._running:
            event = self._running[stage.id]
            share = f"{100 * event.done / event.total:.0f} %" if event.total else "runs"
            return Text(share, style="cyan")
        return Text("waits" if stage.id in self._left else "stored", style="dim")

    def _summary(self) -> str:
        """How far the run is, its memory, and how long it may still take."""
        failed = sum(record.outcome is not Outcome.OK for record in self._ended.values())
        parts = [f"{len(self._ended)} of {len(self._left)} stages"]
        parts += [f"{failed} not ok"] if failed else []
        parts.append(f"{_clock(time.monotonic() - self._begun)} so far")
        parts.append(self._time_left.told())
        return " · ".join([*parts, *self._memory_told()])

    def _memory_told(self) -> Iterator[str]:
        if self._memory is not None and (now := self._memory.now_bytes()) is not None:
            yield f"memory {now / _MIB:,.0f} MiB now, {self._memory.peak_bytes / _MIB:,.0f} at most"
        if self._peak_bytes:
            yield f"a stage at most {self._peak_bytes / _MIB:,.0f} MiB"

    def _now(self) -> Iterator[str]:
        """A line for each stage that runs: how far it is, how fast, and what it says."""
        for event in self._running.values():
            parts = [f"{event.done:g} of {event.total:g}"] if event.total else []
            parts += self._rate(event)
            parts += [event.note] if event.note else []
            yield f"{name_of(event.stage)}: {', '.join(parts) or 'starts'}"

    def _rate(self, event: Event) -> list[str]:
        """Tokens a second of a training since its first step here, if each step were full."""
        name = event.stage.id
        if event.stage.stage not in _TRAINS or name not in self._first:
            return []
        since, first = self._first[name]
        took = self._told_s[name] - since
        if event.done <= first or took <= 0:
            return []
        tasks = event.stage.tasks
        rows = analytic.optimization(self._study, event.stage.method, tasks).rows_per_step
        slots = rows * self._study.training.of(tasks).row_tokens
        return [f"at most {slots * (event.done - first) / took:,.0f} tokens/s"]


def of_run(
    console: Console,
    stages: Sequence[PlannedStage],
    left: Sequence[PlannedStage],
    study: Study,
    foreseen: Forecast,
    slots: Slots,
    in_containers: bool,
) -> Progress:
    """What shows a run; in containers, memory is not this process's to look at."""
    waiting = {stage.id for stage in left}
    estimates = [one for one in foreseen.stages if one.id in waiting]
    needs = {stage.id: stage.needs for stage in stages}
    time_left = TimeLeft(estimates, needs, gpus=len(slots.gpus), jobs=slots.jobs)
    memory = None if in_containers else Memory()
    return Progress(console, stages, left, study, time_left, memory)


def name_of(stage: PlannedStage) -> str:
    """``ST-QLoRA 2m generation train``, ``base 2m generate``."""
    return f"{_model(stage)} {stage.stage}"


def _model(stage: PlannedStage) -> str:
    return naming.model(stage.cell, stage.method, stage.size, stage.model)


def _cost(record: StageRecord) -> str:
    """What a stage that ended well took, and of a training its loss and rate."""
    parts = []
    if record.wall_s is not None and record.cpu_s is not None:
        parts.append(f"{record.wall_s:8.1f} s {record.cpu_s:7.1f} cpu s")
    if record.peak_rss_bytes is not None:
        parts.append(f"{record.peak_rss_bytes / _MIB:6,.0f} MiB")
    if record.peak_device_bytes is not None:
        parts.append(f"{record.peak_device_bytes / _MIB:6,.0f} MiB GPU")
    loss = _loss(record)
    parts += [f" loss {loss:.3f}"] if loss is not None else []
    steady = record.details.get("steady")
    parts += [f"{steady['tokens_per_s']['real']:,.0f} tokens/s"] if steady else []
    return " ".join(parts)


def _loss(record: StageRecord) -> float | None:
    """The last loss of a training: on its validation rows where it has some."""
    found: dict[str, float] = {}
    for point in record.details.get("losses") or ():
        found |= {name: point[name] for name in ("train", "valid") if point.get(name) is not None}
    return found.get("valid", found.get("train"))


def _ended(record: StageRecord) -> Text:
    """A stage that has ended, in a cell of the table."""
    if record.outcome is not Outcome.OK:
        return Text(str(record.outcome), style="red")
    loss = _loss(record)
    took = "ok" if record.wall_s is None else _clock(record.wall_s)
    return Text(took if loss is None else f"{took}, loss {loss:.2f}", style="green")


def _clock(seconds: float) -> str:
    """``0:07``, ``12:30``, ``3:04:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
