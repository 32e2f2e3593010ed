"""Partial reruns: what can run from stored trained models or generations, as they lie.

A run that begins with ``generate`` or ``score`` makes nothing that comes before. It builds
on what an earlier run has stored, even where the present code or configuration would make
something else; such a stage is adopted, and its own key goes into the keys of what follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench.grid import changes
from bench.grid.plan import BASE, EMBED, GENERATE, SCORE, TRAIN, PlannedStage, comes_before
from bench.grid.study import Study, TinyBase

#: Of what an adopted stage differs in, this much is named.
_NAMED = 3
#: What a stage's output is called, for people.
OUTPUTS: Mapping[str, str] = {
    BASE: "base model",
    TRAIN: "trained model",
    GENERATE: "generations",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Lacking:
    """A stage that cannot start: ``need`` is the stage whose result is not there, or not it.

    ``first`` is the session that makes what is needed.
    """

    stage: PlannedStage
    need: str
    why: str
    first: str


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """The stages that a partial rerun consists of, with those they read, and what is lacking."""

    stages: tuple[PlannedStage, ...]
    lacking: tuple[Lacking, ...]


def select(study: Study, stages: Sequence[PlannedStage], start: str) -> Selection:
    """The stages of a plan that begins with ``start`` which have what they read.

    Stored ones before ``start`` stay, since the report tells what they cost. Their ``needs``
    are only those that are stored, too.
    """
    kept: dict[str, PlannedStage] = {}
    lacking = []
    for stage in stages:
        present = tuple(need for need in stage.needs if need in kept)
        trimmed = dataclasses.replace(stage, needs=present)
        if comes_before(stage.stage, start):
            if stage.stored:
                kept[stage.id] = trimmed
        elif not all(comes_before(need.rpartition("/")[2], start) for need in stage.needs):
            if present:
                kept[stage.id] = trimmed
        elif (missing := _missing(study, stage, kept)) is not None:
            lacking.append(missing)
        else:
            kept[stage.id] = trimmed
    return Selection(tuple(kept.values()), tuple(lacking))


def _missing(study: Study, stage: PlannedStage, kept: Mapping[str, PlannedStage]) -> Lacking | None:
    """The first input that a stage reads and that is not stored, or is not what it was."""
    tiny = isinstance(study.base(stage.size), TinyBase)
    for need in stage.needs:
        name = need.rpartition("/")[2]
        # A model of the hub lies beside the runs: its stage only says where.
        if need not in kept and (name != BASE or tiny):
            why = f"no {OUTPUTS[name]} stored (stage {name})"
            return Lacking(stage, need, why, _session(stage, kept))
    if stage.stage != GENERATE or stage.cell is None or stage.method == "mt-fft" or not tiny:
        return None
    base = f"bases/{stage.size}/{BASE}"
    if base not in kept:
        why = f"no {OUTPUTS[BASE]} stored for its adapter (stage {BASE})"
        return Lacking(stage, base, why, "reproduce")
    train = kept[f"{stage.owner}/{TRAIN}"]
    if changes.upstream(train.made_of, BASE) not in (None, kept[base].key):
        return Lacking(stage, base, "its adapter was trained on another base model", "reproduce")
    return None


def _session(stage: PlannedStage, kept: Mapping[str, PlannedStage]) -> str:
    """The session that makes what a stage lacks, from the most that is stored."""
    trained = f"{stage.owner}/{TRAIN if stage.cell else BASE}"
    return "generate" if stage.stage in (EMBED, SCORE) and trained in kept else "reproduce"


def told(stages: Sequence[PlannedStage]) -> str | None:
    """The sentence of a report for the adopted stages of a plan; None where there are none."""
    taken = [stage for stage in stages if stage.adopted]
    if not taken:
        return None
    reasons = list(dict.fromkeys(reason for stage in taken for reason in stage.why))
    more = [f"{len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
    return (
        f"Adopted: {len(taken)} stages are told as they lie; the present code and configuration "
        f"would make others ({'; '.join([*reasons[:_NAMED], *more])})"
    )
