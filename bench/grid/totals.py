"""The costs of what is left, by cell and base, with what still has to be downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.grid.devices import Machine
from bench.grid.estimates import NOTHING, Figure, StageEstimate
from bench.grid.plan import Amounts
from bench.grid.study import HubBase, Study
from bench.records import Cell


@dataclasses.dataclass(frozen=True, slots=True)
class CellEstimate:
    """All that is left of a cell, or of a base.

    Hours are those that are known, ``…_whole`` says whether that is all of them; memory is the
    highest of the stages'. ``download_bytes``: what the base still needs. ``bases`` are the
    hours', that of the longest stage first; ``reasons`` say why something is not told.
    """

    id: str
    stages: tuple[str, ...]
    gpu_hours: float | None
    cpu_hours: float | None
    gpu_whole: bool
    cpu_whole: bool
    device_bytes: float | None
    process_bytes: float | None
    disk_bytes: float | None
    scratch_bytes: int
    download_bytes: int | None
    bases: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def base(self) -> bool:
        """Whether it is a base's, not a cell's."""
        return all(one.startswith("bases/") for one in self.stages)


def cells(
    grid: Sequence[Cell], estimates: Sequence[StageEstimate], downloads: Mapping[str, int | None]
) -> list[CellEstimate]:
    """The stages that are left by base and cell; a cell of which nothing is left is absent.

    ``downloads`` are the bytes that a size's base still needs.
    """
    sizes = dict.fromkeys(cell.size for cell in grid)
    places = [(f"base {size}", size) for size in sizes]
    places += [(cell.id, cell.size) for cell in grid]
    found = []
    for place, size in places:
        mine = [one for one in estimates if one.place == place]
        if mine:
            found.append(_together(place, mine, downloads.get(size, 0)))
    return found


def downloads(study: Study, amounts: Amounts) -> dict[str, int | None]:
    """Per size, the bytes of its base that are not here yet; None where nobody knows them."""
    found: dict[str, int | None] = {}
    for base in study.sizes:
        found[base.name] = 0
        if isinstance(base, HubBase):
            for one in amounts.missing:
                if one["what"].startswith(f"{base.repository} "):
                    found[base.name] = one["bytes"]
    return found


def as_json(
    machine: Machine, stages: Sequence[StageEstimate], together: Sequence[CellEstimate]
) -> dict[str, Any]:
    """Estimates as plain data: bytes and hours, each figure with its basis."""
    gpu = machine.gpu
    return {
        "machine": {
            "cpu": machine.cpu,
            "memory_bytes": machine.memory_bytes,
            "gpu": None if gpu is None else gpu.name,
            "gpu_memory_bytes": None if gpu is None else gpu.memory_bytes,
            "free_bytes": {
                str(disk.folder): disk.free_bytes for disk in (machine.results, machine.cache)
            },
        },
        "stages": [dataclasses.asdict(one) for one in stages],
        "cells": [dataclasses.asdict(one) for one in together],
    }


def _together(place: str, stages: Sequence[StageEstimate], download: int | None) -> CellEstimate:
    figures = [figure for one in stages for figure in (one.hours, one.memory, one.disk)]
    longest = sorted(stages, key=lambda one: -(one.hours.value or 0))
    bases = dict.fromkeys(one.hours.basis for one in longest if one.hours.value is not None)
    reasons = dict.fromkeys(one.basis for one in figures if one.value is None and one.basis)
    return CellEstimate(
        place,
        tuple(one.id for one in stages),
        _sum(one.hours.value for one in stages if one.gpu),
        _sum(one.hours.value for one in stages if not one.gpu),
        all(_told(one.hours) for one in stages if one.gpu),
        all(_told(one.hours) for one in stages if not one.gpu),
        _most(one.memory.value for one in stages if one.gpu),
        _most(one.memory.value for one in stages if not one.gpu),
        _sum(one.disk.value for one in stages),
        max(one.scratch_bytes for one in stages),
        download,
        tuple(bases),
        tuple(reasons),
    )


def _told(figure: Figure) -> bool:
    """Whether a figure is there, or there is nothing to tell."""
    return figure.value is not None or figure == NOTHING


def _sum(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
