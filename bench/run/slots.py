"""Slots: the GPU or the CPU threads that a stage has for itself while it runs.

A stage that computes on a GPU has one alone, by number or UUID, so that models train side by
side, one a GPU; whatever else a run does (bases, encoders, scoring) goes on beside them on
the CPU. Which slot a stage had stands in its record and never in its key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.grid.plan import GENERATE, MEASURE, TRAIN

#: The stages that compute on a GPU where a run uses some. Tiny bases are made on the CPU, so
#: that they are the same everywhere, and the encoders of ``embed`` compute there too.
ON_GPU = frozenset({TRAIN, MEASURE, GENERATE})

#: A GPU as ``CUDA_VISIBLE_DEVICES`` names it: its number on the PCI bus, or its UUID.
Gpu = int | str


@dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    """What one stage may use: ``gpus`` of the machine (none: it sees none), and ``threads``."""

    gpus: tuple[Gpu, ...] = ()
    threads: int = 1

    @property
    def visible_devices(self) -> str:
        """The value of ``CUDA_VISIBLE_DEVICES``: empty where the stage is to see no GPU."""
        return ",".join(map(str, self.gpus))


#: One thread of the CPU, and no GPU.
CPU = Slot()


class Slots:
    """The free slots of a run: one for each GPU, and ``jobs`` on the CPU.

    A CPU slot has one thread: results on a CPU depend on the number of threads, and several
    stages on one thread each are faster than one on several. ``cores`` are shared out among
    the GPU stages, which tokenize on them.
    """

    def __init__(self, jobs: int = 1, gpus: Sequence[Gpu] = (), *, cores: int = 1) -> None:
        threads = max(1, cores // max(1, len(gpus)))
        self.gpus = tuple(gpus)
        self.jobs = jobs
        self._of_gpus = [Slot((gpu,), threads) for gpu in gpus]
        self._of_cpu = [CPU] * jobs

    @property
    def count(self) -> int:
        """How many stages can run at once."""
        return self.jobs + len(self.gpus)

    def take(self, stage: str) -> Slot | None:
        """A free slot for a stage of this name; None where it has to wait."""
        free = self._free(stage)
        return free.pop(0) if free else None

    def give_back(self, stage: str, slot: Slot) -> None:
        """The stage has ended: another may have its slot."""
        self._free(stage).append(slot)

    def _free(self, stage: str) -> list[Slot]:
        return self._of_gpus if self.gpus and stage in ON_GPU else self._of_cpu
