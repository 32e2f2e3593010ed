"""What the stages that are left will cost: hours, peak memory and disk, each with its basis.

A stage of which the same was recorded on such a device is ``recorded``. Else, where its shape
was measured on a GPU for some steps, it is ``profiled`` (``bench.grid.profiled``); one of the
same kind is ``scaled from`` a run; and on a GPU that the kit knows it is ``analytic``
(``bench.costs``). What none of them can tell is None with a reason. Hours are GPU hours where
a stage computes on a GPU, else CPU hours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from bench import costs
from bench.costs import Fit, Shape
from bench.grid import analytic, durations, nearest, profiled
from bench.grid.devices import Gpu, Machine
from bench.grid.durations import Asked
from bench.grid.nearest import Match, ShapeOf, Work
from bench.grid.plan import BASE, EMBED, GENERATE, MEASURE, SCORE, TRAIN, Amounts, PlannedStage
from bench.grid.profiles import Profile
from bench.grid.recorded import Run
from bench.grid.study import HubBase, Study

ANALYTIC = "analytic"
#: Bytes of generations for each token that may be written: the text, and what was kept of it.
_TOKEN_BYTES = 8
#: Bytes of the scores of one problem.
_SCORE_BYTES = 1024
#: Qwen2.5's tokenizer, saved with all weights.
_TOKENIZER_BYTES = 11_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A value with its basis, or None with the reason in the same place.

    An empty basis: there is nothing to tell (a hub model is only verified).
    """

    value: float | None
    basis: str


NOTHING = Figure(None, "")
_NO_RUN = "no run has recorded the like"


@dataclasses.dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage that is left. ``memory`` in bytes, of the device where it computes on a ``gpu``.

    ``disk`` bytes stay, ``scratch_bytes`` are needed beside them while the stage runs.
    """

    id: str
    cell: str | None
    size: str
    stage: str
    gpu: bool
    hours: Figure
    memory: Figure
    disk: Figure
    scratch_bytes: int

    @property
    def place(self) -> str:
        """The cell, or the base, that it belongs to: ``mt-qlora-3b``, ``base 3b``."""
        return self.cell or f"base {self.size}"


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What an estimate is made from.

    ``amounts_of`` gives the data of a study, recorded ones included (``bench.data.sizes``);
    ``runs`` are recorded, the nearest first; ``profiles`` of GPUs, the latest first.
    """

    study: Study
    machine: Machine
    amounts_of: Callable[[Study], Amounts]
    shape_of: ShapeOf
    runs: Sequence[Run]
    profiles: Sequence[Profile] = ()


def estimate(known: Known, stages: Iterable[PlannedStage]) -> list[StageEstimate]:
    """What each stage of a plan that is not stored will cost."""
    estimator = _Estimator(known)
    left = [stage for stage in stages if not stage.stored]
    if not any(stage.stage == MEASURE for stage in left):
        return [estimator.stage(stage) for stage in left]
    # The same training as another, of the study as published.
    published = _Estimator(dataclasses.replace(known, study=known.study.as_published()))
    return [
        _measured(published, stage) if stage.stage == MEASURE else estimator.stage(stage)
        for stage in left
    ]


def _measured(published: _Estimator, stage: PlannedStage) -> StageEstimate:
    """What a measuring arm will cost: it leaves nothing on the disk."""
    found = published.stage(dataclasses.replace(stage, stage=TRAIN))
    return dataclasses.replace(found, id=stage.id, stage=MEASURE, disk=NOTHING, scratch_bytes=0)


