"""A partial rerun builds on what is stored as it lies, and runs nothing that comes before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.grid import adopted, cells, keys, store, study
from bench.grid.plan import GENERATE, REPORT, SCORE, PlannedStage, plan
from bench.grid.store import State, Store
from bench.records import Outcome
from bench.run.outcomes import bare_record

SMOKE = study.load("smoke")
PAPER = study.load("paper")
MODEL = "cells/mt-qlora-0.5m/multi-task"
BASE = "bases/0.5m"


def ingredients(code: str) -> keys.Ingredients:
    sources = {stage: {f"{stage}.py": code} for stage in keys.ENTRIES}
    return keys.Ingredients(sources=sources, environment={})


def stages(
    results: Store, start: str, code: str = "new", of: study.Study = SMOKE, cell: str = "*-0.5m"
) -> dict[str, PlannedStage]:
    chosen = cells.select(study.expand(of), [cell])
    found = plan(of, chosen, results, ingredients(code), start)
    return {stage.id: stage for stage in found}


def run(results: Store, *ids: str, code: str = "old", start: str = "base", **about) -> None:
    """Finish the stages of a plan that are named, as a run of this code would."""
    for name, stage in stages(results, start, code, **about).items():
        if name not in ids and ids:
            continue
        work, _ = results.prepare(stage.owner, stage.stage, stage.key, stage.made_of)
        (work / "output").write_text(f"{name} {code}")
        store.seal(work, bare_record(stage.key, stage.stage, Outcome.OK, None))
        results.publish(stage.owner, stage.stage)


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def test_stale_generations_are_adopted_and_only_scores_run(results):
    run(results)
    found = stages(results, SCORE)
    states = {name.rpartition("/")[2]: stage.state for name, stage in found.items()}
    assert states == {
        "base": State.ADOPTED,
        "train": State.ADOPTED,
        "generate": State.ADOPTED,
        "score": State.STALE,
    }
    generate = found[f"{MODEL}/generate"]
    assert generate.key == results.whole(MODEL, GENERATE).key
    assert generate.adopted
    assert generate.why == ("source generate.py",)
    chosen = adopted.select(SMOKE, tuple(found.values()), SCORE)
    assert chosen.lacking == ()
    assert {one.stage for one in chosen.stages if not one.stored} == {"score"}


def test_the_key_of_what_follows_is_built_on_the_adopted_key(results):
    run(results)
    score = stages(results, SCORE)[f"{MODEL}/score"]
    made = json.loads(score.made_of)
    assert made["upstream"] == {"generate": results.whole(MODEL, GENERATE).key}
    assert score.key == keys.key_of(score.made_of)


def test_scoring_anew_asks_the_encoders_anew_and_needs_generations_alone(results):
    """Where a study has metrics that are encoders, a stage stands before that of the scores."""
    content = {**study.canonical(SMOKE), "scoring": {"metrics": ["bertscore"]}}
    of = study.Study.model_validate(content)
    run(results, of=of)
    found = adopted.select(of, tuple(stages(results, SCORE, of=of).values()), SCORE)
    assert {one.stage for one in found.stages if not one.stored} == {"embed", "score"}
    assert {one.stage for one in found.stages if one.adopted} == {"base", "train", "generate"}
    summaries = "cells/st-qlora-0.5m/summarization"
    (results.path(summaries, GENERATE) / "output").unlink()
    found = adopted.select(of, tuple(stages(results, SCORE, of=of).values()), SCORE)
    (lost,) = found.lacking
    assert (lost.stage.id, lost.need) == (f"{summaries}/embed", f"{summaries}/generate")
    assert lost.first == "generate"
    assert not {f"{summaries}/embed", f"{summaries}/score"} & {one.id for one in found.stages}


def test_a_second_call_finds_everything_done(results):
    run(results)
    names = [name for name in stages(results, SCORE) if name.endswith("/score")]
    run(results, *names, code="new", start=SCORE)
    again = adopted.select(SMOKE, tuple(stages(results, SCORE).values()), SCORE)
    assert all(one.stored for one in again.stages)
    assert stages(results, SCORE)[f"{MODEL}/score"].state is State.DONE


def test_what_the_present_code_would_make_is_done_and_not_adopted(results):
    run(results, code="new")
    for start in (GENERATE, SCORE, REPORT):
        assert {one.state for one in stages(results, start).values()} == {State.DONE}
        assert adopted.told(tuple(stages(results, start).values())) is None


def test_a_full_run_adopts_nothing(results):
    run(results)
    assert {one.state for one in stages(results, "base").values()} == {State.STALE}


def test_generate_starts_from_the_trained_model(results):
    run(results)
    found = adopted.select(SMOKE, tuple(stages(results, GENERATE).values()), GENERATE)
    left = {one.id for one in found.stages if not one.stored}
    assert f"{MODEL}/generate" in left
    assert f"{MODEL}/score" in left
    assert not [name for name in left if name.endswith(("/train", "/base"))]


def test_a_model_without_its_input_is_named_and_the_others_run(results):
    run(results)
    (results.path(MODEL, GENERATE) / "output").unlink()
    found = adopted.select(SMOKE, tuple(stages(results, SCORE).values()), SCORE)
    (lost,) = found.lacking
    assert (lost.stage.id, lost.need) == (f"{MODEL}/score", f"{MODEL}/generate")
    assert "no generations stored" in lost.why
    assert lost.first == "generate", "its trained model is there"
    assert "cells/mt-fft-0.5m/multi-task/score" in {one.id for one in found.stages}
    assert f"{MODEL}/score" not in {one.id for one in found.stages}


def test_without_a_trained_model_it_is_to_be_trained(results):
    run(results, f"{BASE}/base")
    found = adopted.select(SMOKE, tuple(stages(results, SCORE).values()), SCORE)
    firsts = {one.stage.owner: one.first for one in found.lacking}
    assert firsts[MODEL] == "reproduce"
    assert firsts[BASE] == "generate"
    assert len(found.stages) == 1


def test_generations_alone_are_enough_to_score(results):
    run(results)
    for owner, stage in ((BASE, "base"), (MODEL, "train")):
        (results.path(owner, stage) / "output").unlink()
    found = adopted.select(SMOKE, tuple(stages(results, SCORE).values()), SCORE)
    by_id = {one.id: one for one in found.stages}
    assert f"{MODEL}/train" not in by_id
    assert by_id[f"{MODEL}/generate"].needs == ()
    assert by_id[f"{MODEL}/score"].needs == (f"{MODEL}/generate",)


def test_an_adapter_needs_its_base_and_full_weights_do_not(results):
    run(results)
    (results.path(BASE, "base") / "output").unlink()
    found = adopted.select(SMOKE, tuple(stages(results, GENERATE).values()), GENERATE)
    lost = {one.stage.owner for one in found.lacking}
    assert MODEL in lost
    assert BASE in lost
    full = "cells/mt-fft-0.5m/multi-task/generate"
    assert next(one for one in found.stages if one.id == full).needs == (
        "cells/mt-fft-0.5m/multi-task/train",
    )


def test_an_adapter_of_another_base_is_refused(results):
    """Generating with the wrong base would give plausible, wrong outputs."""
    run(results)
    run(results, f"{BASE}/base", code="another")
    found = adopted.select(SMOKE, tuple(stages(results, GENERATE).values()), GENERATE)
    lost = {one.stage.owner: one.why for one in found.lacking}
    assert lost[MODEL] == "its adapter was trained on another base model"
    assert "cells/mt-fft-0.5m/multi-task" not in lost


def test_a_training_that_the_generations_are_not_of_is_not_told_with_them(results):
    run(results)
    run(results, f"{MODEL}/train", code="another")
    found = stages(results, SCORE)
    assert found[f"{MODEL}/train"].state is State.MISSING
    assert found[f"{MODEL}/generate"].adopted
    assert found["cells/mt-fft-0.5m/multi-task/train"].state is not State.MISSING


def test_models_of_the_hub_lie_beside_the_run(results):
    cell = "mt-qlora-3b"
    run(results, f"cells/{cell}/multi-task/train", of=PAPER, cell=cell)
    planned = tuple(stages(results, GENERATE, of=PAPER, cell=cell).values())
    found = adopted.select(PAPER, planned, GENERATE)
    assert found.lacking == ()
    left = {one.id: one for one in found.stages if not one.stored}
    assert left[f"cells/{cell}/multi-task/generate"].needs == (f"cells/{cell}/multi-task/train",)
    assert left["bases/3b/generate"].needs == ()
    assert "bases/3b/base" not in left


def test_the_report_says_what_was_adopted_and_why(results):
    run(results)
    told = adopted.told(tuple(stages(results, REPORT).values()))
    assert told is not None
    count = len(stages(results, REPORT))
    assert told.startswith(f"Adopted: {count} stages are told as they lie")
    assert "source generate.py" in told
    assert "1 more" in told
