"""What two runs cost, side by side: only on like machines, and only beyond what is noise.

Each stage was measured once, so no test can decide it and no exit code depends on it: this
tells where to look.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from bench.compare.differences import executor, hardware
from bench.compare.sides import Side
from bench.grid.plan import BASE, EMBED, GENERATE, MEASURE, SCORE, TRAIN
from bench.records import Outcome, StageRecord
from bench.report.mixture import Origin

#: Seconds and peaks of one program on like machines have differed by as much, seen again and
#: again on shared machines; what lies within is no difference.
NOISE = 0.16
#: Contention above which wall seconds are those of other work.
_CONTENTION = 2.0
_STAGES = (BASE, TRAIN, MEASURE, GENERATE, EMBED, SCORE)


class Change(StrEnum):
    """What became of a cost in B."""

    NOISE = "within noise"
    MORE = "more"
    LESS = "less"


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """One measure of all stages of a kind that both runs have: seconds added, peaks the highest."""

    stage: str
    measure: str
    a: float
    b: float
    stages: int
    change: Change

    @property
    def ratio(self) -> float:
        """B's share of A's, less one."""
        return self.b / self.a - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Costs:
    """The costs that compare; ``why`` tells why others, or all, do not."""

    rows: tuple[Cost, ...]
    why: str | None = None


Pair = tuple[StageRecord, StageRecord]


def between(a: Side, b: Side) -> Costs:
    """The costs of the finished stages of two runs, kind by kind."""
    left, right = (dict(zip(side.run.records, side.run.origins, strict=True)) for side in (a, b))
    reasons: dict[str, int] = {}
    pairs: dict[str, list[Pair]] = {}
    for owner, stage in left:
        one, other = left[owner, stage], right.get((owner, stage))
        if other is None:
            continue
        why = _unlike(one, other)
        if why is None:
            pairs.setdefault(stage, []).append((one.record, other.record))
        else:
            reasons[why] = reasons.get(why, 0) + 1
    rows = tuple(row for stage in _STAGES for row in _rows(stage, pairs.get(stage, [])))
    if not reasons:
        return Costs(rows, None if rows else "no stage was measured in both runs")
    why = max(reasons, key=lambda one: reasons[one])
    return Costs(rows, f"{sum(reasons.values())} stages not compared: {why}" if rows else why)


def _unlike(one: Origin, other: Origin) -> str | None:
    """Why the costs of two stages do not compare; None where they do."""
    if any(side.record.outcome is not Outcome.OK for side in (one, other)):
        return "not finished in both runs"
    if any(side.record.details.get("resumed") for side in (one, other)):
        return "interrupted and resumed"
    machines = [hardware(side.provenance) for side in (one, other)]
    if not all(machines):
        return "machine unknown"
    if machines[0] != machines[1]:
        return "other machine"
    if executor(one.provenance) != executor(other.provenance):
        return "another executor"
    devices = [side.record.details.get("device") for side in (one, other)]
    return "another device" if devices[0] != devices[1] else None


def _rows(stage: str, pairs: Sequence[Pair]) -> Iterator[Cost]:
    """CPU seconds of what computed on a CPU, else wall seconds; then the peaks."""
    on_gpu = any(record.peak_device_bytes is not None for pair in pairs for record in pair)
    if on_gpu:
        calm = [pair for pair in pairs if not any(map(_contended, pair))]
        yield from _row(stage, "wall s", calm, lambda record: record.wall_s, sum)
        yield from _row(stage, "GPU peak bytes", pairs, lambda one: one.peak_device_bytes, max)
    else:
        yield from _row(stage, "CPU s", pairs, lambda record: record.cpu_s, sum)
    yield from _row(stage, "peak bytes", pairs, lambda record: record.peak_rss_bytes, max)


def _contended(record: StageRecord) -> bool:
    return any((phase.contention or 0) > _CONTENTION for phase in record.phases)


def _row(
    stage: str,
    measure: str,
    pairs: Sequence[Pair],
    of: Callable[[StageRecord], float | None],
    together: Callable[[list[float]], float],
) -> Iterator[Cost]:
    values = [(of(one), of(other)) for one, other in pairs]
    both = [(x, y) for x, y in values if x is not None and y is not None]
    if not both:
        return
    a, b = together([x for x, _ in both]), together([y for _, y in both])
    if a > 0:
        yield Cost(stage, measure, a, b, len(both), change(a, b))


def change(a: float, b: float) -> Change:
    """What a cost of B is beside A's; the same ratio either way round."""
    if max(a, b) <= min(a, b) * (1 + NOISE):
        return Change.NOISE
    return Change.MORE if b > a else Change.LESS