class _Estimator:
    def __init__(self, known: Known) -> None:
        self._study = known.study
        self._machine = known.machine
        self._runs = known.runs
        self._profiles = known.profiles
        self._shape_of = known.shape_of
        self._shapes = {base.name: known.shape_of(base) for base in known.study.sizes}
        self._amounts_of = known.amounts_of
        self._counted: dict[int, Amounts] = {}

    def stage(self, stage: PlannedStage) -> StageEstimate:
        """What one stage will cost."""
        hub = isinstance(self._study.base(stage.size), HubBase)
        gpu = stage.stage in (TRAIN, GENERATE) and (hub or self._machine.gpu is not None)
        shape = self._shapes[stage.size]
        hours = memory = disk = NOTHING
        if not (hub and stage.stage == BASE):
            device = self._machine.gpu.name if gpu and self._machine.gpu else self._machine.cpu
            found = nearest.match(
                self._study, stage, device, self._runs, self._shape_of, self._work, gpu=gpu
            )
            hours = self._hours(stage, found, gpu=gpu)
            memory = self._memory(stage, found, gpu=gpu)
            disk = self._disk(stage, found, hub=hub)
        scratch = 0
        if stage.stage == TRAIN and isinstance(shape, Shape):
            scratch = analytic.checkpoint_bytes(self._study, stage.method, stage.tasks, shape)
        return StageEstimate(
            stage.id, stage.cell, stage.size, stage.stage, gpu, hours, memory, disk, scratch
        )

    def _amounts(self, study: Study) -> Amounts:
        """A study's data, counted once; a recorded run and the planned study may share a name."""
        if id(study) not in self._counted:
            self._counted[id(study)] = self._amounts_of(study)
        return self._counted[id(study)]

    def _work(self, study: Study, stage: str, method: str | None, tasks: tuple[str, ...]) -> Work:
        """How much a stage of a study computes, where its data are here."""
        amounts = self._amounts(study)
        if stage in (GENERATE, EMBED, SCORE):
            return Work(None, None, _prompts(study, amounts, tasks))
        size = amounts.models.get((str(method), tasks), {})
        tokens = analytic.training_tokens(study, method, tasks, size.get("rows"))
        texts = [one["characters"] for one in amounts.data["tracks"] if one["task"] in tasks]
        characters = None
        if texts and None not in texts:
            characters = sum(texts) * analytic.optimization(study, method, tasks).epochs
        return Work(tokens, characters, {})

    def _hours(self, stage: PlannedStage, found: Match | None, *, gpu: bool) -> Figure:
        told = None
        if gpu and (found is None or not found.same):
            told = self._profiled_hours(stage)
        if told is not None:
            return told
        if found is not None and found.ratio is not None:
            seconds = found.measured.wall_s if gpu else found.measured.cpu_s
            return Figure(found.ratio * seconds / 3600, found.basis)
        return self._calculated_hours(stage) if gpu else _not_recorded(stage)

    def _calculated_hours(self, stage: PlannedStage) -> Figure:
        shape, device = self._shapes[stage.size], self._machine.gpu
        if isinstance(shape, str):
            return Figure(None, shape)
        if device is None:
            return Figure(None, "hours depend on the GPU, and none is here: plan --gpu NAME")
        if device.limits is None:
            return Figure(None, f"the limits of {device.name} are not in datasets/gpus.toml")
        work = self._work(self._study, stage.stage, stage.method, stage.tasks)
        if stage.stage == TRAIN:
            if work.tokens is None:
                return Figure(None, "rows of text are known once they are packed")
            wanted = self._wanted(stage, shape)
            took = durations.training_time(shape, wanted.fit, work.tokens, device.limits)
            hours, basis = took.seconds / 3600, _at(took.utilisation)
            near = profiled.correction(self._profiles, wanted, device)
            if near is not None and not took.launch_bound:
                hours, basis = hours * near[0], _corrected(*near)
            return Figure(hours, basis)
        asked, basis = _asked(self._study, self._amounts(self._study), stage.tasks)
        if not asked:
            return Figure(None, "the suites' problems are not here")
        took = analytic.answering_time(
            self._study, stage.method, shape, asked, device.limits, device.memory_bytes
        )
        return Figure(took.seconds / 3600, f"{_at(took.utilisation)}, {basis}")

    def _fit(self, stage: PlannedStage, shape: Shape) -> Fit:
        """How a stage trains on this machine's GPU."""
        gpu = self._machine.gpu
        return analytic.fit(
            self._study,
            stage.method,
            stage.tasks,
            shape=shape,
            memory_bytes=None if gpu is None else gpu.memory_bytes,
            device=None if gpu is None else gpu.limits,
        )

    def _wanted(self, stage: PlannedStage, shape: Shape) -> profiled.Wanted:
        training, kind = self._study.training, analytic.kind(stage.method)
        fit = self._fit(stage, shape)
        return profiled.Wanted(shape, kind, training.plan, fit, training.packing, training.kernels)

    def _profiled_hours(self, stage: PlannedStage) -> Figure | None:
        """What steady steps of its shape took on a GPU, times its tokens."""
        shape, device = self._shapes[stage.size], self._machine.gpu
        if isinstance(shape, str) or device is None:
            return None
        work = self._work(self._study, stage.stage, stage.method, stage.tasks)
        if stage.stage == TRAIN:
            if work.tokens is None:
                return None
            wanted = self._wanted(stage, shape)
            told = profiled.training_seconds(self._profiles, wanted, device, work.tokens)
        else:
            told = self._profiled_answers(stage, shape, device)
        if told is None or told.value is None:
            return None
        return Figure(told.value / 3600, told.basis)

    def _profiled_answers(
        self, stage: PlannedStage, shape: Shape, device: Gpu
    ) -> profiled.Told | None:
        study, method = self._study, stage.method
        asked, _ = _asked(study, self._amounts(study), stage.tasks)
        if not asked:
            return None
        return profiled.answering_seconds(
            self._profiles,
            shape,
            device,
            lambda limits: (
                analytic.answering_time(
                    study, method, shape, asked, limits, device.memory_bytes
                ).seconds
            ),
            adapter=analytic.lora(study, method) is not None,
            quantised=analytic.quantised(study, method),
            rows=analytic.answering_rows(study, method, shape, asked, device.memory_bytes),
        )

    def _memory(self, stage: PlannedStage, found: Match | None, *, gpu: bool) -> Figure:
        if not gpu:
            return self._process(stage, found) if found else _not_recorded(stage)
        if found is not None and found.same and found.measured.peak_device_bytes:
            return Figure(found.measured.peak_device_bytes, found.basis)
        shape, device = self._shapes[stage.size], self._machine.gpu
        if isinstance(shape, str):
            return Figure(None, shape)
        if stage.stage == TRAIN:
            wanted = self._wanted(stage, shape)
            told = profiled.training_bytes(self._profiles, wanted, device) if device else None
            if told is not None:
                return Figure(told.value, told.basis)
            return Figure(costs.training_memory(shape, wanted.fit).total, ANALYTIC)
        size = analytic.answering_bytes(
            self._study,
            stage.method,
            shape,
            _asked(self._study, self._amounts(self._study), stage.tasks)[0]
            or analytic.unknown_prompts(self._study, stage.tasks),
            device.memory_bytes if device else None,
        )
        return Figure(size, ANALYTIC)

    def _process(self, stage: PlannedStage, found: Match) -> Figure:
        """The memory of a recorded stage's processes, and what a larger micro-batch adds to it."""
        measured, shape = found.measured, self._shapes[stage.size]
        if found.same or stage.stage != TRAIN or isinstance(shape, str):
            basis = found.basis.replace("scaled from", "as in")
            return Figure(measured.peak_rss_bytes, basis)
        mine, its = (
            costs.training_memory(shape, analytic.fit(study, method, tasks, gpu=False)).total
            for study, method, tasks in (
                (self._study, stage.method, stage.tasks),
                (found.run.study, measured.method, measured.tasks),
            )
        )
        return Figure(measured.peak_rss_bytes + max(0, mine - its), found.basis)

    def _disk(self, stage: PlannedStage, found: Match | None, *, hub: bool) -> Figure:
        if found is not None and found.same:
            return Figure(found.measured.disk_bytes, found.basis)
        if stage.stage in (GENERATE, EMBED, SCORE):
            prompts = self._work(self._study, stage.stage, stage.method, stage.tasks).prompts
            if not prompts:
                return Figure(None, "the suites' problems are not here")
            if stage.stage in (EMBED, SCORE):
                return Figure(_SCORE_BYTES * sum(prompts.values()), ANALYTIC)
            tokens = sum(new * count for new, count in prompts.items())
            return Figure(_TOKEN_BYTES * tokens, ANALYTIC)
        shape = self._shapes[stage.size]
        if isinstance(shape, str):
            return Figure(None, shape)
        tokenizer = _TOKENIZER_BYTES if hub and analytic.kind(stage.method) == "full" else 0
        artifact = analytic.artifact_bytes(self._study, stage.method, shape)
        return Figure(artifact + tokenizer, ANALYTIC)


