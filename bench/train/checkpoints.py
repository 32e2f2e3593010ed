"""When a training keeps what it has: every so many minutes, and when it is asked to end.

The checkpoints of the protocol (at evaluations, at the ends of epochs) lie hours apart at
the paper's sizes. These come in between and change no weight: a resumed training goes
through the same steps with the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from bench import interruption

#: At most this share of a training's time goes into checkpoints that the clock asks for: those
#: of 7B full fine-tuning take minutes.
_MOST_SHARE = 0.05


class Keeper(TrainerCallback):  # type: ignore[misc]
    """Has checkpoints written by the clock and on request; see the module.

    It stands last among the callbacks: a checkpoint must be marked as complete before the
    training ends on request.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = minutes * 60
        self._clock = clock
        self._saved_s = self._logged_s = clock()
        self._longest_s = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on a request to end waits for the end of a step."""
        interruption.defer()
        self._saved_s = self._logged_s = self._clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a checkpoint where one is due."""
        if interruption.asked():
            # A mean of the loss ends with the checkpoint: none is kept in it.
            control.should_log = control.should_save = True
        elif control.should_log and self._due():
            # Only where a mean of the loss ends anyway, so that the clock adds no point to it.
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last that happens before a checkpoint is written, save an evaluation."""
        self._logged_s = self._clock()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation has ended: its time is not the checkpoint's."""
        self._logged_s = self._clock()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note what the checkpoint took; end where that was asked for.

        Raises:
            Stopped: the process was asked to end, and the last step has not been reached.
        """
        self._saved_s = self._clock()
        self._longest_s = max(self._longest_s, self._saved_s - self._logged_s)
        if interruption.asked() and state.global_step < state.max_steps:
            raise interruption.Stopped

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """What is left, saving the model, is soon done again: a request ends it at once."""
        interruption.settle()

    def _due(self) -> bool:
        interval_s = max(self._interval_s, self._longest_s / _MOST_SHARE)
        return self._clock() - self._saved_s >= interval_s
