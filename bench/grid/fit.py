"""Whether a study fits a machine: device memory, memory, disks; and the nearest way out.

A problem is sure where an estimate lies beyond the limit by a clear margin, else a warning.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from bench import costs
from bench.costs import Shape
from bench.errors import MachineError
from bench.grid import analytic
from bench.grid.devices import Machine
from bench.grid.estimates import StageEstimate
from bench.grid.nearest import RECORDED, ShapeOf
from bench.grid.plan import GENERATE, MEASURE, TRAIN, PlannedStage
from bench.grid.profiled import OUT_OF_MEMORY, PROFILED
from bench.grid.study import HubBase, Study

#: An estimate may be off by so much of itself: a sure problem lies beyond, a warning within.
_MARGIN = 0.15


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not fit. ``sure``: a run of it is refused, else only warned of."""

    sure: bool
    what: str
    hint: str


def problems(
    study: Study,
    machine: Machine,
    planned: Sequence[PlannedStage],
    stages: Sequence[StageEstimate],
    downloads: Mapping[str, int | None],
    jobs: int,
    shape_of: ShapeOf,
) -> list[Problem]:
    """All that does not fit, sure problems first; ``jobs`` stages run at once."""
    found = [
        *([] if machine.gpu else without_gpu(study, planned)),
        *_device(study, machine, planned, stages, shape_of),
        *_at_once(machine, stages, jobs),
        *_process(machine, stages),
        *_disk(machine, stages, downloads, jobs),
    ]
    return sorted(found, key=lambda one: not one.sure)


def require(found: Sequence[Problem]) -> None:
    """Refuse what surely does not fit.

    Raises:
        MachineError: the first sure problem, with the way out of it.
    """
    for one in found:
        if one.sure:
            raise MachineError(one.what, hint=f"{one.hint}; --anyway tries it all the same")


def fitting_jobs(machine: Machine, stages: Sequence[StageEstimate], cores: int) -> int:
    """How many stages to run at once on the CPU: as many as ``cores`` and the memory hold.

    Those on GPUs go beside them, one a GPU.
    """
    jobs = cores
    while jobs > 1 and _largest(stages, jobs) > machine.memory_bytes:
        jobs -= 1
    return jobs


def without_gpu(
    study: Study,
    stages: Sequence[PlannedStage],
    why: str = "this machine shows none",
    hint: str = "run it where nvidia-smi finds one, or choose another study: --study smoke",
) -> list[Problem]:
    """The first stage that is left of a model of the hub, which takes a GPU to compute with."""
    for one in stages:
        hub = isinstance(study.base(one.size), HubBase)
        if hub and one.stage in (TRAIN, MEASURE, GENERATE) and not one.stored:
            place = one.cell or f"base {one.size}"
            return [Problem(True, f"{place}: {one.stage} needs a CUDA GPU, and {why}", hint)]
    return []


def _device(
    study: Study,
    machine: Machine,
    planned: Sequence[PlannedStage],
    stages: Sequence[StageEstimate],
    shape_of: ShapeOf,
) -> list[Problem]:
    """Cells whose largest stage is too much for the device; one problem a cell."""
    gpu = machine.gpu
    if gpu is None or gpu.memory_bytes is None:
        return []
    largest: dict[str, StageEstimate] = {}
    for one in stages:
        before = largest.get(one.place)
        if one.gpu and (before is None or _bytes(one) > _bytes(before)):
            largest[one.place] = one
    by_id = {one.id: one for one in planned}
    found = _ran_out(study, stages, by_id)
    for place, one in largest.items():
        needed = _bytes(one) + costs.DEVICE_RESERVE_BYTES
        # An allocator does not fill a device to the last byte; what was measured has its share.
        measured = one.memory.basis in (RECORDED, PROFILED)
        if needed <= gpu.memory_bytes * (1 if measured else 1 - costs.UNUSABLE):
            continue
        sure = needed > gpu.memory_bytes * (1 + _MARGIN)
        what = (
            f"{place}: {one.stage} {'does not' if sure else 'may not'} fit {gpu.name}: about "
            f"{_gb(needed)} of {_gb(gpu.memory_bytes)} GB ({one.memory.basis})"
        )
        shape = shape_of(study.base(one.size))
        ways: list[str] = []
        if isinstance(shape, Shape):
            room = costs.usable_bytes(gpu.memory_bytes)
            ways = [
                way
                for way, size in less(study, by_id[one.id], shape, gpu.memory_bytes)
                if size <= room
            ]
        way = f"in the study, {ways[0]}; or leave" if ways else "leave"
        found.append(Problem(sure, what, f"{way} it out with --cells, or take a larger GPU"))
    return found


