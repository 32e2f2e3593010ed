"""A study: the grid with everything that decides it, parsed from one TOML file.

``expand`` turns it into cells; the planner, the runner, the reports and (through
``bench.grid.cells``) the noxfile all use the same function, so no list of cells is
written by hand.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from bench.errors import BenchError, unknown
from bench.grid import cells
from bench.records import METHODS, TASKS, TRACKS, Cell, Track

STUDIES = Path(__file__).parent.parent / "studies"


class _Table(pydantic.BaseModel):
    """A TOML table: unknown keys are errors, values do not change once read."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class TinyBase(_Table):
    """A Qwen2-architecture base that the kit pretrains itself (no hub needed)."""

    kind: Literal["tiny"]
    name: str
    hidden_size: pydantic.PositiveInt
    layers: pydantic.PositiveInt
    heads: pydantic.PositiveInt
    kv_heads: pydantic.PositiveInt
    intermediate_size: pydantic.PositiveInt
    vocabulary: pydantic.PositiveInt = 2048
    pretrain_steps: pydantic.PositiveInt
    pretrain_rows_per_step: pydantic.PositiveInt = 8
    pretrain_learning_rate: pydantic.PositiveFloat


class HubBase(_Table):
    """A pinned model of the Hugging Face hub."""

    kind: Literal["hub"]
    name: str
    repository: str
    revision: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]


Base = Annotated[TinyBase | HubBase, pydantic.Field(discriminator="kind")]


class Lora(_Table):
    """LoRA on the seven linear projections of every layer (protocol, "Training")."""

    rank: pydantic.PositiveInt = 8
    alpha: pydantic.PositiveInt = 16
    dropout: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.1
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


class Optimization(_Table):
    """Optimizer and schedule of one kind of training (QLoRA or full fine-tuning)."""

    optimizer: Literal["adamw_bnb_8bit", "adamw_torch"]
    learning_rate: pydantic.PositiveFloat
    scheduler: str = "cosine"
    warmup_steps: pydantic.NonNegativeInt
    epochs: pydantic.PositiveInt
    gradient_checkpointing: bool = False
    #: Rows per optimizer step, and how many of them are computed at once.
    rows_per_step: pydantic.PositiveInt
    rows_per_micro_batch: pydantic.PositiveInt
    max_grad_norm: pydantic.PositiveFloat = 1.0
    weight_decay: pydantic.NonNegativeFloat = 0.0


class EarlyStopping(_Table):
    """Evaluate and save every ``every_steps`` optimizer steps; keep the best model.

    ``metric`` is ``loss`` (mean loss on the validation rows) or ``similarity`` (the
    study's: CodeBLEU, sacreBLEU or their mean, from arg-max tokens).
    """

    every_steps: pydantic.PositiveInt
    patience: pydantic.PositiveInt
    threshold: pydantic.NonNegativeFloat
    metric: Literal["loss", "similarity"] = "loss"


class Training(_Table):
    """The training protocol."""

    packing: Literal["published", "isolated"]
    row_tokens: pydantic.PositiveInt
    #: True: loss on every token (the study's way); False: on the assistant's turn alone.
    loss_on_prompt: bool
    #: ``published`` dequantises in every pass, ``tuned`` once: bitwise equal in training, in
    #: generation with an adapter up to a rounding.
    plan: Literal["published", "tuned"] = "tuned"
    lora: Lora = Lora()
    qlora: Optimization
    full: Optimization
    early_stopping: EarlyStopping | None = None


class Decoding(_Table):
    """Greedy generation. ``new_tokens`` per task; a batch holds up to ``batch_rows``."""

    new_tokens: dict[str, pydantic.PositiveInt]
    window_tokens: pydantic.PositiveInt
    batch_rows: pydantic.PositiveInt
    #: A prompt that leaves no room for an answer: an error, or an answer that is not scored.
    long_prompts: Literal["refuse", "skip"] = "refuse"

    @pydantic.model_validator(mode="after")
    def _every_task(self) -> Decoding:
        if set(self.new_tokens) != set(TASKS):
            raise ValueError(f"new_tokens needs exactly the keys {', '.join(TASKS)}")
        return self


class TrainingData(_Table):
    """A corpus by name (``bench.data.corpora``), with an optional cap per track."""

    corpus: str
    max_samples_per_track: pydantic.PositiveInt | None = None


class Suite(_Table):
    """A set of evaluation problems, with an optional cap (evenly spaced) per track."""

    name: str
    max_problems_per_track: pydantic.PositiveInt | None = None


class Scoring(_Table):
    """Metrics beyond those that every study has: they need a JVM, .NET, a model or a server."""

    metrics: tuple[
        Literal[
            "pmd", "checkstyle", "roslyn", "cognitive", "sonar", "bertscore", "side", "judge"
        ],
        ...,
    ] = ()


class Study(_Table):
    """A grid with everything that decides it."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    name: str
    summary: str
    seed: int = 42
    prompts: str = "kit"
    sizes: tuple[Base, ...]
    methods: tuple[Literal["st-qlora", "mt-qlora", "mt-fft"], ...] = METHODS  # type: ignore[assignment]
    tasks: tuple[Literal["generation", "summarization", "translation"], ...] = TASKS  # type: ignore[assignment]
    data: TrainingData
    #: The first suite that has a track is that track's principal one in the reports.
    suites: tuple[Suite, ...]
    training: Training
    decoding: Decoding
    scoring: Scoring = Scoring()

    def base(self, size: str) -> TinyBase | HubBase:
        """The base model of a size."""
        for base in self.sizes:
            if base.name == size:
                return base
        raise unknown("size", size, (base.name for base in self.sizes))

    def tracks(self, tasks: Sequence[str]) -> tuple[Track, ...]:
        """The tracks of some tasks, in the kit's order."""
        return tuple(track for track in TRACKS if track.task in tasks)


def available() -> list[str]:
    """Names of the studies that ship with the kit."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def load(name: str) -> Study:
    """Read a study by name, or by the path of a TOML file.

    Raises:
        BenchError: no such study, or a field that is missing, unknown or out of range.
    """
    path = Path(name) if name.endswith(".toml") else STUDIES / f"{name}.toml"
    if not path.is_file():
        raise unknown("study", name, available())
    try:
        with path.open("rb") as file:
            study = Study.model_validate(tomllib.load(file))
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path}: not valid TOML: {error}", hint="mend that line") from None
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BenchError(
            f"{path}: {where}: {first['msg']}", hint="see bench/grid/study.py for the fields"
        ) from None
    return study


def expand(study: Study) -> tuple[Cell, ...]:
    """The cells of a study, by size and then by method, each with the models it trains."""
    return cells.expand((base.name for base in study.sizes), study.methods, study.tasks)


def canonical(model: pydantic.BaseModel) -> dict[str, Any]:
    """A study (or a part of it) as plain JSON data, the input of the stages' keys."""
    return model.model_dump(mode="json", by_alias=True)
