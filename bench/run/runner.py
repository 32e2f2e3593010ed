"""Runs what a plan leaves to do: in order, in parallel, to the end whatever fails.

A stage that fails takes only the stages that build on it with it. A run that is stopped
keeps what is done and what is half done; the next one continues there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from bench.errors import MachineError
from bench.grid import keys, store
from bench.grid.plan import TRAIN, PlannedStage
from bench.grid.store import State, Store
from bench.grid.study import Study
from bench.records import Outcome, StageRecord
from bench.run import outcomes
from bench.run.child import Task
from bench.run.job import Job
from bench.run.slots import Slot, Slots

_POLL_S = 0.2
#: How long a stage that is asked to end may clean up.
_GRACE_S = 5.0
#: And a training: the end of its step, an evaluation that has begun, and the checkpoint, which
#: is 76 GB for full fine-tuning at 7B.
_TRAINING_GRACE_S = 900.0
_SAVING = "writes a checkpoint; interrupt again to end at once"


class Executor(Protocol):
    """How stages are started: ``bench.run.local`` here, containers or a cluster elsewhere."""

    def warm(self, stage: str, work: Path) -> bool:
        """Whether a stage would start at no cost, so that it should come first."""

    def start(self, task: Task, lock_fd: int | None) -> None:
        """Start a stage in a process of its own, which holds ``lock_fd`` while it lives."""

    def poll(self, timeout_s: float) -> Mapping[str, Any] | None:
        """The next message (``progress``, ``disk``, ``exit``, ``ready``), or None in time."""

    def stop(self, stage: str, how: signal.Signals) -> None:
        """Send a signal to a stage."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something to show: a stage has started, is at ``done`` of ``total``, or has ended."""

    kind: Literal["started", "progress", "finished"]
    stage: PlannedStage
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    record: StageRecord | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """How every planned stage stands after a run, by its id, and what this run executed."""

    records: Mapping[str, StageRecord]
    executed: tuple[str, ...]
    interrupted: bool

    @property
    def ok(self) -> bool:
        """Whether every planned stage is done."""
        return all(record.outcome is Outcome.OK for record in self.records.values())


@dataclasses.dataclass(slots=True)
class _Running:
    stage: PlannedStage
    slot: Slot
    work: Path
    started_s: float
    oom_kills: int
    deadline_s: float | None
    done: float = 0.0
    total: float = 0.0
    #: Set once the runner has asked the stage to end.
    ending: Outcome | None = None
    reason: str = ""