def _ran_out(
    study: Study, stages: Sequence[StageEstimate], planned: Mapping[str, PlannedStage]
) -> list[Problem]:
    """Trainings whose setting ran out of memory on such a card when it was profiled.

    Only a warning where the kit itself chooses the rows: it takes fewer then.
    """
    found = {}
    for one in stages:
        if not one.memory.basis.endswith(OUT_OF_MEMORY):
            continue
        stage = planned[one.id]
        rows = analytic.optimization(study, stage.method, stage.tasks).rows_per_micro_batch
        way = "fewer rows_per_micro_batch, or gradient_checkpointing = true, in the study"
        found[one.place] = Problem(
            isinstance(rows, int),
            f"{one.place}: {one.stage} does not fit: {one.memory.basis}",
            f"{way}; or leave it out with --cells",
        )
    return list(found.values())


def less(
    study: Study, stage: PlannedStage, shape: Shape, memory_bytes: int | None = None
) -> list[tuple[str, int]]:
    """Settings of a study that take less of a device, nearest first, with what they take.

    The mathematics of a training stays the same with each; of answers, up to a rounding.
    """
    if stage.stage == MEASURE:
        return []  # as published: another setting would measure something else
    if stage.stage != TRAIN:
        return _fewer_rows(study, stage, shape)
    fit = analytic.fit(study, stage.method, stage.tasks, shape=shape, memory_bytes=memory_bytes)
    table = "full" if fit.lora is None else "qlora"
    changes: list[tuple[str, dict[str, Any]]] = []
    if fit.micro_rows > 1:
        now = f"training.{table}.rows_per_micro_batch = 1 (now {fit.micro_rows})"
        changes.append((now, {"micro_rows": 1}))
    if fit.lora is not None and fit.dequantised:
        now = "training.dequantised = false (the base stays in 4 bits)"
        changes.append((now, {"dequantised": False}))
    if not fit.checkpointing:
        changes.append((f"training.{table}.gradient_checkpointing = true", {"checkpointing": True}))
    found = []
    for count in range(1, len(changes) + 1):
        for some in itertools.combinations(changes, count):
            changed = fit
            for _, change in some:
                changed = dataclasses.replace(changed, **change)
            words = " and ".join(word for word, _ in some)
            found.append((words, costs.training_memory(shape, changed).total))
    return found


