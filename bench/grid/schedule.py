"""How long the stages of a plan take on some GPUs side by side: a list schedule.

One model a GPU: a stage that computes on one has it alone, what scores runs beside on the
processor's slots. Of the stages that may start, that with the longest way to the end starts
first (longest processing time, over chains).
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping, Sequence

from bench.grid.estimates import NOTHING, StageEstimate


@dataclasses.dataclass(frozen=True, slots=True)
class Wall:
    """Hours from the first stage to the last. Not ``whole``: without stages nobody can tell.

    ``chain_hours`` is the least that any number of GPUs needs: the longest chain of stages,
    most of which is at the place (a cell, or a base) that ``chain`` names.
    """

    gpus: int
    hours: float
    whole: bool
    chain_hours: float
    chain: str | None

    @property
    def bound(self) -> bool:
        """Whether the longest chain takes all of it, so that more GPUs would not help."""
        return self.hours <= self.chain_hours * (1 + 1e-9)


def wall(
    stages: Sequence[StageEstimate],
    needs: Mapping[str, Sequence[str]],
    *,
    gpus: int,
    slots: int,
) -> Wall:
    """The wall hours of what is left.

    Args:
        stages: those that are left; a stage whose hours are not known takes none.
        needs: the ids of the stages that each builds on; those that are stored are not waited for.
        gpus: GPUs side by side.
        slots: stages at once on the processor.
    """
    left = {one.id: one for one in stages}
    before = {id_: {need for need in needs.get(id_, ()) if need in left} for id_ in left}
    after: dict[str, list[str]] = {id_: [] for id_ in left}
    for id_, waits in before.items():
        for need in sorted(waits):
            after[need].append(id_)
    urgent = _longest(left, after)
    free = {True: gpus, False: slots}
    ready: dict[bool, list[tuple[float, str]]] = {True: [], False: []}

    def arrives(id_: str) -> None:
        heapq.heappush(ready[left[id_].gpu], (-urgent[id_], id_))

    for id_ in left:
        if not before[id_]:
            arrives(id_)
    running: list[tuple[float, str]] = []
    now = 0.0
    while any(ready.values()) or running:
        for gpu, queue in ready.items():
            while queue and free[gpu]:
                _, id_ = heapq.heappop(queue)
                free[gpu] -= 1
                heapq.heappush(running, (now + _hours(left[id_]), id_))
        now = running[0][0]
        while running and running[0][0] == now:  # all that ends now, before anything starts
            _, done = heapq.heappop(running)
            free[left[done].gpu] += 1
            for id_ in after[done]:
                before[id_].remove(done)
                if not before[id_]:
                    arrives(id_)
    whole = all(one.hours.value is not None or one.hours == NOTHING for one in stages)
    return Wall(gpus, now, whole, *_chain(left, after, urgent))


def _chain(
    left: Mapping[str, StageEstimate],
    after: Mapping[str, Sequence[str]],
    urgent: Mapping[str, float],
) -> tuple[float, str | None]:
    """The hours of the longest chain, and the place of its longest stage."""
    if not left:
        return 0.0, None
    stage = max(left, key=lambda id_: urgent[id_])
    hours, chain = urgent[stage], [stage]
    while after[stage]:
        stage = max(after[stage], key=lambda id_: urgent[id_])
        chain.append(stage)
    return hours, left[max(chain, key=lambda id_: _hours(left[id_]))].place


def _hours(one: StageEstimate) -> float:
    return one.hours.value or 0.0


def _longest(
    left: Mapping[str, StageEstimate], after: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The hours of the longest chain that begins with each stage."""
    found: dict[str, float] = {}

    def from_(id_: str) -> float:
        if id_ not in found:
            found[id_] = _hours(left[id_]) + max(map(from_, after[id_]), default=0.0)
        return found[id_]

    for id_ in left:
        from_(id_)
    return found
