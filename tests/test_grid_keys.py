"""A key is stable, and a change of the study makes exactly the right stages stale."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.grid import keys, plan, store, study

DATA = {"train": {"functions.jsonl": "bb"}, "score": {"functions.jsonl": "bb"}}
RUN = {"locks": {"run.txt": "aa"}, "python": "3.11.0", "torch": "2.13.0"}
INGREDIENTS = keys.Ingredients(
    sources={stage: {f"{stage}.py": f"code of {stage}"} for stage in keys.ENTRIES},
    environment={
        **dict.fromkeys(("base", "train", "generate"), RUN),
        "score": {"locks": {"score.txt": "aa"}, "python": "3.11.0"},
    },
    data=lambda tasks: DATA,
    machine={"score": {"java": "17"}},
)
BASES = {f"bases/{size}" for size in ("0.5m", "2m", "6m")}


def stage_keys(
    content: dict[str, Any], ingredients: keys.Ingredients = INGREDIENTS
) -> dict[str, str]:
    loaded = study.Study.model_validate(content)
    stages = plan.plan(loaded, study.expand(loaded), store.Store(Path("/nonexistent")), ingredients)
    return {stage.id: stage.key for stage in stages}


def smoke() -> dict[str, Any]:
    return study.canonical(study.load("smoke"))


def test_the_recipe_is_golden() -> None:
    """A change here means that every result that anyone holds becomes stale."""
    config = {"tasks": ["generation"], "seed": 42, "rate": 5e-3, "name": "é"}
    assert keys.RECIPE == 3
    assert (
        keys.key_of(keys.made_of("train", config, ["generation"], INGREDIENTS, {"base": "0" * 64}))
        == "8846e3cc2f7b8fd38131327b19536978ae3e51eee86a4178cbb20060f573d21b"
    )


def test_every_stage_has_its_own_key_but_equal_work_shares_one() -> None:
    all_keys = stage_keys(smoke())
    assert len(all_keys) == 3 * 3 + 15 * 3
    assert len(set(all_keys.values())) == len(all_keys)


def test_canonical_json_is_one_spelling() -> None:
    assert (
        keys.canonical_json({"b": [1, 2.5, None], "a": "é"})
        == '{"a":"é","b":[1,2.5,null]}'.encode()
    )
    with pytest.raises(ValueError, match="Out of range"):
        keys.canonical_json(float("nan"))


json_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_data, max_size=4))
def test_the_order_of_fields_does_not_matter(data: dict[str, Any]) -> None:
    turned = dict(reversed(copy.deepcopy(data).items()))
    assert keys.digest(data) == keys.digest(turned)


def change(path: str, value: Any) -> dict[str, Any]:
    content = smoke()
    *parents, last = path.split(".")
    inner: Any = content
    for name in parents:
        inner = inner[int(name)] if name.isdigit() else inner[name]
    assert inner[last] != value
    inner[last] = value
    return content


ALL, NONE = r".*", r"(?!)"
CELLS = r"cells/.*"
GENERATE_ON = r".*/(generate|score)"
QLORA = r"cells/..-qlora.*"
FULL = r"cells/mt-fft.*"


@pytest.mark.parametrize(
    ("path", "value", "stale"),
    [
        ("name", "other", NONE),
        ("summary", "other", NONE),
        ("seed", 43, ALL),
        ("prompts", "published", rf"{CELLS}|bases/.*/(generate|score)"),
        ("sizes.0.pretrain_steps", 7, r"(bases|cells)/([a-z-]*-)?0\.5m/.*"),
        ("data.max_samples_per_track", 5, CELLS),
        ("suites.0.max_problems_per_track", 5, GENERATE_ON),
        ("training.packing", "published", CELLS),
        ("training.row_tokens", 256, CELLS),
        ("training.early_stopping.patience", 9, CELLS),
        ("training.qlora.learning_rate", 1e-4, QLORA),
        ("training.lora.rank", 16, QLORA),
        ("training.full.learning_rate", 1e-4, FULL),
        ("training.plan", "published", rf"{CELLS}|bases/.*/(generate|score)"),
        ("decoding.batch_rows", 8, GENERATE_ON),
        ("decoding.window_tokens", 2048, GENERATE_ON),
        (
            "decoding.new_tokens.translation",
            100,
            r"(bases/.*|cells/mt-.*|cells/.*/translation)/(generate|score)",
        ),
    ],
)
def test_a_changed_option_makes_exactly_the_right_stages_stale(
    path: str, value: Any, stale: str
) -> None:
    before, after = stage_keys(smoke()), stage_keys(change(path, value))
    changed = {stage for stage in before if before[stage] != after[stage]}
    assert changed == {stage for stage in before if re.fullmatch(stale, stage)}


@pytest.mark.parametrize(
    ("field", "value", "stale"),
    [
        ("sources", {**INGREDIENTS.sources, "base": {"a.py": "new"}}, ALL),
        ("sources", {**INGREDIENTS.sources, "train": {"a.py": "new"}}, CELLS),
        ("sources", {**INGREDIENTS.sources, "generate": {"a.py": "new"}}, GENERATE_ON),
        ("sources", {**INGREDIENTS.sources, "score": {"a.py": "new"}}, r".*/score"),
        ("sources", {**INGREDIENTS.sources, "report": {"a.py": "new"}}, NONE),
        ("data", lambda tasks: {**DATA, "train": {"functions.jsonl": "cc"}}, CELLS),
        ("data", lambda tasks: {**DATA, "score": {"functions.jsonl": "cc"}}, r".*/score"),
        (
            "data",
            lambda tasks: {**DATA, "score": {**DATA["score"], **dict.fromkeys(tasks[2:], "x")}},
            r"(bases|cells/mt-.*)/.*score",
        ),
        ("machine", {"score": {"java": None}}, r".*/score"),
        ("environment", {**INGREDIENTS.environment, "base": {**RUN, "torch": "2.14"}}, ALL),
        ("environment", {**INGREDIENTS.environment, "train": {"image": "sha256:0"}}, CELLS),
        ("environment", {**INGREDIENTS.environment, "score": {"locks": {}}}, r".*/score"),
    ],
)
def test_a_changed_ingredient_makes_exactly_the_right_stages_stale(
    field: str, value: Any, stale: str
) -> None:
    before = stage_keys(smoke())
    after = stage_keys(smoke(), dataclasses.replace(INGREDIENTS, **{field: value}))
    changed = {stage for stage in before if before[stage] != after[stage]}
    assert changed == {stage for stage in before if re.fullmatch(stale, stage)}


def test_every_field_of_a_study_is_decided_about() -> None:
    """A new field must enter a key, or be named here as one that decides nothing."""
    loaded = study.load("smoke", ["published-cost"])
    slices = [
        keys.decides(loaded, stage, size="0.5m", method=method, tasks=loaded.tasks)
        for stage in keys.ENTRIES
        for method in ("mt-qlora", "mt-fft")
    ]
    training = {name for part in slices for name in part.get("training", ())}
    # What differs for a single task has been applied.
    assert training == set(study.Training.model_fields) - {"single"}
    assert {n for part in slices for n in part.get("decoding", ())} == set(
        study.Decoding.model_fields
    )
    top = {name for part in slices for name in part}
    expressed = {"name", "summary", "schema_", "sizes", "methods"}  # by base, method and size
    expressed |= {"mixtures", "options", "with_"}  # by size and tasks
    expressed |= {"measuring"}  # by the training of the stage `measure`
    assert set(study.Study.model_fields) - expressed <= top


def test_the_measuring_arm_changes_no_other_stage() -> None:
    sources = {**INGREDIENTS.sources, "measure": INGREDIENTS.sources["train"]}
    ingredients = dataclasses.replace(INGREDIENTS, sources=sources)
    without = stage_keys(smoke())
    with_arm = stage_keys(study.canonical(study.load("smoke", ["published-cost"])), ingredients)
    assert without.items() <= with_arm.items()
    added = with_arm.keys() - without.keys()
    assert added == {
        f"cells/{method}-{size}/multi-task/measure"
        for method in ("mt-qlora", "mt-fft")
        for size in ("0.5m", "2m", "6m")
    }


def test_what_differs_for_a_single_task_decides_its_model_alone() -> None:
    content = smoke()
    content["training"]["single"] = {"translation": {"warmup_steps": 1, "every_steps": 9}}
    before, after = stage_keys(smoke()), stage_keys(content)
    changed = {stage for stage in before if before[stage] != after[stage]}
    assert changed == {stage for stage in before if re.fullmatch(r".*/translation/.*", stage)}


def test_a_suite_that_is_asked_otherwise_is_generated_again() -> None:
    content = smoke()
    content["suites"][0]["prompts"] = "published"
    before, after = stage_keys(smoke()), stage_keys(content)
    changed = {stage for stage in before if before[stage] != after[stage]}
    assert changed == {stage for stage in before if re.fullmatch(GENERATE_ON, stage)}


LOCKS = ("venv.txt", "run.txt", "score.txt", "torch-cpu.txt", "torch-cuda.txt")


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A kit's folder with every lock."""
    folder = tmp_path / "containers" / "locks"
    folder.mkdir(parents=True)
    for name in LOCKS:
        (folder / name).write_text(f"numpy==2.4.6  # {name}")
    return tmp_path


