"""A study: the grid with everything that decides it, parsed from one TOML file.

A study may extend another (``extends = "paper"``) and offer options (``[options.rq3]``,
chosen by ``--with rq3``), see ``bench.grid.tables``. ``expand`` turns it into cells; the
planner, the runner, the reports and (through ``bench.grid.cells``) the noxfile all use the
same function, so no list of cells is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic

from bench.errors import BenchError, unknown
from bench.grid import cells, checks, mistakes, tables
from bench.grid.checks import Distinct, Line, NotEmpty, PlainName
from bench.grid.tables import STUDIES, available
from bench.records import METHODS, TASKS, TRACKS, Cell, Track

__all__ = ["STUDIES", "Study", "available", "canonical", "expand", "load", "select"]

Task = Literal["generation", "summarization", "translation"]
#: The wordings whose words the published extraction rules cut at.
PUBLISHED_WORDINGS = ("published", "corrected")


class _Table(pydantic.BaseModel):
    """A TOML table: unknown keys are errors, values do not change once read."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _typed(cls, table: Any) -> Any:
        return checks.typed(cls, table)


class TinyBase(_Table):
    """A Qwen2-architecture base that the kit pretrains itself (no hub needed)."""

    kind: Literal["tiny"]
    name: PlainName
    hidden_size: pydantic.PositiveInt
    layers: pydantic.PositiveInt
    heads: pydantic.PositiveInt
    kv_heads: pydantic.PositiveInt
    intermediate_size: pydantic.PositiveInt
    vocabulary: pydantic.PositiveInt = 2048
    #: Rows of the embedding, of which the tokenizer uses the first: Qwen2.5 has 151,936.
    embedding_rows: pydantic.PositiveInt | None = None
    pretrain_steps: pydantic.PositiveInt
    pretrain_rows_per_step: pydantic.PositiveInt = 8
    pretrain_learning_rate: pydantic.PositiveFloat

    @pydantic.model_validator(mode="after")
    def _possible(self) -> TinyBase:
        checks.shape(self)
        return self


class HubBase(_Table):
    """A pinned model of the Hugging Face hub."""

    kind: Literal["hub"]
    name: PlainName
    repository: checks.Repository
    revision: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]


Base = Annotated[TinyBase | HubBase, pydantic.Field(discriminator="kind")]


