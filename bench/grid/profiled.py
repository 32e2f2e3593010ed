"""The profiled item that is most like a planned stage, and what it tells of its hours and memory.

A rate counts for the shape, the kind of method and the execution plan that it was measured at.
Another micro-batch, checkpointing or card scales it by the ratio of the analytic times, which
is 1 for the same setting on the same card; the basis then says what was scaled. The time of a
shape that nobody profiled is calculated, and corrected by what the nearest one took.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

from bench import costs
from bench.costs import Fit, Shape
from bench.grid import devices, durations
from bench.grid.devices import Gpu
from bench.grid.durations import Device
from bench.grid.profiles import Profile, Training

PROFILED = "profiled"
OUT_OF_MEMORY = "out of memory"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A stage as it is planned: its shape, its ``kind`` of method, its plan, its setting.

    ``kernels`` that a study asks for compute at a rate of their own.
    """

    shape: Shape
    kind: str
    plan: str
    fit: Fit
    packing: str
    kernels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What profiles tell: a number with its basis, or None with the reason in its place."""

    value: float | None
    basis: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """A training item with its card and its setting in the words of the analytic model."""

    profile: Profile
    item: Training
    shape: Shape
    fit: Fit

    @property
    def rate(self) -> float:
        """Processed tokens a second."""
        assert self.item.rate is not None  # checked when it was read
        return self.item.rate


def training_seconds(
    profiles: Sequence[Profile], wanted: Wanted, gpu: Gpu, tokens: float
) -> Told | None:
    """How long ``tokens`` take in steady steps; None where the like was not profiled."""
    here = gpu.limits
    for found in _nearest(profiles, wanted, gpu):
        scale = 1.0
        if found.profile.device.name != gpu.name or found.fit != wanted.fit:
            there = devices.limits(found.profile.device.name)
            if here is None or there is None:
                continue
            # What took less than starting its operations is estimated to take corrects that.
            started = found.rate * durations.launches(found.shape, found.fit)
            launch_s = min(durations.LAUNCH_S, 1 / started) if started else durations.LAUNCH_S
            mine, its = (
                durations.training_time(wanted.shape, fit, 1.0, device, launch_s=launch_s).seconds
                for fit, device in ((wanted.fit, here), (found.fit, there))
            )
            scale = mine / its
        return Told(scale * tokens / found.rate, _basis(found, wanted, gpu))
    return None


def training_bytes(profiles: Sequence[Profile], wanted: Wanted, gpu: Gpu) -> Told | None:
    """The peak of device memory; None where the like was not profiled.

    Of the same setting the measured peak, of another micro-batch what the memory model says
    more or less. Where that setting ran out of memory on this card, None with a reason.
    """
    for found in _nearest(profiles, wanted, gpu, outcomes=("ok", "oom")):
        one, device = found.item, found.profile.device
        if device.name != gpu.name and devices.limits(device.name) is None:
            continue  # no GPU: tensors there are others
        if found.fit.checkpointing != wanted.fit.checkpointing:
            continue
        if found.fit.dequantised != wanted.fit.dequantised:
            continue
        same = found.fit == wanted.fit
        if one.outcome == "oom":
            if same and device.name == gpu.name:
                return Told(None, f"{PROFILED} on {gpu.name}: {OUT_OF_MEMORY}")
            continue
        peak = one.peak_reserved_bytes or one.peak_allocated_bytes
        if not peak:
            continue
        if same:
            return Told(peak, PROFILED)
        more = _total(wanted.shape, wanted.fit) - _total(found.shape, found.fit)
        if peak + more > 0:
            return Told(peak + more, f"{PROFILED}, scaled from {_rows(one.micro_rows)}")
    return None


def correction(profiles: Sequence[Profile], wanted: Wanted, gpu: Gpu) -> tuple[float, str] | None:
    """What the nearest shape took as a multiple of what is calculated for it, and its size.

    Only of steps that computing binds: one bound by starting operations says nothing of it.
    """
    best: tuple[tuple[float, ...], float, str] | None = None
    for found in _alike(profiles, wanted):
        limits = devices.limits(found.profile.device.name)
        times = _times_calculated(found, limits) if limits else None
        if times is None:
            continue
        far = abs(math.log(found.shape.parameters / wanted.shape.parameters))
        rank = (far, *_distance(found, wanted, gpu))
        if best is None or rank < best[0]:
            best = rank, times, found.item.size
    return None if best is None else best[1:]


def answering_seconds(
    profiles: Sequence[Profile],
    shape: Shape,
    gpu: Gpu,
    seconds: Callable[[Device], float],
    *,
    adapter: bool,
    quantised: bool,
    rows: int,
) -> Told | None:
    """How long some batches of answers take; None where the like was not profiled.

    Args:
        profiles: those that were read.
        shape: the model's.
        gpu: the card that they are planned for.
        seconds: their analytic time on a card.
        adapter: whether an adapter is computed beside the weights.
        quantised: whether the weights are in 4 bits.
        rows: the rows of a batch.
    """
    found = [
        (profile, one)
        for profile in profiles
        for one in profile.generations
        if one.outcome == "ok" and one.shape.shape() == shape
        if (one.method == "qlora" and not one.merged) == adapter
    ]
    found.sort(
        key=lambda pair: (
            pair[0].device.name != gpu.name,
            abs(math.log(pair[1].rows / rows)),
        )
    )
    for profile, one in found:
        there = devices.limits(profile.device.name)
        if there is None or gpu.limits is None or one.tokens_per_s is None:
            continue
        calculated = durations.generation_time(
            shape,
            there,
            quantised=quantised,
            lora=adapter,
            batches=[durations.Batch(one.rows, one.prompt_tokens, one.new_tokens, one.new_tokens)],
        ).seconds
        measured = one.rows * one.new_tokens / one.tokens_per_s
        changes = [f"to {gpu.name}"] if profile.device.name != gpu.name else []
        changes += [f"from {_rows(one.rows)} to {rows}"] if one.rows != rows else []
        return Told(seconds(gpu.limits) * measured / calculated, _on(profile, changes))
    return None


def _alike(
    profiles: Sequence[Profile], wanted: Wanted, outcomes: Sequence[str] = ("ok",)
) -> Iterator[_Found]:
    """The trainings of the wanted kind, plan and kernels, of any shape."""
    asked = (wanted.kind, wanted.plan, frozenset(wanted.kernels))
    for profile in profiles:
        for one in profile.trainings:
            way = (one.method, one.plan, frozenset(one.kernels))
            if way == asked and one.outcome in outcomes:
                yield _Found(profile, one, one.shape.shape(), _fit(one, wanted))


def _fit(one: Training, wanted: Wanted) -> Fit:
    """The setting of an item; what an item does not tell is as in the planned one."""
    adapter = wanted.fit.lora is not None
    return dataclasses.replace(
        wanted.fit,
        micro_rows=one.micro_rows,
        row_tokens=one.row_tokens,
        optimizer=one.optimizer,
        dequantised=bool(one.dequantised) if adapter else wanted.fit.dequantised,
        fp32_stream=adapter and one.precision == "published",
        checkpointing=one.checkpointing,
        graphs=one.graphs,
    )


def _nearest(
    profiles: Sequence[Profile], wanted: Wanted, gpu: Gpu, outcomes: Sequence[str] = ("ok",)
) -> list[_Found]:
    """The items of the wanted shape, the nearest first; of equal ones the latest."""
    found = [one for one in _alike(profiles, wanted, outcomes) if one.shape == wanted.shape]
    return sorted(found, key=lambda one: _distance(one, wanted, gpu))


def _distance(found: _Found, wanted: Wanted, gpu: Gpu) -> tuple[float, ...]:
    """How far an item is from what is planned: what changes more comes first."""
    mine, its = wanted.fit, found.fit
    return (
        found.profile.device.name != gpu.name,
        its.checkpointing != mine.checkpointing,
        its.graphs != mine.graphs,
        its.dequantised != mine.dequantised,
        abs(math.log(its.micro_tokens / mine.micro_tokens)),
        found.item.packing != wanted.packing,
        its.fp32_stream != mine.fp32_stream,
        its.optimizer != mine.optimizer,
    )


def _times_calculated(found: _Found, limits: Device) -> float | None:
    """An item's time as a multiple of the calculated one; None where launches bound it."""
    if costs.training_flops(found.shape, found.fit) * found.rate >= limits.flops:
        return None  # it is another card than its name says
    calculated = durations.training_time(found.shape, found.fit, 1.0, limits)
    return None if calculated.launch_bound else 1 / (found.rate * calculated.seconds)


def _total(shape: Shape, fit: Fit) -> int:
    return costs.training_memory(shape, fit).total


def _basis(found: _Found, wanted: Wanted, gpu: Gpu) -> str:
    """``profiled on NVIDIA H200, scaled to NVIDIA L4 and from 16 rows to 2``."""
    changes = []
    if found.profile.device.name != gpu.name:
        changes.append(f"to {gpu.name}")
    if found.fit.micro_tokens != wanted.fit.micro_tokens:
        changes.append(f"from {_rows(found.fit.micro_rows)} to {wanted.fit.micro_rows}")
    if found.fit.checkpointing != wanted.fit.checkpointing:
        changes.append(f"to {'' if wanted.fit.checkpointing else 'no '}checkpointing")
    if found.fit.dequantised != wanted.fit.dequantised:
        changes.append(f"to {'bf16' if wanted.fit.dequantised else '4-bit'} weights")
    if found.item.packing != wanted.packing:
        changes.append(f"from {found.item.packing} packing")
    return _on(found.profile, changes)


def _on(profile: Profile, changes: Sequence[str]) -> str:
    basis = f"{PROFILED} on {profile.device.name}"
    return f"{basis}, scaled {' and '.join(changes)}" if changes else basis


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
