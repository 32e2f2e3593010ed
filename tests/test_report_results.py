"""results.json: the documented schema, honest nulls, and every cell whatever happened."""

from __future__ import annotations

import json
import shutil

import pytest

from bench.errors import DataError
from bench.grid import study
from bench.grid.plan import of_base
from bench.records import METHODS, Track
from bench.report import folder as run_folder
from bench.report import results
from tests.amended import amend, seal_again
from tests.fabricated_run import PROBLEMS, PROVENANCE, SMOKE, fabricate

NULLABLE = [float, int, type(None)]
OUTCOMES = {"ok", "oom", "timeout", "failed", "skipped", "interrupted"}
NUMBERS = (str, [float, int])
STEADY = {
    "steps": int,
    "warmup_steps": int,
    "step_s": NUMBERS,
    "cpu_s_per_step": float,
    "tokens_per_s": NUMBERS,
    "data_wait_s": float,
    "clock": {"wall clock", "device events"},
    "device_idle_share": NULLABLE,
    "energy_j_per_step": NULLABLE,
    "energy_reason": [str, type(None)],
    "notes": (str,),
}
COST = {
    "setting": {"plan": {"published", "tuned"}, "micro_rows": int, "base": str},
    "weight_bytes": int,
    "steady": [STEADY, type(None)],
    "steady_reason": [str, type(None)],
    "mfu": NULLABLE,
    "mfu_reason": [str, type(None)],
    "train_s": NUMBERS,
    "energy_j": NULLABLE,
    "energy_way": str,
    "utilisation": NULLABLE,
}
#: The schema of results.json: exact keys; a list holds any number of its one item.
STAGE = {
    "name": str,
    "outcome": OUTCOMES,
    "reason": [str, type(None)],
    "wall_s": NULLABLE,
    "cpu_s": NULLABLE,
    "peak_rss_bytes": [int, type(None)],
    "peak_device_bytes": [int, type(None)],
    "tokens": [{"processed": int, "real": int, "trained": int}, type(None)],
    "cost": [COST, type(None)],
}
SCHEMA = {
    "schema": {1},
    "study": {"smoke"},
    "provenance": dict,
    "devices": (str, int),
    "cells": (
        {
            "id": str,
            "method": set(METHODS),
            "size": {"0.5m", "2m", "6m"},
            "outcome": OUTCOMES,
            "models": (
                {
                    "id": str,
                    "tasks": (str,),
                    "stages": (STAGE,),
                    "as_published": [STAGE, type(None)],
                    "artifact_bytes": [int, type(None)],
                },
            ),
            "metrics": (str, NULLABLE),
            "notes": (str, str),
        },
    ),
    "bases": (
        {
            "size": {"0.5m", "2m", "6m"},
            "outcome": OUTCOMES,
            "stages": (STAGE,),
            "artifact_bytes": [int, type(None)],
            "metrics": (str, NULLABLE),
            "notes": (str, str),
        },
    ),
    "notes": (str, str),
}


def fits(value, schema) -> bool:
    """A small schema language: type, set of values, [alternatives], (item,), (key, value)."""
    if isinstance(schema, type):
        return type(value) is schema
    if isinstance(schema, set):
        return value in schema
    if isinstance(schema, list):
        return any(fits(value, alternative) for alternative in schema)
    if isinstance(schema, tuple) and len(schema) == 1:
        return isinstance(value, list) and all(fits(item, schema[0]) for item in value)
    if isinstance(schema, tuple):
        return isinstance(value, dict) and all(
            fits(key, schema[0]) and fits(item, schema[1]) for key, item in value.items()
        )
    if not isinstance(value, dict):
        return False
    assert set(value) == set(schema), set(value) ^ set(schema)
    return all(fits(value[key], part) for key, part in schema.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("run"), oom=["mt-fft-6m"])


@pytest.fixture
def content(folder):
    return results.results(run_folder.read(folder, SMOKE))


def test_the_file_follows_the_schema(content, tmp_path):
    results.write(tmp_path / "results.json", content)
    read = json.loads((tmp_path / "results.json").read_text())
    assert read == content
    assert fits(read, SCHEMA)
    assert [cell["id"] for cell in read["cells"]][:4] == [
        "st-qlora-0.5m",
        "mt-qlora-0.5m",
        "mt-fft-0.5m",
        "st-qlora-2m",
    ]
    assert len(read["cells"]) == 9
    assert sum(len(cell["models"]) for cell in read["cells"]) == 15
    assert [base["size"] for base in read["bases"]] == ["0.5m", "2m", "6m"]
    assert read["provenance"] == PROVENANCE


def test_every_null_metric_has_its_reason_and_nothing_is_a_false_zero(content):
    for entry in [*content["cells"], *content["bases"]]:
        null = {key for key, value in entry["metrics"].items() if value is None}
        assert null == set(entry["notes"])
    cell = content["cells"][1]
    assert cell["notes"]["translation/java_cs/pass@1"] == "not run: no .NET runtime"
    assert cell["metrics"]["generation/python/codebleu"] > 0
    assert content["notes"] == {"peak_device_bytes": "no GPU"}


def test_a_cell_that_ran_out_of_memory_stays_in_the_grid(content):
    lost = content["cells"][8]
    assert (lost["id"], lost["outcome"]) == ("mt-fft-6m", "oom")
    assert set(lost["metrics"]) == set(content["cells"][7]["metrics"])
    assert set(lost["metrics"].values()) == {None}
    reason = "train: oom: killed by the kernel for lack of memory"
    assert set(lost["notes"].values()) == {reason}
    train, generate, score = lost["models"][0]["stages"]
    assert (train["outcome"], train["cpu_s"]) == ("oom", 11.9)
    assert (generate["outcome"], generate["reason"]) == ("skipped", "train ended: oom")
    assert (score["outcome"], score["wall_s"]) == ("skipped", None)


