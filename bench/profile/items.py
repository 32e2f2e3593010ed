"""What a profile measures, in the order of what is learnt from it: plain data, no torch.

An item is measured in a process of its own. The later ones are left out where the time is up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bench.costs import Fit, Lora, Shape
from bench.grid import analytic, batching
from bench.grid.study import Optimization, Study, Training

TRAIN, GENERATE, CHECKPOINT = "train", "generate", "checkpoint"
#: Prompts and answers of a generation item: about the means of the study's suites.
PROMPT_TOKENS, NEW_TOKENS = 256, 128
#: On a CPU a model keeps its widths and vocabulary, and this many layers.
CPU_LAYERS = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One measurement.

    ``micro_rows`` and ``checkpointing`` None: as chosen for the device. ``rows`` are a
    generation's. ``trace``: one step is profiled for its kernels.
    """

    item: Literal["train", "generate", "checkpoint"]
    size: str
    shape: Shape
    method: Literal["qlora", "full"]
    plan: Literal["published", "tuned"] = "tuned"
    dequantised: bool = False
    precision: Literal["published", "corrected"] = "published"
    packing: Literal["published", "isolated"] = "published"
    micro_rows: int | None = None
    checkpointing: bool | None = None
    optimizer: str | None = None
    graphs: bool = False
    kernels: tuple[str, ...] = ()
    rows_per_step: int = 32
    rows: int = 256
    merged: bool = False
    trace: bool = False

    @property
    def label(self) -> str:
        """The item in a few words, unlike any other's."""
        words = [self.item, self.size, self.method]
        if self.item == GENERATE:
            return " ".join([*words, "merged" if self.merged else "unmerged", f"{self.rows} rows"])
        words.append(self.plan)
        defaults = {one.name: one.default for one in dataclasses.fields(self)}
        if self.dequantised:
            words.append("bf16 base")
        words += [
            f"{name} {value}"
            for name in ("precision", "packing", "optimizer")
            if (value := getattr(self, name)) != defaults[name]
        ]
        words += [f"{self.micro_rows} rows"] if self.micro_rows else []
        words += ["checkpointing" if self.checkpointing else "no checkpointing"] * (
            self.checkpointing is not None
        )
        words += ["graphs"] if self.graphs else []
        return " ".join([*words, *self.kernels])

    def training(self, study: Study) -> Training:
        """The study's protocol as this item changes it: no validation, the micro-batch fixed."""
        table = "full" if self.method == "full" else "qlora"
        chosen: Optimization = getattr(study.training, table)
        changes: dict[str, Any] = {
            "rows_per_step": self.rows_per_step,
            "rows_per_micro_batch": self.micro_rows or "auto",
            "gradient_checkpointing": (
                "auto" if self.checkpointing is None else self.checkpointing
            ),
            "warmup_steps": 1,
        }
        if self.plan == "published":
            changes["rows_per_micro_batch"] = min(batching.PUBLISHED_ROWS, self.rows_per_step)
            changes["gradient_checkpointing"] = self.method == "full"
            changes["optimizer"] = "adamw_torch" if self.method == "full" else chosen.optimizer
        if self.optimizer:
            changes["optimizer"] = self.optimizer
        return study.training.model_copy(
            update={
                table: chosen.model_copy(update=changes),
                "plan": self.plan,
                "dequantised": self.dequantised,
                "precision": self.precision,
                "packing": self.packing,
                "graphs": self.graphs,
                "kernels": self.kernels,
                "early_stopping": None,
                "single": {},
            }
        )

    def fit(self, study: Study, rows: int, *, checkpointing: bool, gpu: bool) -> Fit:
        """How the item trains, in the words of the cost model."""
        training = self.training(study)
        lora = training.lora
        adapter = None if self.method == "full" else Lora(lora.rank, lora.targets)
        chosen = training.full if self.method == "full" else training.qlora
        bare = analytic.bare_fit(training, adapter, gpu=gpu, optimizer=chosen.optimizer)
        return batching.of(bare, batching.Setting(rows, checkpointing))

    def as_json(self) -> dict[str, Any]:
        """The item as its process gets it."""
        return dataclasses.asdict(self)


def from_json(content: Mapping[str, Any]) -> Item:
    """An item from what ``as_json`` gave."""
    return Item(
        **{
            **content,
            "shape": Shape(**content["shape"]),
            "kernels": tuple(content["kernels"]),
        }
    )


def of_study(shapes: Mapping[str, Shape], *, gpu: bool) -> list[Item]:
    """What is measured of a study's sizes, given smallest first.

    First what every estimate rests on: each method at its best setting, each size; then the
    published way at the smallest size; then single questions.
    """
    sizes = [
        (name, shape if gpu else dataclasses.replace(shape, layers=min(CPU_LAYERS, shape.layers)))
        for name, shape in shapes.items()
    ]
    scale: dict[str, Any] = {} if gpu else {"rows_per_step": 2, "rows": 4}
    (small, first), (large, last) = sizes[0], sizes[-1]
    compiled: dict[str, Any] = {"kernels": ("compile",), **scale}
    found = [
        Item("train", small, first, "qlora", trace=True, **scale),
        Item("train", small, first, "qlora", "published", **scale),
        Item("train", small, first, "full", **scale),
        *(
            Item("train", name, shape, method, **scale)
            for name, shape in reversed(sizes[1:])
            for method in ("qlora", "full")
        ),
        *(Item("generate", small, first, "qlora", merged=way, **scale) for way in (True, False)),
        *(Item("train", name, shape, "qlora", **compiled) for name, shape in sizes),
        Item("train", small, first, "full", "published", **scale),
        Item("train", small, first, "qlora", precision="corrected", **scale),
        Item("train", small, first, "qlora", dequantised=True, **scale),
        Item("train", small, first, "qlora", packing="isolated", **scale),
        Item("generate", large, last, "qlora", **scale),
        Item("checkpoint", small, first, "full", **scale),
        Item("train", small, first, "full", checkpointing=True, **scale),
        Item("train", small, first, "full", optimizer="adamw_torch", **scale),
        Item("train", large, last, "qlora", checkpointing=True, **scale),
        Item("train", small, first, "qlora", graphs=True, **scale),
    ]
    return list(dict.fromkeys(found))


def matching(found: Sequence[Item], patterns: Sequence[str]) -> list[Item]:
    """The items whose labels hold each word of one of some patterns; all without any."""
    if not patterns:
        return list(found)
    asked = [pattern.split() for pattern in patterns]
    return [one for one in found if any(set(words) <= set(one.label.split()) for words in asked)]
