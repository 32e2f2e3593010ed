"""What a verification finds, and the stored stages that it looks at."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.grid import changes
from bench.records import StageRecord


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not match: where, what, and the next step.

    ``next`` is None for what could not be checked; ``what`` then says why. ``places`` is how
    many places share it, of which ``where`` is the first.
    """

    where: str
    what: str
    next: str | None
    places: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A stage's folder as it lies there; ``record`` is None where it cannot be read."""

    owner: str
    stage: str
    folder: Path
    record: StageRecord | None
    made_of: bytes | None

    @property
    def id(self) -> str:
        """For example ``cells/mt-qlora-2m/multi-task/train``."""
        return f"{self.owner}/{self.stage}"

    @property
    def key(self) -> str | None:
        """The key in its record."""
        return self.record.key if self.record else None

    @property
    def ingredients(self) -> Mapping[str, Any] | None:
        """What its key is made of; None where that is not kept or does not hash to the key."""
        made = self.made_of
        if made is None or hashlib.sha256(made).hexdigest() != self.key:
            return None
        content = changes.read(made)
        whole = content is not None and content.get("stage") == self.stage
        return content if whole else None


def unchecked(where: str, why: str) -> Finding:
    """What cannot be checked here, and why."""
    return Finding(where, why, None)


def grouped(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for all places of which the same is to be said."""
    first: dict[tuple[str, str | None], Finding] = {}
    for one in found:
        same = (one.what, one.next)
        before = first.get(same)
        first[same] = dataclasses.replace(before, places=before.places + 1) if before else one
    return tuple(first.values())