def test_the_seconds_of_continued_work_are_said_to_be_a_part(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "run")
    path = copy / "cells" / "mt-qlora-2m" / "multi-task" / "train" / "record.json"
    details = json.loads(path.read_text())["details"]
    amend(path, details={**details, "resumed": True})
    notes = results.results(run_folder.read(copy, SMOKE))["notes"]
    assert notes["cpu_s"].startswith("1 of ")
    assert "last attempt alone" in notes["cpu_s"]


@pytest.mark.parametrize(
    ("differing", "told"),
    [
        ([0, 0], "of 32 answers that were written again one at a time, 0 differ from the batch's."),
        ([0, 1], "32 answers that were written again one at a time, 1 differs from the batch's, "),
        ([2, 1], "time, 3 differ from the batch's, at token 8 the earliest."),
    ],
)
def test_what_the_size_of_a_batch_changes_is_told(folder, tmp_path, differing, told):
    copy = shutil.copytree(folder, tmp_path / "run")
    for cell, count in zip(("mt-qlora-2m", "mt-qlora-6m"), differing, strict=True):
        path = copy / "cells" / cell / "multi-task" / "generate" / "record.json"
        first = 9 - count if count else None
        effect = {"checked": 16, "differing": count, "first_token": first}
        amend(path, details={"batch_effect": effect})
    content = results.results(run_folder.read(copy, SMOKE))
    assert told in content["notes"][results.BATCH_EFFECT]


def test_a_folder_where_nothing_ran_is_a_grid_of_skipped_cells(tmp_path):
    content = results.results(run_folder.read(tmp_path, SMOKE))
    assert fits(content, SCHEMA)
    assert {cell["outcome"] for cell in content["cells"]} == {"skipped"}
    stage = content["cells"][0]["models"][0]["stages"][0]
    assert (stage["outcome"], stage["reason"]) == ("skipped", "not run")


def test_an_arm_that_did_not_run_has_its_place_and_a_reason(tmp_path):
    with_arm = study.load("smoke", ["published-cost"])
    content = results.results(run_folder.read(tmp_path, with_arm))
    assert fits(content, SCHEMA)
    arms = {
        cell["method"]: [model["as_published"] for model in cell["models"]]
        for cell in content["cells"]
    }
    assert arms["st-qlora"] == [None] * 3
    assert (arms["mt-fft"][0]["name"], arms["mt-fft"][0]["outcome"]) == ("measure", "skipped")
    assert arms["mt-fft"][0]["reason"] == "not run"


def test_a_record_of_another_key_counts_as_not_run(folder):
    owners = ["bases/2m"]
    keys = {f"{o}/{s}": f"key of {o}/{s}" for o in owners for s in of_base(SMOKE)}
    content = results.results(run_folder.read(folder, SMOKE, keys))
    assert [base["outcome"] for base in content["bases"]] == ["skipped", "ok", "skipped"]
    assert {cell["outcome"] for cell in content["cells"]} == {"skipped"}


def test_tables_are_found_by_suite_cell_and_track(folder):
    found = run_folder.tables(run_folder.read(folder, SMOKE))
    assert list(found) == ["embedded"]
    assert len(found["embedded"]) == 8  # one of nine ran out of memory
    single = found["embedded"]["st-qlora-2m"]
    assert len(single) == 6  # three models' tracks together
    table = single[Track("summarization", "java")]
    assert len(table) == PROBLEMS and set(table["part"]) == {"near", "far"}


@pytest.mark.parametrize("spoilt", ["scores.json", "embedded.generation-java.csv"])
def test_a_broken_scores_file_is_named(folder, tmp_path, spoilt):
    copy = shutil.copytree(folder, tmp_path / "run")
    path = copy / "cells" / "mt-qlora-2m" / "multi-task" / "score" / spoilt
    path.write_text('{"metrics": ' if spoilt.endswith("json") else 'id,bleu\n"a')
    seal_again(path.parent)
    with pytest.raises(DataError, match="mt-qlora-2m") as error:
        run_folder.tables(run_folder.read(copy, SMOKE))
    assert spoilt in error.value.problem
    assert "give the same command again" in error.value.hint


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("score/scores.json", '{"metrics": {"generation/python/pass@1": 1.0}}', "not the recorded"),
        ("score/embedded.generation-java.csv", "id,pass@1\na,1.0\n", "not the recorded one"),
        ("score/embedded.generation-java.csv", None, "is missing"),
        ("score/other.generation-java.csv", "id,pass@1\na,1.0\n", "not in the stage's record"),
        ("generate/generations.jsonl", "{}", "is not in the stage's record"),
        ("train/record.json", '{"wall_s": 1}', "is missing or damaged, or was altered"),
    ],
)
def test_what_was_altered_is_not_reported(folder, tmp_path, name, content, told):
    copy = shutil.copytree(folder, tmp_path / "run")
    path = copy / "cells" / "mt-qlora-2m" / "multi-task" / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(DataError, match=told) as error:
        run_folder.read(copy, SMOKE)
    assert str(path) in error.value.problem
    assert error.value.hint.startswith(f"delete {path.parent} and give the run's command again")


def test_scores_of_another_training_than_the_stored_one_are_not_reported(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "run")
    model = copy / "cells" / "mt-qlora-2m" / "multi-task"
    amend(model / "generate" / "record.json", details={"built_on": {"train": "0" * 64}})
    with pytest.raises(DataError, match="generate: train was made anew since, and differs"):
        run_folder.read(copy, SMOKE)
