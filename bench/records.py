"""The kit's words as frozen records: what every room of the package speaks about.

Nothing here imports a third-party library, so that planning, statistics and reports
run without torch. Units stand in the names: ``wall_s``, ``peak_rss_bytes``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

SCHEMA = 1

GENERATION, SUMMARIZATION, TRANSLATION = "generation", "summarization", "translation"
TASKS = (GENERATION, SUMMARIZATION, TRANSLATION)
METHODS = ("st-qlora", "mt-qlora", "mt-fft")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Track:
    """A task in one language or one direction, for example ``generation/python``.

    ``language`` is ``python`` or ``java``; for translation ``java_cs`` or ``cs_java``.
    """

    task: str
    language: str

    def __str__(self) -> str:
        return f"{self.task}/{self.language}"

    @property
    def source_language(self) -> str:
        """Language of the code that the model reads (``english`` for generation)."""
        if self.task == GENERATION:
            return "english"
        return {"java_cs": "java", "cs_java": "csharp"}.get(self.language, self.language)

    @property
    def target_language(self) -> str:
        """Language that the model writes (``english`` for summarization)."""
        if self.task == SUMMARIZATION:
            return "english"
        return {"java_cs": "csharp", "cs_java": "java"}.get(self.language, self.language)


TRACKS = (
    Track(GENERATION, "python"),
    Track(GENERATION, "java"),
    Track(SUMMARIZATION, "python"),
    Track(SUMMARIZATION, "java"),
    Track(TRANSLATION, "java_cs"),
    Track(TRANSLATION, "cs_java"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One training example or one evaluation problem: the same schema for all tasks.

    ``inputs`` holds the fields that the prompt of the track uses: ``summary`` and
    ``signature`` for generation (``prompt`` instead where a suite prescribes the whole
    text), ``code`` for summarization and translation. ``check`` says how an output is
    executed (see ``bench.scoring.execution``); None where the suite has no tests.
    ``part`` divides a suite, for example into ``near`` and ``far``.
    """

    id: str
    track: Track
    inputs: Mapping[str, str]
    reference: str
    part: str | None = None
    check: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Generation:
    """What a model wrote for one problem: one line of a generations file.

    ``text`` is the decoded output behind the opening that it was given, ``output`` the answer
    in it, which scoring finds (``bench.scoring.answers``).
    ``finish_reason`` is ``stop``, ``length`` or ``prompt-too-long`` (nothing generated).
    """

    id: str
    suite: str
    task: str
    language: str
    prompt_sha256: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    text: str
    output: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The graded execution of one output.

    ``outcome`` is ``passed``, ``failed``, ``compile-error``, ``error``, ``timeout``,
    ``memory``, ``output-limit`` or ``not-run`` (an infrastructure failure, which is never
    counted as the model's). ``cases_passed`` of ``cases`` test cases held.
    """

    id: str
    outcome: str
    cases_passed: int = 0
    cases: int = 0
    detail: str = ""

    @property
    def passed(self) -> bool | None:
        """True or False, None where the output could not be graded."""
        return None if self.outcome == "not-run" else self.outcome == "passed"


def series(cell: str, method: str, size: str) -> str:
    """A cell's id without its size, see ``Cell.series``."""
    return method + cell.removeprefix(f"{method}-{size}")


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """One model to train: the tasks mixed into its training data."""

    id: str
    tasks: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A method at a size, for example ``mt-qlora-3b``.

    A cell of RQ3 is trained on some of the tasks: ``mt-qlora-3b-generation-translation``.
    """

    id: str
    method: str
    size: str
    models: tuple[Model, ...]

    @property
    def series(self) -> str:
        """What is compared at each size: ``mt-qlora``, ``mt-qlora-generation-translation``."""
        return series(self.id, self.method, self.size)


class Outcome(StrEnum):
    """How a stage ended."""

    OK = "ok"
    OOM = "oom"
    TIMEOUT = "timeout"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens:
    """The three token counts: slots computed, without padding, with a loss or emitted."""

    processed: int = 0
    real: int = 0
    trained: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.processed + other.processed,
            self.real + other.real,
            self.trained + other.trained,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class DevicePeak:
    """Peak accelerator memory: torch's allocated and reserved, and NVML's device-wide."""

    allocated_bytes: int
    reserved_bytes: int
    device_wide_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceUse:
    """What the accelerators did meanwhile, by NVML and whoever used them.

    ``energy_way`` is ``counter`` or ``power samples``, or says why ``energy_j`` is None.
    ``utilisation`` is the mean share of time in which a kernel ran, 0 to 1.
    """

    energy_j: float | None
    energy_way: str
    utilisation: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerUse:
    """What a whole container used meanwhile: its peak memory and its CPU seconds.

    ``exact`` says that the peak is the kernel's own mark; else an earlier one stood higher,
    and it is the highest of samples.
    """

    peak_bytes: int | None
    cpu_s: float | None
    exact: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """A measured part of a stage. CPU time and memory are those of the process tree.

    ``contention`` is wall seconds × threads / CPU seconds: far above 1 on a compute-bound
    phase says that other work held the cores. In a container ``container`` is what its
    control group was charged.
    """

    name: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    device: DevicePeak | None = None
    contention: float | None = None
    container: ContainerUse | None = None
    device_use: DeviceUse | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StageRecord:
    """The content of ``record.json``; its presence with outcome ok marks a stage as done.

    ``files`` maps each file of the stage's folder to its SHA-256. ``details`` holds what
    only this kind of stage knows (loss curve, notes, model digest). ``provenance`` names the
    file of the run under which it ran, ``software`` the versions that its own process had.
    """

    key: str
    stage: str
    outcome: Outcome
    reason: str | None
    phases: tuple[Phase, ...]
    wall_s: float | None
    cpu_s: float | None
    peak_rss_bytes: int | None
    peak_device_bytes: int | None
    tokens: Tokens | None
    artifact_bytes: int | None
    files: Mapping[str, str]
    details: Mapping[str, Any]
    schema: int = SCHEMA
    provenance: str | None = None
    software: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
