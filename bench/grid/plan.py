"""The stages of a study as a graph: what each builds on, its key, and what is left to do.

Planning reads records and hashes sources; it imports nothing that executes a stage.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from bench.grid import changes, intact, keys
from bench.grid.keys import Ingredients
from bench.grid.store import State, Store
from bench.grid.study import Study, TinyBase
from bench.records import SCHEMA, SUMMARIZATION, Cell, Model

BASE, TRAIN, GENERATE, EMBED, SCORE = "base", "train", "generate", "embed", "score"
#: A training of a few steps as published, for what it costs; nothing builds on it.
MEASURE = "measure"
#: What comes behind the models' stages: a plan that starts there adopts all of them.
REPORT = "report"
#: What scores starts with what encoders make of the outputs.
_ORDER = {BASE: 0, TRAIN: 1, MEASURE: 1, GENERATE: 2, EMBED: 3, SCORE: 3, REPORT: 4}
#: Rough relative cost of each stage of a model; only its order matters (longest first).
_COST = {BASE: 6.0, TRAIN: 3.0, MEASURE: 1.0, GENERATE: 3.0, EMBED: 1.0, SCORE: 1.0}


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of one model or base. ``needs`` are the ids of the stages it builds on.

    ``priority`` is the estimated length of the longest chain that begins with it.
    ``made_of`` is what its key is the SHA-256 of; ``why`` says what makes it stale, or what
    an adopted one differs in from what the present code and configuration would make.
    """

    owner: str
    cell: str | None
    method: str | None
    size: str
    model: str | None
    tasks: tuple[str, ...]
    stage: str
    key: str
    state: State
    needs: tuple[str, ...]
    priority: float
    made_of: bytes = b""
    why: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """For example ``cells/mt-qlora-2m/multi-task/train``."""
        return f"{self.owner}/{self.stage}"

    @property
    def adopted(self) -> bool:
        """Whether it is built on as it lies, though the present code would make another."""
        return self.state is State.ADOPTED

    @property
    def stored(self) -> bool:
        """Whether its result lies in the store and is built on."""
        return self.state in (State.DONE, State.ADOPTED)


class _Planner:
    def __init__(self, study: Study, store: Store, ingredients: Ingredients, start: str) -> None:
        self._study = study
        self._store = store
        self._start = start
        # Many models share their tasks, and each file is hashed to answer.
        data = functools.cache(ingredients.data)
        self._ingredients = dataclasses.replace(ingredients, data=data)
        self.stages: dict[str, PlannedStage] = {}

    def chain(
        self,
        stages: Sequence[str],
        owner: str,
        tasks: tuple[str, ...],
        size: str,
        needs: str | None = None,
        cell: Cell | None = None,
        model: str | None = None,
    ) -> None:
        """Add stages of one owner, each building on the one before."""
        weight = _weight(self._study, size) * len(tasks)
        left = sum(_COST[stage] for stage in stages)
        for stage in stages:
            method = cell.method if cell else None
            config = keys.decides(self._study, stage, size=size, method=method, tasks=tasks)
            before = self.stages[needs] if needs else None
            upstream = {before.stage: before.key} if before else {}
            made = keys.made_of(stage, config, tasks, self._ingredients, upstream)
            after = next(iter(stages[stages.index(stage) + 1 :]), None)
            key, state, made, why = self._standing(owner, stage, made, after)
            if state is State.DONE and (anew := self._made_anew(owner, stage, size)):
                state, why = State.STALE, (f"the {anew} that it was built on was made anew",)
            planned = PlannedStage(
                owner,
                cell.id if cell else None,
                method,
                size,
                model,
                tasks,
                stage,
                key,
                state,
                (needs,) if needs else (),
                # A base stands before all models of its size.
                weight * (left + (sum(_COST.values()) if stage == BASE else 0)),
                made,
                why,
            )
            self.stages[planned.id] = planned
            left -= _COST[stage]
            needs = planned.id

    def _standing(
        self, owner: str, stage: str, made: bytes, after: str | None
    ) -> tuple[str, State, bytes, tuple[str, ...]]:
        """The key of a stage, its state, what the key is made of, and why it is not current.

        What is adopted must be what the stored stage ``after`` it was made from, if that
        is adopted, too.
        """
        key = keys.key_of(made)
        if not comes_before(stage, self._start):
            state = self._store.state(owner, stage, key)
            stale = state is State.STALE
            was = self._store.made_of(owner, stage) if stale else None
            return key, state, made, changes.why(was, made) if stale else ()
        record = self._store.whole(owner, stage)
        if record is not None and after is not None and comes_before(after, self._start):
            used = changes.upstream(self._store.made_of(owner, after), stage)
            record = record if used in (None, record.key) else None
        if record is None or record.key == key:
            return key, State.DONE if record else State.MISSING, made, ()
        was = self._store.made_of(owner, stage)
        return record.key, State.ADOPTED, was or b"", changes.why(was, made)

    def _made_anew(self, owner: str, stage: str, size: str) -> str | None:
        """The stage before one that has been made again since, and not as it was."""
        record = self._store.whole(owner, stage)
        if record is None or comes_before(stage, self._start):
            return None
        earlier = {}
        for name in intact.TAKEN[stage]:
            found = self._store.whole(f"bases/{size}" if name == BASE else owner, name)
            if found is not None:
                earlier[name] = found
        return intact.made_anew(record, earlier)


