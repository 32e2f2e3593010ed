"""How long a run may still take: the forecast of its stages, held against those that ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench.grid import schedule
from bench.grid.estimates import NOTHING, StageEstimate
from bench.records import Outcome, StageRecord


class TimeLeft:
    """The wall time that is left, by a schedule of the stages that have not ended.

    A forecast is made for an idle machine; what the stages that ended took in wall seconds
    against theirs says how much longer the others take here.

    Args:
        estimates: of the stages that are to run.
        needs: what each stage builds on.
        gpus: stages side by side on GPUs.
        jobs: and on the processor.
    """

    def __init__(
        self,
        estimates: Sequence[StageEstimate],
        needs: Mapping[str, Sequence[str]],
        *,
        gpus: int,
        jobs: int,
    ) -> None:
        self._left = {one.id: one for one in estimates}
        self._needs = needs
        self._gpus = gpus
        self._jobs = jobs
        self._shares: dict[str, float] = {}
        # As if a twentieth of the run had gone as foreseen: a stage of a second decides nothing.
        whole_h = sum(one.hours.value for one in estimates if one.hours.value is not None)
        self._foreseen_s = self._took_s = 3600 * whole_h / 20

    def progress(self, stage: str, share: float) -> None:
        """A stage has done a share of its work, 0 to 1."""
        self._shares[stage] = min(1.0, max(0.0, share))

    def ended(self, stage: str, record: StageRecord) -> None:
        """A stage has ended, well or not."""
        one = self._left.pop(stage, None)
        self._shares.pop(stage, None)
        if one is None or one.hours.value is None or record.wall_s is None:
            return
        foreseen_s = 3600 * one.hours.value
        # Far less than foreseen is other work: a base that comes with the kit is only copied.
        if record.outcome is Outcome.OK and record.wall_s > foreseen_s / 10:
            self._foreseen_s += foreseen_s
            self._took_s += record.wall_s

    def told(self) -> str:
        """How long it may still take and on what that rests, or why nobody knows."""
        if not self._left:
            return "nothing is left"
        known = [one for one in self._left.values() if one.hours.value is not None]
        if not known:
            reasons = [one.hours.basis for one in self._left.values() if one.hours.basis]
            return f"time left not known: {reasons[0]}" if reasons else "time left not known"
        left = [self._rest(one) for one in self._left.values()]
        found = schedule.wall(left, self._needs, gpus=max(1, self._gpus), slots=max(1, self._jobs))
        words = (one.hours.basis.replace(",", " ").split() for one in known)
        bases = dict.fromkeys(basis[0] for basis in words if basis)
        minutes = found.hours * 60 * self._slower
        if not found.whole and minutes < 1:
            return "time left not known"
        word = "about" if found.whole else "at least"
        told = f"{word} {_amount(minutes)}" if minutes >= 1 else "less than a minute"
        return f"{told} left ({', '.join(bases)})"

    @property
    def _slower(self) -> float:
        """How much longer than foreseen the stages took that ended."""
        return self._took_s / self._foreseen_s if self._foreseen_s > 0 else 1.0

    def _rest(self, one: StageEstimate) -> StageEstimate:
        """What is left of a stage."""
        if one.hours.value is None or one.hours == NOTHING:
            return one
        rest = one.hours.value * (1 - self._shares.get(one.id, 0.0))
        return dataclasses.replace(one, hours=dataclasses.replace(one.hours, value=rest))


def _amount(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
