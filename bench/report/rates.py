"""What trainings cost a second and a token, from their steady steps: the base of every rate.

Loading, packing, evaluation, saving and the first steps are left out, so that two methods, or
two settings of one, are compared by what they compute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench.report.results import CostEntry, StageEntry

#: A training is launch-bound where the device had run out of work by the end of the backward
#: pass in more than this share of its steps: it then waits for operations to be started.
LAUNCH_BOUND = 0.5
PER = 1e6


@dataclasses.dataclass(frozen=True, slots=True)
class Rates:
    """Steady steps of the trainings of a cell together, under one setting.

    ``gpu``: seconds are those of the device, else CPU seconds of the process. ``per_s``: tokens
    a second by how they are counted (``processed``, ``real``, ``trained``). ``joules`` are of a
    million real tokens; where they or ``mfu`` are None, ``lacks`` says why, by name.
    """

    plan: str
    base: str
    micro_rows: tuple[int, ...]
    gpu: bool
    step_s: float
    per_s: Mapping[str, float]
    mfu: float | None
    joules: float | None
    weight_bytes: int
    launch_bound: bool
    lacks: Mapping[str, str]

    @property
    def seconds(self) -> float | None:
        """Seconds for a million real tokens; None where there were none."""
        return PER / self.per_s["real"] if self.per_s["real"] > 0 else None

    @property
    def setting(self) -> str:
        """For example ``2 rows at once, 4-bit base``."""
        rows = " or ".join(map(str, self.micro_rows))
        base = "" if self.base == "full" else f", {self.base} base"
        return f"{rows} row{'' if rows == '1' else 's'} at once{base}"


def of(stages: Sequence[StageEntry]) -> Rates | str:
    """The rates of some trainings together, or why there are none."""
    found: list[CostEntry] = []
    for stage in stages:
        cost = stage["cost"]
        if stage["outcome"] != "ok":
            return f"{stage['name']}: {stage['outcome']}: {stage['reason']}"
        if cost is None:
            return "steady steps are not recorded"
        if cost["steady"] is None:
            return cost["steady_reason"] or "no steady steps"
        found.append(cost)
    return _together(stages, found) if found else "no training"


def _together(stages: Sequence[StageEntry], found: Sequence[CostEntry]) -> Rates:
    gpu = all(stage["peak_device_bytes"] is not None for stage in stages)
    steps: list[float] = []  # of each training, as if all of it had been steady
    seconds: list[float] = []  # of one step
    tokens = dict.fromkeys(("processed", "real", "trained"), 0.0)
    lacks: dict[str, str] = {}
    joules: float | None = 0.0
    for stage, cost in zip(stages, found, strict=True):
        steady = cost["steady"]
        assert steady is not None
        median = steady["step_s"]["median"]
        counted = stage["tokens"]
        per_step = steady["tokens_per_s"]["processed"] * median
        steps.append(counted["processed"] / per_step if counted and per_step else 1.0)
        seconds.append(median if gpu else steady["cpu_s_per_step"])
        for name in tokens:
            tokens[name] += steps[-1] * steady["tokens_per_s"][name] * median
        if steady["energy_j_per_step"] is None or joules is None:
            joules = None
            lacks.setdefault("energy", steady["energy_reason"] or "not measured")
        else:
            joules += steps[-1] * steady["energy_j_per_step"]
        if cost["mfu"] is None:
            lacks.setdefault("mfu", cost["mfu_reason"] or "not measured")
    spent = [count * one for count, one in zip(steps, seconds, strict=True)]
    shares = [cost["mfu"] for cost in found]
    known = [share for share in shares if share is not None]
    whole = sum(spent)
    return Rates(
        plan=found[0]["setting"]["plan"],
        base=found[0]["setting"]["base"],
        micro_rows=tuple(sorted({cost["setting"]["micro_rows"] for cost in found})),
        gpu=gpu,
        step_s=whole / sum(steps),
        per_s={name: count / whole if whole else 0.0 for name, count in tokens.items()},
        mfu=sum(a * b for a, b in zip(known, spent, strict=True)) / whole
        if len(known) == len(found) and whole
        else None,
        joules=joules * PER / tokens["real"] if joules is not None and tokens["real"] else None,
        weight_bytes=max(cost["weight_bytes"] for cost in found),
        launch_bound=any(_waits(cost) for cost in found),
        lacks=lacks,
    )


def _waits(cost: CostEntry) -> bool:
    share = cost["steady"]["device_idle_share"] if cost["steady"] else None
    return share is not None and share > LAUNCH_BOUND