def _fewer_rows(study: Study, stage: PlannedStage, shape: Shape) -> list[tuple[str, int]]:
    """Smaller batches of answers, and what the longest prompts then take."""
    rows = study.decoding.batch_rows
    asked = analytic.unknown_prompts(study, stage.tasks)
    found = []
    for count in (rows // 2**power for power in range(1, rows.bit_length())):
        decoding = study.decoding.model_copy(update={"batch_rows": count})
        smaller = study.model_copy(update={"decoding": decoding})
        size = analytic.answering_bytes(smaller, stage.method, shape, asked, None)
        found.append((f"decoding.batch_rows = {count} (now {rows})", size))
    return found


def _at_once(machine: Machine, stages: Sequence[StageEstimate], jobs: int) -> list[Problem]:
    """Stages that fit the memory alone and not together; a GPU has one at a time."""
    limit = machine.memory_bytes
    needed = _largest(stages, jobs)
    if needed <= limit or _largest(stages, 1) > limit:
        return []
    worst = max((one for one in stages if not one.gpu), key=_bytes)
    what = f"{jobs} stages at once may need {_gb(needed)} of the {_gb(limit)} GB of memory"
    return [Problem(False, f"{worst.place}: {what}", "--jobs 1, or fewer than now")]


def _largest(stages: Sequence[StageEstimate], count: int) -> float:
    """The memory of the largest stages of the CPU together."""
    return sum(heapq.nlargest(count, (_bytes(one) for one in stages if not one.gpu)))


def busy(
    gpus: Mapping[str, int], others: Sequence[str], stages: Sequence[StageEstimate]
) -> list[Problem]:
    """What stands in the way on the GPUs of a run: too little free memory, other processes.

    ``gpus`` are the free bytes by a GPU's name, ``others`` a description of each process that
    computes there already.
    """
    on_gpu = [one for one in stages if one.gpu]
    if not on_gpu:
        return []
    worst, found = max(on_gpu, key=_bytes), []
    needed = _bytes(worst) + costs.DEVICE_RESERVE_BYTES
    for name, free_bytes in gpus.items():
        if needed > free_bytes * (1 + _MARGIN):
            what = (
                f"{worst.place}: {worst.stage} needs about {_gb(needed)} GB, and of {name} "
                f"{_gb(free_bytes)} GB are free"
            )
            found.append(Problem(True, what, "free it, or choose another one with --gpus"))
    hint = "wait until it ends, or choose another GPU with --gpus: what is measured would be wrong"
    return found + [Problem(True, f"{one}: its GPU would be shared", hint) for one in others]


def _bytes(one: StageEstimate) -> float:
    return one.memory.value or 0.0


def _process(machine: Machine, stages: Sequence[StageEstimate]) -> list[Problem]:
    worst = max((one for one in stages if not one.gpu), key=_bytes, default=None)
    if worst is None or _bytes(worst) <= machine.memory_bytes:
        return []
    what = (
        f"{worst.place}: {worst.stage} needs about {_gb(_bytes(worst))} of "
        f"{_gb(machine.memory_bytes)} GB of memory ({worst.memory.basis})"
    )
    sure = _bytes(worst) > machine.memory_bytes * (1 + _MARGIN)
    return [Problem(sure, what, "leave it out with --cells, or take a larger machine")]


def _disk(
    machine: Machine,
    stages: Sequence[StageEstimate],
    downloads: Mapping[str, int | None],
    jobs: int,
) -> list[Problem]:
    """What stays and the largest checkpoints on the results' disk, downloads on the cache's."""
    stays = sum(one.disk.value or 0 for one in stages)
    scratch = sum(heapq.nlargest(jobs, (one.scratch_bytes for one in stages)))
    wanted = sum(value or 0 for value in downloads.values())
    worst = max(stages, key=lambda one: one.scratch_bytes + (one.disk.value or 0), default=None)
    if worst is None:
        return []
    shared = machine.results.device == machine.cache.device
    together = stays + scratch + (wanted if shared else 0)
    needs = [(machine.results, together, "--results DIR")]
    if not shared:
        needs.append((machine.cache, wanted, "BENCH_CACHE=DIR"))
    found = []
    for disk, needed, way in needs:
        if needed <= disk.free_bytes * (1 - _MARGIN):
            continue
        sure = needed > disk.free_bytes * (1 + _MARGIN)
        what = (
            f"{worst.place}: {disk.folder} {'lacks' if sure else 'hardly has'} the room: about "
            f"{_gb(needed)} GB are needed, {_gb(disk.free_bytes)} are free"
        )
        hint = f"another disk with {way}, or fewer cells at a time with --cells"
        found.append(Problem(sure, what, hint))
    return found


def _gb(size: float) -> str:
    gigabytes = size / 1e9
    return f"{gigabytes:.1f}" if gigabytes < 10 else f"{gigabytes:.0f}"
