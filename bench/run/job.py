"""What a stage function is given and what it gives back: the interface of ``bench.run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from bench.grid.study import Study
from bench.measure import Meter
from bench.records import Tokens
from bench.run.slots import CPU, Slot

#: How often a training keeps what it has, where the job's options do not say.
CHECKPOINT_MINUTES = 15.0


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One stage to execute.

    ``inputs`` maps the name of each stage that this one builds on (``base``, ``train``,
    ``generate``, ``embed``) to its finished folder. ``cell``, ``method`` and ``model`` are None for
    a base. ``options`` carries what the caller wants known but no key covers (for example
    where the mirror lies). A stage's result may depend only on what its key covers.
    ``slot`` is what it may use of the machine. ``provenance`` is the name under which the run
    says what it was made of.
    """

    id: str
    stage: str
    key: str
    study: Study
    cell: str | None
    method: str | None
    size: str
    model: str | None
    tasks: tuple[str, ...]
    inputs: Mapping[str, Path]
    slot: Slot = CPU
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage function returns; its files lie in the work folder.

    ``details`` is plain JSON data that only this kind of stage knows.
    """

    tokens: Tokens | None = None
    artifact_bytes: int | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Progress(Protocol):
    """Tells how far a stage is; calls may be frequent, most are dropped."""

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """``done`` of ``total`` units (steps, problems), with a few words on the side."""


#: Named ``module:function`` wherever it is passed on, since it runs in another process.
StageFunction: TypeAlias = Callable[[Job, Path, Meter, Progress], StageResult]
