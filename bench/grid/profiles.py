"""Profiles of GPUs: what true shapes take in steady steps, measured on one card in minutes.

``python -m bench profile`` writes them, an item after the other; those that ship with the kit
lie in ``reports/reference/gpu/``. A plan believes them before it scales another run or
calculates (``bench.grid.profiled``). What is read here is checked as a stranger's: one line
names the file and the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from bench.costs import Shape
from bench.data import readers
from bench.errors import DataError

SCHEMA = 1
#: The folder of profiles below that of the results, and below that of the kit's figures.
FOLDER, SHIPPED = "profiles", "gpu"
#: Larger than any profile: some hundred items of half a kilobyte.
_MOST_BYTES = 4_000_000
_MOST_ITEMS = 2_000

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class _Part(pydantic.BaseModel):
    """A part of a profile. Later versions may tell more, so further fields are ignored."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")


class ShapeEntry(_Part):
    """A model's shape, see ``bench.costs.Shape``."""

    hidden: pydantic.PositiveInt
    layers: pydantic.PositiveInt
    heads: pydantic.PositiveInt
    kv_heads: pydantic.PositiveInt
    intermediate: pydantic.PositiveInt
    vocabulary: pydantic.PositiveInt
    tied: bool

    def shape(self) -> Shape:
        """The same as the analytic model names it."""
        return Shape(**self.model_dump())


class Device(_Part):
    """The card, by the name that its driver gives it."""

    name: str
    memory_bytes: pydantic.PositiveInt | None = None


class Origin(_Part):
    """When it was measured, as ISO 8601 has it."""

    time: str = ""


class TokenRates(_Part):
    """Tokens a second in steady steps: ``processed`` with padding."""

    processed: Positive | None = None


class _Item(_Part):
    outcome: Literal["ok", "oom", "failed"]
    reason: str | None = None


class Training(_Item):
    """A training of some steps: how it was made, and what its steady steps took.

    ``dequantised`` and ``precision`` are QLoRA's. A peak of 0 was not measured.
    """

    item: Literal["train"]
    size: str
    shape: ShapeEntry
    method: Literal["qlora", "full"]
    plan: Literal["published", "tuned"]
    dequantised: bool | None = None
    micro_rows: pydantic.PositiveInt
    row_tokens: pydantic.PositiveInt
    checkpointing: bool
    optimizer: str
    precision: Literal["published", "corrected"] | None = None
    packing: Literal["published", "isolated"] = "published"
    graphs: bool = False
    kernels: tuple[str, ...] = ()
    tokens_per_s: TokenRates | None = None
    peak_allocated_bytes: pydantic.NonNegativeInt | None = None
    peak_reserved_bytes: pydantic.NonNegativeInt | None = None

    @pydantic.model_validator(mode="after")
    def _measured(self) -> Training:
        if self.outcome == "ok" and self.rate is None:
            raise ValueError("outcome ok without tokens_per_s.processed")
        return self

    @property
    def rate(self) -> float | None:
        """Processed tokens a second; None where it did not get so far."""
        return self.tokens_per_s.processed if self.tokens_per_s else None


class Generation(_Item):
    """One batch of answers of a fixed length."""

    item: Literal["generate"]
    size: str
    shape: ShapeEntry
    method: str
    merged: bool
    rows: pydantic.PositiveInt
    prompt_tokens: pydantic.PositiveInt
    new_tokens: pydantic.PositiveInt
    tokens_per_s: Positive | None = None

    @pydantic.model_validator(mode="after")
    def _measured(self) -> Generation:
        if self.outcome == "ok" and self.tokens_per_s is None:
            raise ValueError("outcome ok without tokens_per_s")
        return self


class Profile(_Part):
    """What was measured on one card. ``items`` holds only the kinds that a plan reads."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    device: Device
    origin: Origin = Origin()
    items: tuple[Annotated[Training | Generation, pydantic.Field(discriminator="item")], ...]

    @property
    def trainings(self) -> Sequence[Training]:
        """The items that trained."""
        return [one for one in self.items if isinstance(one, Training)]

    @property
    def generations(self) -> Sequence[Generation]:
        """The items that generated."""
        return [one for one in self.items if isinstance(one, Generation)]


def read(results: Path, reference: Path) -> list[Profile]:
    """All profiles: those below the results, then the kit's own; of each the latest first.

    Raises:
        DataError: a file that is no profile, with the field that is wrong.
    """
    folders = [(results / FOLDER, "remove it, or profile again: nox -s profile")]
    folders.append((reference / SHIPPED, "check the file out again"))
    found = []
    for folder, hint in folders:
        read_here = [_profile(path, hint) for path in sorted(folder.glob("*.json"))]
        found += sorted(read_here, key=lambda one: one.origin.time, reverse=True)
    return found


def _profile(path: Path, hint: str) -> Profile:
    """One file. A run's profile may be read while its last items are still to come."""
    content = readers.read_json(path, hint=hint, most_bytes=_MOST_BYTES)
    try:
        return Profile.model_validate(_known(content))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        problem = f"{where}: {first['msg']}"
    except ValueError as error:
        problem = str(error)
    raise DataError(f"{path}: not a profile of a GPU: {problem}", hint=hint)


def _known(content: Any) -> Any:
    """The content without the items of which a plan makes nothing."""
    if not isinstance(content, Mapping) or not isinstance(content.get("items"), list):
        return content
    if len(content["items"]) > _MOST_ITEMS:
        raise ValueError(f"{len(content['items'])} items, more than a profile has")
    kinds = ("train", "generate")
    items = [
        one
        for one in content["items"]
        if not isinstance(one, Mapping)
        or (one.get("item") in kinds and one.get("outcome") not in ("dropped", "timeout"))
    ]
    # A training that ended before its micro-batch was chosen tells nothing of one.
    items = [
        one
        for one in items
        if not isinstance(one, Mapping)
        or not (one.get("outcome") in ("oom", "failed") and one.get("micro_rows", 1) is None)
    ]
    return {**content, "items": items}
