"""The recorded stage that is most like a planned one, and how many times its work that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.costs import Shape
from bench.grid import analytic, devices, durations, keys
from bench.grid.plan import BASE, EMBED, SCORE, TRAIN, PlannedStage
from bench.grid.recorded import Measured, Run
from bench.grid.study import HubBase, Study, TinyBase

RECORDED = "recorded"
_SCALED, _ON = "scaled from ", " on "
#: They cost what the texts do, whatever model wrote them.
_OF_TEXTS = (EMBED, SCORE)
#: Of a base, its shape or why that is not known: ``bench.data.architectures.shape``.
ShapeOf = Callable[[TinyBase | HubBase], Shape | str]


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """How much a stage of a study computes, where that is known.

    ``tokens`` of a training, else the ``characters`` of its texts in all epochs; ``prompts``
    by their limit of new tokens.
    """

    tokens: int | None
    characters: int | None
    prompts: Mapping[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """A recorded stage, its run, and what it is to the planned one: a basis, and a ratio.

    The ratio is None where the amounts of work cannot be compared.
    """

    measured: Measured
    run: Run
    basis: str
    ratio: float | None

    @property
    def same(self) -> bool:
        """Whether the very same was recorded on such a device."""
        return self.basis == RECORDED


def match(
    study: Study,
    stage: PlannedStage,
    device: str | None,
    runs: Sequence[Run],
    shape_of: ShapeOf,
    work: Callable[[Study, str, str | None, tuple[str, ...]], Work],
    *,
    gpu: bool,
) -> Match | None:
    """The nearest recorded stage: the same one, else one of the same shape, device, tasks.

    Args:
        study: the planned study.
        stage: the stage to estimate.
        device: the name of the GPU or processor that it is to run on.
        runs: recorded ones; among equals the first counts.
        shape_of: the shape of a base.
        work: the amount of work of a study's model: study, stage, method, tasks.
        gpu: whether the stage computes on a GPU.
    """
    wanted = _decides(study, stage.stage, stage.size, stage.method, stage.tasks)
    shape = shape_of(study.base(stage.size))
    best: tuple[int, Measured, Run] | None = None
    for run in runs:
        for one in run.stages:
            if one.stage != stage.stage or one.gpu != gpu:
                continue
            its = shape_of(run.study.base(one.size))
            if not _alike(study, stage, one, run, equal=its == shape):
                continue
            made = _decides(run.study, one.stage, one.size, one.method, one.tasks)
            rank = 8 * (its != shape and stage.stage not in _OF_TEXTS) + 4 * (one.device != device)
            rank += 2 * (made != wanted) + (one.tasks != stage.tasks)
            if best is None or rank < best[0]:
                best = rank, one, run
    if best is None:
        return None
    rank, one, run = best
    if rank == 0:
        return Match(one, run, RECORDED, 1.0)
    basis = f"{_SCALED}{run.name}"
    if rank & 8:
        basis += f" {one.size}"
    if one.device != device:
        basis += f"{_ON}{one.device or 'an unnamed device'}"
    return Match(one, run, basis, _ratio(study, stage, device, one, run, shape_of, work))


def recorded_on(basis: str) -> tuple[str, str | None]:
    """A basis without the device on which what it scales was recorded, and that device.

    The device is None where it is the planned one's, or the basis scales nothing.
    """
    if not basis.startswith(_SCALED):
        return basis, None
    head, on, device = basis.partition(_ON)
    return head, device if on else None


def _decides(
    study: Study, stage: str, size: str, method: str | None, tasks: Sequence[str]
) -> dict[str, Any]:
    """What decides a stage, without what a base is called."""
    found = keys.decides(study, stage, size=size, method=method, tasks=tasks)
    base = found.get("base")
    return {**found, "base": {**base, "name": None}} if base else found


def _alike(study: Study, stage: PlannedStage, one: Measured, run: Run, *, equal: bool) -> bool:
    """Whether a recorded stage is of a planned one's kind, so that amounts scale it.

    Between shapes only a training on a GPU is scaled: what a tiny model's takes on a processor
    is hardly its products.
    """
    if stage.stage in _OF_TEXTS:
        mine, its = study.scoring.metrics, run.study.scoring.metrics
        return one.tasks == stage.tasks and set(mine) == set(its)
    if analytic.kind(one.method) != analytic.kind(stage.method):
        return False
    return equal or (stage.stage == TRAIN and one.gpu)


def _ratio(
    study: Study,
    stage: PlannedStage,
    device: str | None,
    one: Measured,
    run: Run,
    shape_of: ShapeOf,
    work: Callable[[Study, str, str | None, tuple[str, ...]], Work],
) -> float | None:
    """How many times the work of a recorded stage a planned one is."""
    if stage.stage == BASE:
        steps = [_pretraining(study, stage.size), _pretraining(run.study, one.size)]
        return steps[0] / steps[1] if steps[0] and steps[1] else None
    mine = work(study, stage.stage, stage.method, stage.tasks)
    its = work(run.study, one.stage, one.method, one.tasks)
    if stage.stage == TRAIN:
        if one.gpu:
            return _time_ratio(study, stage, device, mine, one, run, shape_of)
        if mine.tokens and one.tokens:
            return mine.tokens / one.tokens
        return mine.characters / its.characters if mine.characters and its.characters else None
    prompts = sum(new * count for new, count in mine.prompts.items())
    answered = sum(new * count for new, count in its.prompts.items())
    return prompts / answered if prompts and answered else None


def _time_ratio(
    study: Study,
    stage: PlannedStage,
    device: str | None,
    mine: Work,
    one: Measured,
    run: Run,
    shape_of: ShapeOf,
) -> float | None:
    """The ratio of the analytic times of two trainings, each on its own GPU."""
    shapes = shape_of(study.base(stage.size)), shape_of(run.study.base(one.size))
    here, there = devices.limits(device or ""), devices.limits(one.device or "")
    if here is None or there is None or not mine.tokens or not one.tokens:
        return None
    if isinstance(shapes[0], str) or isinstance(shapes[1], str):
        return None
    fits = (
        analytic.fit(study, stage.method, stage.tasks, **_on(device, shapes[0])),
        analytic.fit(run.study, one.method, one.tasks, **_on(one.device, shapes[1])),
    )
    took = durations.training_time(shapes[1], fits[1], one.tokens, there)
    return durations.training_time(shapes[0], fits[0], mine.tokens, here).seconds / took.seconds


def _on(device: str | None, shape: Shape) -> dict[str, Any]:
    """What ``analytic.fit`` chooses micro-batches by, for a GPU by its name."""
    gpu = devices.named(device or "")
    return {"shape": shape, "memory_bytes": gpu.memory_bytes, "device": gpu.limits}


def _pretraining(study: Study, size: str) -> int | None:
    """Rows that a tiny base is pretrained on."""
    base = study.base(size)
    if isinstance(base, HubBase):
        return None
    return base.pretrain_steps * base.pretrain_rows_per_step
