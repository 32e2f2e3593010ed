"""Step times of a training, without warm-up, evaluation and saving.

On a GPU steps are timed by events on the device's own timeline: they are read once they have
passed, so that measuring never makes the device wait. On a CPU the host's clocks are enough.
The time of a step reaches from the end of the one before (or of what interrupted them) to its
own end; fetching its rows is part of it and is told apart, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import TrainerCallback

from bench.nvml import Devices
from bench.records import Tokens

#: Steps that are left out at the beginning, or a third of a training that is shorter.
WARMUP_STEPS = 10
_LEAST_STEPS = 3
#: How long a device may take to report that it has caught up: far less than a step.
_CAUGHT_UP_S = 200e-6


class _Mark(NamedTuple):
    """A moment: on the host's clocks in seconds and, on a GPU, as an event in its queue."""

    wall_s: float
    cpu_s: float
    event: Any | None


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """What ``StepClock`` found, as plain data.

    ``steady`` describes the steps behind the warm-up; None with ``reason`` where there were too
    few. ``spent_s``: seconds of the whole training by what they went to. ``micro_rows``: rows
    that were computed at once.
    """

    steady: dict[str, Any] | None
    reason: str | None
    spent_s: dict[str, float]
    micro_rows: int


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Times the optimizer steps of a Trainer; add it behind the callbacks that set its control."""

    def __init__(self) -> None:
        self._cuda = False
        self._warmup = WARMUP_STEPS
        self._micro_rows = 0
        self._last = _Mark(time.perf_counter(), time.process_time(), None)
        #: Where the next step's time begins; None behind an interruption.
        self._start: _Mark | None = None
        self._pending: deque[tuple[_Mark, _Mark]] = deque()
        self._step_s: list[float] = []
        self._cpu_s: list[float] = []
        self._wait_s: list[float] = []
        self._caught_up: list[bool] = []
        self._energy = _SteadyEnergy()
        self._spent_s = dict.fromkeys(("steps", "data_wait", "evaluate", "save", "other"), 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the warm-up."""
        self._cuda = args.device.type == "cuda"
        self._micro_rows = args.per_device_train_batch_size
        left = max(0, state.max_steps - state.global_step)
        self._warmup = min(WARMUP_STEPS, left // _LEAST_STEPS)
        self._lap("other")

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Fetching the rows of a step has ended."""
        self._wait_s.append(self._lap("data_wait"))
        if self._start is None:
            self._start = self._last

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See whether the device has caught up with what was started."""
        # Here and not at the end of the step: some optimizers wait for the device.
        if self._cuda:
            self._caught_up.append(_passes(_event()))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step has ended."""
        self._lap("steps")
        assert self._start is not None
        self._pending.append((self._start, self._last))
        self._start = self._last
        self._resolve()
        if self._cuda:
            stops = control.should_evaluate or control.should_save or control.should_training_stop
            steady = len(self._wait_s) > self._warmup
            self._energy.step(warm=len(self._wait_s) >= self._warmup, counts=steady, last=stops)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Logging has ended."""
        # An evaluation logs before it ends, and the training as a whole when it is over.
        if not any(name.startswith("eval_") for name in logs or {}):
            self._lap("other")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation has ended."""
        self._interrupted("evaluate")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint is written."""
        self._interrupted("save")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An epoch has ended; a checkpoint may follow."""
        if self._cuda:
            self._energy.close()
        self._interrupted("other")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The training has ended."""
        self._interrupted("other")

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Count what runs inside, behind the training, as ``evaluate``, ``save`` or ``other``."""
        self._lap("other")
        try:
            yield
        finally:
            self._interrupted(name)

    def timing(self, tokens: Tokens, steps: int) -> Timing:
        """The figures of this process' steps.

        Args:
            tokens: of all ``steps``, those before a resume among them: only their mean counts.
            steps: optimizer steps of the training.
        """
        if self._cuda:
            torch.cuda.synchronize()
        self._resolve()
        spent_s = dict(self._spent_s)
        done = len(self._step_s)
        warmup = min(self._warmup, done // _LEAST_STEPS)
        if done < _LEAST_STEPS:
            reason = f"too few steps for a rate: {done}, of at least {_LEAST_STEPS}"
            return Timing(None, reason, spent_s, self._micro_rows)
        low, median, high = np.quantile(self._step_s[warmup:], (0.2, 0.5, 0.8)).tolist()
        per_step = {
            name: count / steps / median for name, count in dataclasses.asdict(tokens).items()
        }
        steady = {
            "steps": done - warmup,
            "warmup_steps": warmup,
            "step_s": {"median": median, "p20": low, "p80": high},
            "cpu_s_per_step": float(np.mean(self._cpu_s[warmup:])),
            "tokens_per_s": per_step,
            "data_wait_s": float(np.mean(self._wait_s[warmup:])),
            "clock": "device events" if self._cuda else "wall clock",
            "device_idle_share": _share(self._caught_up[warmup:]),
            **self._energy.as_json(gpu=self._cuda),
            "notes": _notes(warmup, done),
        }
        return Timing(steady, None, spent_s, self._micro_rows)

    def _lap(self, name: str) -> float:
        """Count the seconds since the last moment to ``name``, and begin anew."""
        now = _Mark(time.perf_counter(), time.process_time(), _event() if self._cuda else None)
        seconds = now.wall_s - self._last.wall_s
        self._spent_s[name] += seconds
        self._last = now
        return seconds

    def _interrupted(self, name: str) -> None:
        self._energy.drop()
        self._lap(name)
        self._start = None

    def _resolve(self) -> None:
        """Turn steps that the device has finished into seconds, oldest first."""
        while self._pending:
            start, end = self._pending[0]
            if end.event is not None and start.event is not None:
                if not end.event.query():
                    return
                self._step_s.append(start.event.elapsed_time(end.event) / 1000)
            else:
                self._step_s.append(end.wall_s - start.wall_s)
            self._cpu_s.append(end.cpu_s - start.cpu_s)
            self._pending.popleft()


class _SteadyEnergy:
    """Joules of steady steps, read at the edges of uninterrupted stretches of them."""

    def __init__(self) -> None:
        self._devices = Devices()
        self._opened_j: float | None = None
        self._counted = 0
        self._joules = 0.0
        self._steps = 0

    def step(self, *, warm: bool, counts: bool, last: bool) -> None:
        """A step has ended: it ``counts`` if it was steady, and is the ``last`` of its stretch."""
        if self._opened_j is not None and counts:
            self._counted += 1
            if last:
                self.close()
        elif warm and not last:
            self._opened_j = self._read()
            self._counted = 0

    def drop(self) -> None:
        """Something else ran: an open stretch cannot be told from it any more."""
        self._opened_j = None

    def as_json(self, *, gpu: bool) -> dict[str, Any]:
        """Joules of one step, or the reason why they are not known."""
        reason = None
        if not gpu:
            reason = "no GPU"
        elif self._steps == 0:
            reason = self._devices.energy_lacks() or "no stretch of steps without an interruption"
        joules = self._joules / self._steps if reason is None else None
        return {"energy_j_per_step": joules, "energy_reason": reason}

    def close(self) -> None:
        """Count an open stretch, if there is one; its last step has just ended."""
        end = self._read() if self._opened_j is not None else None
        if end is not None and self._opened_j is not None:
            self._joules += end - self._opened_j
            self._steps += self._counted
        self._opened_j = None

    def _read(self) -> float | None:
        torch.cuda.synchronize()
        return self._devices.energy_j(torch.cuda)


def of(trainer: Any) -> StepClock:
    """The clock among a Trainer's callbacks."""
    found = [one for one in trainer.callback_handler.callbacks if isinstance(one, StepClock)]
    clock: StepClock = found[0]
    return clock


def _event() -> Any:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _passes(event: Any) -> bool:
    """Whether an event that was just recorded passes at once: the device had nothing queued."""
    end_s = time.perf_counter() + _CAUGHT_UP_S
    while not event.query():
        if time.perf_counter() > end_s:
            return False
    return True


def _share(flags: list[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _notes(warmup: int, done: int) -> list[str]:
    if warmup == WARMUP_STEPS:
        return []
    return [f"warm-up of {warmup} instead of {WARMUP_STEPS} steps: there were {done} in all"]
