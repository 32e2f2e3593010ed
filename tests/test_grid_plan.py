"""The plan holds every stage of the study once, in an order that can be executed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.grid import cells, keys, store, study
from bench.grid.plan import Amounts, PlannedStage, as_json, plan
from bench.grid.store import State, Store
from bench.records import SUMMARIZATION, Outcome
from bench.run.outcomes import bare_record

ROOT = Path(__file__).parent.parent
INGREDIENTS = keys.Ingredients(sources={stage: {} for stage in keys.ENTRIES}, environment={})


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path)


def stages_of(results: Store, *patterns: str, name: str = "smoke") -> tuple[PlannedStage, ...]:
    loaded = study.load(name)
    return plan(loaded, cells.select(study.expand(loaded), patterns), results, INGREDIENTS)


def finish(results: Store, stage: PlannedStage, key: str, outcome: Outcome = Outcome.OK) -> None:
    work, _ = results.prepare(stage.owner, stage.stage, key)
    (work / "output").write_text("x")
    record = bare_record(key, stage.stage, outcome, None)
    if outcome is Outcome.OK:
        store.seal(work, record)
        results.publish(stage.owner, stage.stage)
    else:
        store.write_record(work, record)


@pytest.mark.parametrize("name", study.available())
def test_needs_come_first_and_a_chain_only_gets_shorter(results: Store, name: str) -> None:
    loaded = study.load(name)
    stages = stages_of(results, name=name)
    learned = [loaded.tasks for _ in loaded.sizes]
    learned += [model.tasks for cell in study.expand(loaded) for model in cell.models]
    embedding = [tasks for tasks in learned if loaded.scoring.encoders and SUMMARIZATION in tasks]
    assert len(stages) == 3 * len(learned) + len(embedding)
    seen: dict[str, PlannedStage] = {}
    for stage in stages:
        assert stage.id not in seen
        assert all(seen[need].priority > stage.priority for need in stage.needs)
        seen[stage.id] = stage
    assert seen["cells/mt-fft-" + stages[0].size + "/multi-task/train"].needs == (
        f"bases/{stages[0].size}/base",
    )


def test_the_largest_and_longest_come_first(results: Store) -> None:
    stages = sorted(stages_of(results), key=lambda stage: -stage.priority)
    assert stages[0].id == "bases/6m/base"
    trainings = [stage for stage in stages if stage.stage == "train"]
    assert {stage.size for stage in trainings[:5]} == {"6m"}
    assert trainings[0].model == "multi-task"


def test_states(results: Store) -> None:
    stages = {stage.id: stage for stage in stages_of(results)}
    base, generate, score = (stages[f"bases/2m/{s}"] for s in ("base", "generate", "score"))
    finish(results, base, base.key)
    finish(results, generate, "another key")
    finish(results, score, score.key, Outcome.FAILED)
    train = stages["cells/mt-fft-2m/multi-task/train"]
    finish(results, train, train.key, Outcome.INTERRUPTED)
    states = {stage.id: stage.state for stage in stages_of(results)}
    assert states[base.id] is State.DONE
    assert states[generate.id] is State.STALE
    assert states[score.id] is State.FAILED
    assert states[train.id] is State.MISSING
    assert set(states.values()) == set(State) - {State.ADOPTED}


def test_json_is_as_documented(results: Store) -> None:
    loaded = study.load("smoke")
    grid = study.expand(loaded)
    stages = plan(loaded, grid, results, INGREDIENTS)
    failed = [dataclasses.replace(stage, state=State.FAILED) for stage in stages]
    told = json.loads(json.dumps(as_json(loaded, grid, failed)))
    assert (told["schema"], told["study"]) == (1, "smoke")
    assert [cell["id"] for cell in told["cells"]] == [cell.id for cell in grid]
    assert sum(len(cell["models"]) for cell in told["cells"]) == 15
    cell = told["cells"][0]
    assert set(cell) == {"id", "method", "size", "models"}
    model = cell["models"][0]
    assert set(model) == {"id", "tasks", "stages"}
    assert [stage["name"] for stage in model["stages"]] == ["train", "generate", "score"]
    for stage in model["stages"]:
        assert set(stage) == {"name", "key", "state"}
        assert len(stage["key"]) == 64
        assert stage["state"] == "missing"
    assert [base["size"] for base in told["bases"]] == ["0.5m", "2m", "6m"]


def test_json_tells_the_amounts_it_is_given(results: Store) -> None:
    loaded = study.load("paper", ["rq3"])
    grid = study.expand(loaded)
    stages = plan(loaded, grid, results, INGREDIENTS)
    models = {(cell.method, model.tasks): {"rows": 1} for cell in grid for model in cell.models}
    amounts = Amounts({"corpus": "x"}, models, [{"what": "y"}])
    told = json.loads(json.dumps(as_json(loaded, grid, stages, amounts)))
    assert (told["with"], told["data"], told["missing"]) == (
        ["rq3"],
        {"corpus": "x"},
        [{"what": "y"}],
    )
    listed = [model for cell in told["cells"] for model in cell["models"]]
    assert len(listed) == 18
    assert all(model["data"] == {"rows": 1} for model in listed)
    assert told["cells"][-1]["id"] == "mt-qlora-3b-summarization-translation"


def test_some_cells_bring_only_their_bases(results: Store) -> None:
    stages = stages_of(results, "mt-*-2m")
    assert {stage.owner for stage in stages} == {
        "bases/2m",
        "cells/mt-qlora-2m/multi-task",
        "cells/mt-fft-2m/multi-task",
    }
    whole = {stage.id: stage.key for stage in stages_of(results)}
    assert all(whole[stage.id] == stage.key for stage in stages)


def test_planning_imports_nothing_that_executes() -> None:
    code = (
        "import sys, bench.grid.plan, bench.run.runner, bench.run.local, bench.run.provenance;"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'numpy', 'scipy'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_planning_is_fast(results: Store) -> None:
    for stage in stages_of(results):
        finish(results, stage, stage.key)
    started = time.process_time()
    assert {stage.state for stage in stages_of(results)} == {State.DONE}
    assert time.process_time() - started < 0.25