def test_an_environment_is_its_locks_and_the_versions_that_they_do_not_name(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, lock in (("2.13.0+cpu", "torch-cpu.txt"), ("2.13.0+cu130", "torch-cuda.txt")):
        monkeypatch.setattr(keys, "_torch", lambda version=version: version)
        told = keys.environment(locked)
        assert set(told) == set(keys.ENTRIES)
        assert told["base"] == told["train"] == told["generate"]
        assert set(told["train"]["locks"]) == {"run.txt", lock}
        assert told["train"]["torch"] == version
        assert set(told["score"]) == {"locks", "python"}
        assert set(told["score"]["locks"]) == {"score.txt"}


def test_in_a_container_the_image_stands_for_python_and_torch(locked: Path) -> None:
    told = keys.environment(locked, {"run": "sha256:1", "score": "sha256:2"})
    assert {stage: one["image"] for stage, one in told.items()} == {
        "base": "sha256:1",
        "train": "sha256:1",
        "measure": "sha256:1",
        "generate": "sha256:1",
        "embed": "sha256:1",
        "score": "sha256:2",
    }
    assert all(set(one) == {"locks", "image"} for one in told.values())


def test_a_checkout_without_locks_still_has_an_environment(tmp_path: Path) -> None:
    assert keys.environment(tmp_path)["score"]["locks"] == {}


def test_what_a_stage_is_made_of_is_readable_and_hashes_to_its_key() -> None:
    loaded = study.load("smoke")
    stages = plan.plan(loaded, study.expand(loaded), store.Store(Path("/none")), INGREDIENTS)
    by_id = {stage.id: stage for stage in stages}
    made = json.loads(by_id["cells/mt-fft-2m/multi-task/generate"].made_of)
    assert made["upstream"] == {"train": by_id["cells/mt-fft-2m/multi-task/train"].key}
    assert made["sources"] == {"generate.py": "code of generate"}
    assert made["config"]["decoding"]["batch_rows"] == loaded.decoding.batch_rows
    for stage in stages:
        assert hashlib.sha256(stage.made_of).hexdigest() == stage.key