class Lora(_Table):
    """LoRA on the seven linear projections of every layer (protocol, "Training")."""

    rank: pydantic.PositiveInt = 8
    alpha: pydantic.PositiveInt = 16
    dropout: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.1
    targets: Annotated[tuple[checks.Target, ...], NotEmpty, Distinct] = (
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

    optimizer: Literal["adamw_bnb_8bit", "adamw_torch", "adamw_torch_fused"]
    learning_rate: pydantic.PositiveFloat
    scheduler: checks.Scheduler = "cosine"
    warmup_steps: pydantic.NonNegativeInt
    epochs: pydantic.PositiveInt
    #: Ends the training before its epochs; the schedule runs to this step.
    max_steps: pydantic.PositiveInt | None = None
    #: ``auto``: only where memory needs it.
    gradient_checkpointing: bool | Literal["auto"] = False
    #: Rows per optimizer step, and how many of them are computed at once; ``auto``: as many
    #: as the device's memory holds (``bench.grid.batching``). The mathematics is the same.
    rows_per_step: pydantic.PositiveInt
    rows_per_micro_batch: pydantic.PositiveInt | Literal["auto"]
    max_grad_norm: pydantic.PositiveFloat = 1.0
    weight_decay: pydantic.NonNegativeFloat = 0.0

    @pydantic.model_validator(mode="after")
    def _whole_steps(self) -> Optimization:
        checks.steps(self)
        return self


class EarlyStopping(_Table):
    """Evaluate and save every ``every_steps`` optimizer steps; keep the best model.

    ``metric`` is ``loss`` (mean loss on the validation rows) or ``similarity`` (the
    study's: CodeBLEU, sacreBLEU or their mean, from arg-max tokens).
    """

    every_steps: pydantic.PositiveInt
    patience: pydantic.PositiveInt
    threshold: pydantic.NonNegativeFloat
    metric: Literal["loss", "similarity"] = "loss"
    #: Of the shuffled validation samples only the first so many: the study's scripts take 500.
    max_samples: pydantic.PositiveInt | None = None


class PublishedSetting(_Table):
    """What a kind of training is set to where its cost is measured as published."""

    rows_per_micro_batch: pydantic.PositiveInt
    optimizer: Literal["adamw_bnb_8bit", "adamw_torch"]
    gradient_checkpointing: bool


class Measuring(_Table):
    """A measuring arm: what training costs as published, beside the study's own setting.

    The multi-task models are trained once more, for a few steps, under the plan ``published``
    and these settings. They are neither kept nor evaluated.
    """

    steps: pydantic.PositiveInt
    qlora: PublishedSetting
    full: PublishedSetting


class SingleTask(_Table):
    """What differs for a model that is trained on one task alone; None: as for the others."""

    warmup_steps: pydantic.NonNegativeInt | None = None
    every_steps: pydantic.PositiveInt | None = None


class Training(_Table):
    """The training protocol."""

    packing: Literal["published", "isolated"]
    row_tokens: pydantic.PositiveInt
    #: True: loss on every token (the study's way); False: on the assistant's turn alone.
    loss_on_prompt: bool
    #: ``published`` computes as the study's scripts do: stock loss, every logit of an
    #: evaluation kept, micro-batches of two rows. ``tuned`` is the same mathematics in less
    #: time and memory.
    plan: Literal["published", "tuned"] = "tuned"
    #: Whether ``tuned`` keeps the frozen base as a bf16 copy, dequantised once, for 1.5 bytes a
    #: weight more: bitwise equal to 4-bit weights in training, on a GPU but for dropout's masks
    #: (PEFT drops a 4-bit layer's inputs in another type).
    dequantised: bool = True
    #: Whether QLoRA's layers run as one CUDA graph, where rows have one shape: on a GPU
    #: starting their operations may take longer than computing them.
    graphs: bool = False
    #: Kernels that round differently; none by default (``bench.train.kernels``).
    kernels: tuple[Literal["liger", "compile"], ...] = ()
    #: What QLoRA leaves unquantised (embeddings, head, norms) while it trains on a GPU:
    #: ``published`` fp16, ``corrected`` bf16. A CPU has bf16 (or fp32) either way.
    precision: Literal["published", "corrected"] = "corrected"
    lora: Lora = Lora()
    qlora: Optimization
    full: Optimization
    early_stopping: EarlyStopping | None = None
    #: By task, what differs where a model learns it alone.
    single: dict[Task, SingleTask] = {}

    @property
    def dequantises(self) -> bool:
        """Whether QLoRA trains and answers on a bf16 copy of its 4-bit base."""
        return self.plan == "tuned" and self.dequantised

    @pydantic.model_validator(mode="after")
    def _something_to_stop(self) -> Training:
        for task, own in self.single.items():
            if own.every_steps and not self.early_stopping:
                raise ValueError(f"single.{task}.every_steps without [training.early_stopping]")
        return self

    def of(self, tasks: Sequence[str]) -> Training:
        """The protocol of a model of some tasks: ``single`` applied and emptied."""
        own = self.single.get(tasks[0]) if len(tasks) == 1 else None  # type: ignore[call-overload]
        changes: dict[str, Any] = {"single": {}}
        if own and own.warmup_steps is not None:
            warmup = {"warmup_steps": own.warmup_steps}
            changes["qlora"] = self.qlora.model_copy(update=warmup)
            changes["full"] = self.full.model_copy(update=warmup)
        if own and own.every_steps and self.early_stopping:
            every = {"every_steps": own.every_steps}
            changes["early_stopping"] = self.early_stopping.model_copy(update=every)
        return self.model_copy(update=changes)


class Decoding(_Table):
    """Greedy generation. ``new_tokens`` per task; a batch holds up to ``batch_rows``."""

    new_tokens: dict[str, pydantic.PositiveInt]
    window_tokens: pydantic.PositiveInt
    batch_rows: pydantic.PositiveInt
    #: Rows × (longest prompt + its new tokens) of a batch at most; ``auto``: what fits the
    #: device (``bench.generate.budget``); None: rows alone count.
    batch_tokens: pydantic.PositiveInt | Literal["auto"] | None = None
    #: What decodes (``bench.generate.engines``). Another one rounds in another order.
    engine: Literal["greedy", "continuous", "vllm"] = "greedy"
    #: Add an adapter to the base's weights once: fewer operations, but their sum is rounded
    #: to the weights' type, which changes answers.
    merge_adapter: bool = False
    #: So many prompts are answered again one at a time, to see what a batch changes; 0: none.
    check_rows: pydantic.NonNegativeInt = 16
    #: A prompt that leaves no room for an answer: an error, or an answer that is not scored.
    long_prompts: Literal["refuse", "skip"] = "refuse"

    @pydantic.model_validator(mode="after")
    def _every_task(self) -> Decoding:
        if set(self.new_tokens) != set(TASKS):
            raise ValueError(f"new_tokens needs exactly the keys {', '.join(TASKS)}")
        return self


class TrainingData(_Table):
    """A corpus by name (``bench.data.corpora``), with an optional cap per track."""

    corpus: Line
    max_samples_per_track: pydantic.PositiveInt | None = None
    #: How code-to-text is read (``bench.data.codetotext``): as the study renders it, every
    #: row, or without docstrings in the code, less what teaches nothing.
    variant: Literal["published", "corrected"] = "corrected"
    #: A folder with the authors' own generation files, which are not public.
    generation_files: Line | None = None


class Suite(_Table):
    """A set of evaluation problems, with an optional cap (evenly spaced) per track.

    The same problems may be asked in several ways, each under a ``label`` of its own:
    generations, tables, metrics and reports go by the label.
    """

    name: Line
    label: Annotated[PlainName, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = ""
    max_problems_per_track: pydantic.PositiveInt | None = None
    #: The wording (``bench.data.prompts.wordings``); None: the study's.
    prompts: Line | None = None
    #: Which rules find the answer in a model's text (``bench.generate.extract``).
    extraction: Literal["kit", "published"] = "kit"
    #: By task, where a prompt is cut off, its end with it: as the study's scripts do.
    prompt_tokens: dict[Task, pydantic.PositiveInt] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _labelled(cls, data: Any) -> Any:
        named = isinstance(data, dict) and isinstance(data.get("name"), str)
        return {"label": data["name"], **data} if named else data


class Scoring(_Table):
    """Metrics beyond those that every study has: they need a JVM, .NET, a model or a server."""

    metrics: Annotated[
        tuple[
            Literal[
                "pmd", "checkstyle", "roslyn", "cognitive", "sonar", "bertscore", "side", "judge"
            ],
            ...,
        ],
        Distinct,
    ] = ()

    @property
    def encoders(self) -> tuple[str, ...]:
        """Those that are encoders, which a stage of their own runs."""
        return tuple(name for name in self.metrics if name in ("bertscore", "side"))


class Mixture(_Table):
    """A further cell: a multi-task method at one size, trained on some of the tasks."""

    method: Literal["mt-qlora", "mt-fft"]
    size: str
    tasks: Annotated[tuple[Task, ...], pydantic.Field(min_length=2), Distinct]


class Option(_Table):
    """What ``--with NAME`` adds to a study: sizes (before its own), mixtures, a measuring arm."""

    summary: Line
    sizes: tuple[Base, ...] = ()
    mixtures: tuple[Mixture, ...] = ()
    measuring: Measuring | None = None


class Study(_Table):
    """A grid with everything that decides it."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    name: checks.StudyName
    summary: Line
    seed: checks.Seed = 42
    prompts: Line = "kit"
    sizes: Annotated[tuple[Base, ...], checks.Some]
    methods: Annotated[
        tuple[Literal["st-qlora", "mt-qlora", "mt-fft"], ...], NotEmpty, Distinct
    ] = METHODS  # type: ignore[assignment]
    tasks: Annotated[tuple[Task, ...], NotEmpty, Distinct] = TASKS  # type: ignore[assignment]
    mixtures: Annotated[tuple[Mixture, ...], checks.AtMost] = ()
    measuring: Measuring | None = None
    options: dict[PlainName, Option] = {}
    #: The options that are part of this study: its file's own, and those of ``load``.
    with_: tuple[str, ...] = pydantic.Field(default=(), alias="with")
    data: TrainingData
    #: The first suite that has a track is that track's principal one in the reports.
    suites: Annotated[tuple[Suite, ...], checks.Some]
    training: Training
    decoding: Decoding
    scoring: Scoring = Scoring()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Study:
        names = [base.name for base in self.sizes]
        checks.different_folders("sizes", names)
        checks.different_folders("cells", (cell.id for cell in expand(self)))
        cut = {suite.label: suite.prompt_tokens for suite in self.suites}
        new_tokens = {task: self.decoding.new_tokens[task] for task in self.tasks}
        checks.window(self.decoding.window_tokens, new_tokens, cut)  # type: ignore[arg-type]
        labels = [suite.label for suite in self.suites]
        if len(set(labels)) < len(labels):
            raise ValueError("two suites of one label: give one of them a `label` of its own")
        for suite in self.suites:
            if suite.extraction == "published" and self.asked(suite) not in PUBLISHED_WORDINGS:
                raise ValueError(
                    f"suite {suite.label}: extraction published needs the published wording"
                )
        for one in self.mixtures:
            if one.size not in names:
                raise ValueError(f"a mixture at the size {one.size!r}, which is not in the grid")
            if not set(one.tasks) < set(self.tasks):
                raise ValueError(f"a mixture of {', '.join(one.tasks)}: not a part of the tasks")
        return self

    def asked(self, suite: Suite) -> str:
        """The wording in which a suite's problems are put to the models."""
        return suite.prompts or self.prompts

    def base(self, size: str) -> TinyBase | HubBase:
        """The base model of a size."""
        for base in self.sizes:
            if base.name == size:
                return base
        raise unknown("size", size, (base.name for base in self.sizes))

    def as_published(self) -> Study:
        """The study as its measuring arm trains it: the published setting, for a few steps.

        Raises:
            BenchError: the study has no measuring arm.
        """
        if self.measuring is None:
            raise BenchError(
                f"the study {self.name} does not measure the published setting",
                hint="add --with published-cost",
            )
        steps = {"max_steps": self.measuring.steps}
        changes: dict[str, Any] = {"plan": "published", "early_stopping": None, "single": {}}
        for kind in ("qlora", "full"):
            setting = getattr(self.measuring, kind).model_dump()
            changes[kind] = getattr(self.training, kind).model_copy(update=setting | steps)
        return self.model_copy(update={"training": self.training.model_copy(update=changes)})

    def tracks(self, tasks: Sequence[str]) -> tuple[Track, ...]:
        """The tracks of some tasks, in the kit's order."""
        return tuple(track for track in TRACKS if track.task in tasks)


def load(name: str, options: Sequence[str] = ()) -> Study:
    """Read a study by name, or by the path of a TOML file, with some of its options.

    Raises:
        BenchError: no such study or option, or a field that is missing, unknown or out of
            range.
    """
    path = tables.locate(name)
    table = tables.read(path)
    try:
        Study.model_validate(table)  # before its options are taken apart
        for option in table.get("options", ()):  # one that is not chosen now is wrong later
            Study.model_validate(tables.with_options(table, [option]))
        return Study.model_validate(tables.with_options(table, options))
    except pydantic.ValidationError as error:
        raise BenchError(
            f"{path}: {mistakes.told(error, Study, table)}",
            hint="correct that field; bench/grid/study.py explains all of them",
        ) from None


def expand(study: Study) -> tuple[Cell, ...]:
    """The cells of a study, by size and then by method, each with the models it trains."""
    mixtures = [(one.method, one.size, one.tasks) for one in study.mixtures]
    return cells.expand((base.name for base in study.sizes), study.methods, study.tasks, mixtures)


def select(study: Study, patterns: Sequence[str]) -> tuple[Cell, ...]:
    """The cells of a study that match some patterns, see ``cells.select``.

    Raises:
        BenchError: a pattern that matches nothing, or only cells of an option.
    """
    grid = expand(study)
    for pattern in patterns:
        if cells.matching(grid, pattern):
            continue
        for name in study.options:
            whole = Study.model_validate(tables.with_options(canonical(study), [name]))
            if name not in study.with_ and cells.matching(expand(whole), pattern):
                raise BenchError(
                    f"the cell {pattern!r} belongs to an option of the study {study.name}",
                    hint=f"add --with {name}",
                )
    return cells.select(grid, patterns)


def canonical(model: pydantic.BaseModel) -> dict[str, Any]:
    """A study (or a part of it) as plain JSON data, the input of the stages' keys."""
    return model.model_dump(mode="json", by_alias=True)