def run(
    stages: Sequence[PlannedStage],
    study: Study,
    results: Store,
    executor: Executor,
    *,
    functions: Mapping[str, str] = keys.ENTRIES,
    slots: Slots | None = None,
    limits_s: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    provenance: str | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Summary:
    """Execute every stage of a plan that is not done, as many at once as there are ``slots``.

    ``results`` must be locked by the caller, from before the plan was made.
    ``functions`` names what each stage executes (``module:function``), ``limits_s`` its
    wall-clock limit; ``options`` are handed to the stages, and ``provenance`` names what
    their records refer to (see ``bench.run.provenance``). SIGINT and SIGTERM stop the
    run in order; the summary then says so.

    Raises:
        DiskError: the results cannot be written; the other stages were stopped.
        MachineError: the process that starts the stages died.
    """
    return _Run(
        stages,
        study,
        results,
        executor,
        functions,
        slots or Slots(),
        limits_s or {},
        options or {},
        provenance,
        on_event,
    ).execute()


class _Run:
    def __init__(
        self,
        stages: Sequence[PlannedStage],
        study: Study,
        results: Store,
        executor: Executor,
        functions: Mapping[str, str],
        slots: Slots,
        limits_s: Mapping[str, float],
        options: Mapping[str, Any],
        provenance: str | None,
        on_event: Callable[[Event], None],
    ) -> None:
        self._stages = {stage.id: stage for stage in stages}
        self._study = study
        self._store = results
        self._executor = executor
        self._functions = functions
        self._slots = slots
        self._limits_s = limits_s
        self._options = options
        self._provenance = provenance
        self._on_event = on_event
        self._records: dict[str, StageRecord] = {}
        self._running: dict[str, _Running] = {}
        self._executed: list[str] = []
        self._waiting: list[PlannedStage] = []
        self._signals = 0
        for stage in stages:
            record = results.record(stage.owner, stage.stage, stage.key)
            if stage.state in (State.DONE, State.ADOPTED) and record is not None:
                self._records[stage.id] = record
            else:
                self._waiting.append(stage)
        self._waiting.sort(key=lambda stage: -stage.priority)

    def execute(self) -> Summary:
        """Run until nothing is left, or until a signal."""
        with self._catching_signals():
            try:
                while (self._waiting or self._running) and not self._signals:
                    self._skip_blocked()
                    self._start_ready()
                    if self._running:
                        self._handle(self._executor.poll(_POLL_S))
                        self._check_limits()
            finally:
                self._end_running()
        for stage in self._waiting:
            reason = "not started: the run was stopped"
            self._records[stage.id] = _bare(stage, Outcome.INTERRUPTED, reason)
        return Summary(self._records, tuple(self._executed), self._signals > 0)

    def _skip_blocked(self) -> None:
        """Drop the stages that build on one that failed, and say which that was."""
        for stage in list(self._waiting):
            for need in stage.needs:
                blocker = self._records.get(need)
                if blocker is None or blocker.outcome is Outcome.OK:
                    continue
                reason = blocker.reason if blocker.outcome is Outcome.SKIPPED else None
                self._waiting.remove(stage)
                self._store.prepare(stage.owner, stage.stage, stage.key, stage.made_of)
                reason = reason or f"{need} ended as {blocker.outcome}"
                self._finish(stage, _bare(stage, Outcome.SKIPPED, reason))
                return self._skip_blocked()
        return None

    def _start_ready(self) -> None:
        def cold(stage: PlannedStage) -> bool:
            return not self._executor.warm(stage.stage, self._store.work(*_place(stage)))

        for stage in sorted(self._waiting, key=cold):
            if all(need in self._records for need in stage.needs):
                slot = self._slots.take(stage.stage)
                if slot is not None:
                    self._waiting.remove(stage)
                    self._start(stage, slot)

    def _start(self, stage: PlannedStage, slot: Slot) -> None:
        work, resumed = self._store.prepare(stage.owner, stage.stage, stage.key, stage.made_of)
        job = Job(
            id=stage.id,
            stage=stage.stage,
            key=stage.key,
            study=self._study,
            cell=stage.cell,
            method=stage.method,
            size=stage.size,
            model=stage.model,
            tasks=stage.tasks,
            inputs=self._inputs(stage),
            slot=slot,
            options=self._options,
            provenance=self._provenance,
        )
        task = Task(job, self._functions[stage.stage], work, resumed)
        self._executor.start(task, self._store.lock_fd)
        now = time.monotonic()
        limit_s = self._limits_s.get(stage.stage)
        deadline_s = None if limit_s is None else now + limit_s
        self._running[stage.id] = _Running(stage, slot, work, now, outcomes.oom_kills(), deadline_s)
        self._executed.append(stage.id)
        self._on_event(Event("started", stage))

    def _inputs(self, stage: PlannedStage) -> dict[str, Path]:
        """The folders of all stages that one builds on, directly or not, by stage name."""
        found: dict[str, Path] = {}
        for need in stage.needs:
            before = self._stages[need]
            found |= {**self._inputs(before), before.stage: self._store.path(*_place(before))}
        return found

    def _handle(self, message: Mapping[str, Any] | None) -> None:
        if message is None or message["event"] == "ready":
            return
        if message["event"] == "disk":
            raise store.DiskError(message["problem"], hint=message["hint"])
        running = self._running.get(message["id"])
        if running is None:
            return
        if message["event"] == "progress":
            running.done, running.total = message["done"], message["total"]
            note = message["note"] if running.ending is None else _SAVING
            self._progress(running, note)
        else:
            del self._running[message["id"]]
            self._slots.give_back(running.stage.stage, running.slot)
            self._finish(running.stage, _ended(running, message))

    def _progress(self, running: _Running, note: str) -> None:
        self._on_event(Event("progress", running.stage, running.done, running.total, note))

    def _finish(self, stage: PlannedStage, record: StageRecord) -> None:
        if record.outcome is Outcome.OK:
            self._store.publish(stage.owner, stage.stage)
        else:
            record = dataclasses.replace(record, provenance=self._provenance)
            with store.writing(self._store.folder):
                store.write_record(self._store.work(stage.owner, stage.stage), record)
        self._records[stage.id] = record
        self._on_event(Event("finished", stage, record=record))

    def _check_limits(self) -> None:
        now = time.monotonic()
        for running in self._running.values():
            if running.deadline_s is None or now < running.deadline_s:
                continue
            if running.ending is None:
                limit_s = self._limits_s[running.stage.stage]
                running.ending = Outcome.TIMEOUT
                running.reason = f"ran longer than its limit of {limit_s:g} s"
                running.deadline_s = now + _grace_s(running.stage)
                self._executor.stop(running.stage.id, signal.SIGTERM)
            else:
                running.deadline_s = None
                self._executor.stop(running.stage.id, signal.SIGKILL)

    def _end_running(self) -> None:
        """Ask what still runs to end, wait, then end it; a second signal cuts the wait."""
        with contextlib.suppress(MachineError):  # the executor is gone, and they with it
            self._ask_and_wait()

    def _ask_and_wait(self) -> None:
        for running in self._running.values():
            running.ending = Outcome.INTERRUPTED
            running.reason = "stopped with the run; its work is kept"
            self._executor.stop(running.stage.id, signal.SIGTERM)
            running.deadline_s = time.monotonic() + _grace_s(running.stage)
            if running.stage.stage == TRAIN:
                self._progress(running, _SAVING)
        asked = self._signals
        while self._running:
            now, at_once = time.monotonic(), self._signals > asked
            asked = self._signals
            for running in self._running.values():
                if at_once or (running.deadline_s is not None and now > running.deadline_s):
                    running.deadline_s = None
                    self._executor.stop(running.stage.id, signal.SIGKILL)
            message = self._executor.poll(_POLL_S)
            with contextlib.suppress(store.DiskError):  # the first one is already told
                self._handle(message)

    @contextlib.contextmanager
    def _catching_signals(self) -> Iterator[None]:
        """Count SIGINT and SIGTERM instead of dying of them in the middle of a rename."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def count(_signal: int, _frame: FrameType | None) -> None:
            self._signals += 1

        before = {number: signal.signal(number, count) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


_STOPPING = (signal.SIGINT, signal.SIGTERM)


def _grace_s(stage: PlannedStage) -> float:
    return _TRAINING_GRACE_S if stage.stage == TRAIN else _GRACE_S


def _place(stage: PlannedStage) -> tuple[str, str]:
    return stage.owner, stage.stage


def _ended(running: _Running, message: Mapping[str, Any]) -> StageRecord:
    """The record of a stage whose process has ended, whether it left one or died."""
    stage = running.stage
    left = store.read_record(running.work)
    if left is not None and left.key != stage.key:
        left = None
    if left is not None and (left.outcome is Outcome.OK or running.ending is None):
        return left
    outcome, reason = running.ending, running.reason
    if outcome is None:
        outcome, reason = outcomes.of_death(int(message["code"]), running.oom_kills)
    record = left or dataclasses.replace(
        outcomes.bare_record(stage.key, stage.stage, outcome, reason),
        wall_s=time.monotonic() - running.started_s,
        cpu_s=message["cpu_s"],
        peak_rss_bytes=message["peak_rss_bytes"],
    )
    return dataclasses.replace(record, outcome=outcome, reason=reason)


def _bare(stage: PlannedStage, outcome: Outcome, reason: str) -> StageRecord:
    return outcomes.bare_record(stage.key, stage.stage, outcome, reason)