def _prompts(study: Study, amounts: Amounts, tasks: Sequence[str]) -> dict[int, int]:
    """The prompts of some tasks by how many tokens may answer them."""
    found: dict[int, int] = {}
    for suite in amounts.data["suites"]:
        for track, count in (suite["problems"] or {}).items():
            task = track.partition("/")[0]
            if task in tasks:
                new = study.decoding.new_tokens[task]
                found[new] = found.get(new, 0) + count
    return found


#: What the hours of generation rest on: whether references tell how long answers will be.
_AS_REFERENCES = "answers as long as the references"
_UP_TO_THE_LIMIT = "answers up to their limit"
_SOME_REFERENCES = f"{_AS_REFERENCES}, up to their limit where there are none"


def _asked(study: Study, amounts: Amounts, tasks: Sequence[str]) -> tuple[list[Asked], str]:
    """The prompts of some tasks by suite and track, and what their answers' lengths rest on."""
    found, referenced = [], set()
    for suite in amounts.data["suites"]:
        for track, count in (suite["problems"] or {}).items():
            task = track.partition("/")[0]
            if task not in tasks:
                continue
            new, its = study.decoding.new_tokens[task], suite["lengths"][track]
            found.append(
                Asked(
                    count,
                    its["prompt_mean"],
                    its["prompt_longest"],
                    new,
                    min(new, its["answer_mean"] or new),
                    min(new, its["answer_longest"] or new),
                )
            )
            referenced.add(its["answer_mean"] is not None)
    if len(referenced) == 2:
        return found, _SOME_REFERENCES
    return found, _AS_REFERENCES if True in referenced else _UP_TO_THE_LIMIT


def _not_recorded(stage: PlannedStage) -> Figure:
    return Figure(None, f"{stage.stage} {stage.size}: {_NO_RUN}")


def _at(utilisation: float) -> str:
    """``analytic, at 26 % of peak``."""
    percent = 100 * utilisation
    return f"{ANALYTIC}, at {f'{percent:.0f}' if percent >= 1 else '< 1'} % of peak"


def _corrected(times: float, size: str) -> str:
    """``analytic, times 1.08 as measured at 3b``."""
    return f"{ANALYTIC}, times {times:.2f} as measured at {size}"