def of_base(study: Study) -> tuple[str, ...]:
    """The stages of a base model, each building on the one before."""
    return (BASE, *_evaluation(study, study.tasks))


def of_model(study: Study, tasks: Sequence[str]) -> tuple[str, ...]:
    """The stages of a model of some tasks, each building on the one before."""
    return (TRAIN, *_evaluation(study, tasks))


def beside(study: Study, cell: Cell) -> tuple[str, ...]:
    """The stages of a cell's models that nothing builds on.

    What a method costs as published is measured on the multi-task models of the grid, one of
    each method at each size.
    """
    whole = cell.series == cell.method and cell.method != "st-qlora"
    return (MEASURE,) if study.measuring and whole else ()


def _evaluation(study: Study, tasks: Sequence[str]) -> tuple[str, ...]:
    embeds = study.scoring.encoders and SUMMARIZATION in tasks
    return (GENERATE, EMBED, SCORE) if embeds else (GENERATE, SCORE)


def comes_before(stage: str, start: str) -> bool:
    """Whether a stage's result is what a run that begins with ``start`` builds on."""
    return _ORDER[stage] < _ORDER[start]


def plan(
    study: Study,
    cells: Sequence[Cell],
    store: Store,
    ingredients: Ingredients,
    start: str = BASE,
) -> tuple[PlannedStage, ...]:
    """All stages of some cells, with the bases of their sizes; needed ones come first.

    What comes before ``start`` is adopted: its stored key stands for the planned one, and the
    later stages build on that (``bench.grid.adopted`` says which of them can run).
    """
    planner = _Planner(study, store, ingredients, start)
    for size in dict.fromkeys(cell.size for cell in cells):
        planner.chain(of_base(study), f"bases/{size}", study.tasks, size)
    for cell in cells:
        chains = [(model, of_model(study, model.tasks)) for model in cell.models]
        chains += [(model, beside(study, cell)) for model in cell.models]
        for model, stages in chains:
            planner.chain(
                stages,
                f"cells/{cell.id}/{model.id}",
                model.tasks,
                cell.size,
                needs=f"bases/{cell.size}/{BASE}",
                cell=cell,
                model=model.id,
            )
    return tuple(planner.stages.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Amounts:
    """What a plan tells of data, as plain data: see ``bench.data.sizes`` and ``needs``.

    ``models`` is keyed by method and tasks; ``missing`` is what keeps the study from running.
    """

    data: Mapping[str, Any]
    models: Mapping[tuple[str, tuple[str, ...]], Mapping[str, Any]]
    missing: Sequence[Mapping[str, Any]]


def as_json(
    study: Study,
    cells: Sequence[Cell],
    stages: Sequence[PlannedStage],
    amounts: Amounts | None = None,
) -> dict[str, Any]:
    """The plan as plain data; a stage that failed is one that is missing."""

    def sized(cell: Cell, model: Model) -> dict[str, Any]:
        return {"data": amounts.models[cell.method, model.tasks]} if amounts else {}

    listed: dict[str, list[dict[str, Any]]] = {}
    for stage in stages:
        state = State.MISSING if stage.state is State.FAILED else stage.state
        entry: dict[str, Any] = {"name": stage.stage, "key": stage.key, "state": state.value}
        if stage.why:
            entry["why"] = list(stage.why)
        listed.setdefault(stage.owner, []).append(entry)
    return {
        "schema": SCHEMA,
        "study": study.name,
        "with": list(study.with_),
        **({"data": amounts.data, "missing": list(amounts.missing)} if amounts else {}),
        "bases": [
            {"size": size, "stages": listed[f"bases/{size}"]}
            for size in dict.fromkeys(cell.size for cell in cells)
        ],
        "cells": [
            {
                "id": cell.id,
                "method": cell.method,
                "size": cell.size,
                "models": [
                    {
                        "id": model.id,
                        "tasks": list(model.tasks),
                        **sized(cell, model),
                        "stages": listed[f"cells/{cell.id}/{model.id}"],
                    }
                    for model in cell.models
                ],
            }
            for cell in cells
        ],
    }


def _weight(study: Study, size: str) -> float:
    """How much one token costs at a size: a tiny base's parameters, else its rank."""
    base = study.base(size)
    if isinstance(base, TinyBase):
        layer = base.hidden_size * (4 * base.hidden_size + 3 * base.intermediate_size)
        return base.vocabulary * base.hidden_size + base.layers * layer
    return 1.0 + list(study.sizes).index(base)
