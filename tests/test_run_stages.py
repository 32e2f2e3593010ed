"""The real stages from data to report: what a run leaves, and what the next one spares."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil

import pytest

from bench.grid import study
from bench.records import METHODS
from tests.tiny_run import CELLS, STAGES, STUDY, Place, below, executed, finished, undisturbed

__all__ = ["finished", "undisturbed"]  # fixtures

#: The columns that every table has, and one of each track's own.
TRACK_COLUMNS = {
    "generation-python": "codebleu",
    "generation-java": "codebleu",
    "summarization-python": "rouge_l",
    "summarization-java": "meteor",
    "translation-java_cs": "codebleu",
    "translation-cs_java": "codebleu",
}
PROBLEMS_PER_TRACK = 3


def tracks(tasks):
    return [name for name in TRACK_COLUMNS if name.partition("-")[0] in tasks]


def owners():
    """Every model and base with its tasks."""
    whole = study.load(str(STUDY))
    yield "bases/tiny", whole.tasks
    for cell in study.expand(whole):
        for model in cell.models:
            yield f"cells/{cell.id}/{model.id}", model.tasks


def test_the_study_has_every_method_once():
    cells = study.expand(study.load(str(STUDY)))
    assert tuple(cell.method for cell in cells) == METHODS
    assert {cell.id: tuple(model.id for model in cell.models) for cell in cells} == CELLS
    assert len(STAGES) == 3 + 5 * 3


def test_results_json_is_as_the_design_says(undisturbed):
    results = undisturbed.results()
    assert set(results) == {"schema", "study", "provenance", "devices", "cells", "bases", "notes"}
    assert (results["schema"], results["study"]) == (1, "tiny")
    stored = json.loads((undisturbed.run / "run.json").read_text())
    stored.pop("sha256")  # the file's own
    assert results["provenance"] == stored
    assert [cell["id"] for cell in results["cells"]] == list(CELLS)
    for cell in results["cells"]:
        assert set(cell) == {"id", "method", "size", "outcome", "models", "metrics", "notes"}
        assert (f"{cell['method']}-{cell['size']}", cell["outcome"]) == (cell["id"], "ok")
        assert tuple(model["id"] for model in cell["models"]) == CELLS[cell["id"]]
        for model in cell["models"]:
            assert set(model) == {"id", "tasks", "stages", "as_published", "artifact_bytes"}
            assert model["as_published"] is None
            check_cost(model["stages"][0]["cost"])
            assert model["artifact_bytes"] > 10_000
            check_stages(model["stages"], ["train", "generate", "score"], results["notes"])
    (base,) = results["bases"]
    assert (base["size"], base["outcome"]) == ("tiny", "ok")
    check_stages(base["stages"], ["base", "generate", "score"], results["notes"])


def check_cost(cost):
    """A training's steady steps, and where its seconds went; what has no value has a reason."""
    assert cost["setting"]["plan"] == "tuned"
    assert cost["setting"]["base"] in ("dequantised", "4-bit", "full")
    assert cost["weight_bytes"] > 10_000
    assert (cost["steady"] is None) == (cost["steady_reason"] is not None)
    if cost["steady"] is not None:
        assert cost["steady"]["steps"] > 0
        assert cost["steady"]["tokens_per_s"]["processed"] > 0
    assert cost["train_s"]["steps"] > 0 and cost["train_s"]["save"] > 0
    assert cost["mfu"] is not None or cost["mfu_reason"]
    assert cost["energy_j"] is not None or cost["energy_way"]


def check_stages(stages, names, notes):
    """Every stage is ok and measured; what could not be measured has its reason."""
    assert [stage["name"] for stage in stages] == names
    for stage in stages:
        assert list(stage) == [
            "name",
            "outcome",
            "reason",
            "wall_s",
            "cpu_s",
            "peak_rss_bytes",
            "peak_device_bytes",
            "tokens",
            "cost",
        ]
        assert (stage["outcome"], stage["reason"]) == ("ok", None)
        assert stage["wall_s"] > 0
        assert stage["cpu_s"] > 0
        assert stage["peak_rss_bytes"] > 50_000_000  # a process with torch in it
        if stage["peak_device_bytes"] is None:
            assert notes["peak_device_bytes"]
        else:
            assert stage["peak_device_bytes"] > 0
        if stage["name"] in ("train", "generate"):
            counts = stage["tokens"]
            assert list(counts) == ["processed", "real", "trained"]
            assert counts["processed"] >= counts["real"] >= counts["trained"] > 0


def test_every_metric_is_a_number_or_has_a_reason(undisturbed):
    results = undisturbed.results()
    for part in (*results["cells"], *results["bases"]):
        assert len(part["metrics"]) > 30
        for key, value in part["metrics"].items():
            task, language, metric = key.split("/")
            assert f"{task}-{language}" in TRACK_COLUMNS
            assert metric
            assert isinstance(value, float) or part["notes"][key]
    whole = {frozenset(cell["metrics"]) for cell in results["cells"]}
    assert len(whole) == 1  # the three methods are compared on the same metrics


def test_every_problem_has_one_answer_and_one_row_per_table(undisturbed):
    for owner, tasks in owners():
        lines = (undisturbed.run / owner / "generate" / "generations.jsonl").read_text()
        answers = [json.loads(line) for line in lines.splitlines()]
        assert len({(one["suite"], one["id"]) for one in answers}) == len(answers)
        assert len(answers) == PROBLEMS_PER_TRACK * len(tracks(tasks))
        assert all(one["prompt_tokens"] > 0 and len(one["prompt_sha256"]) == 64 for one in answers)
        assert {one["finish_reason"] for one in answers} <= {"stop", "length"}
        tables = {path.name for path in (undisturbed.run / owner / "score").glob("*.csv")}
        assert tables == {f"embedded.{track}.csv" for track in tracks(tasks)}
        for track in tracks(tasks):
            path = undisturbed.run / owner / "score" / f"embedded.{track}.csv"
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            of_track = {one["id"] for one in answers if f"{one['task']}-{one['language']}" == track}
            assert {row["id"] for row in rows} == of_track
            assert len(rows) == PROBLEMS_PER_TRACK
            assert {row["part"] for row in rows} <= {"near", "far"}
            assert all(0 <= float(row[TRACK_COLUMNS[track]]) <= 1 for row in rows)


def test_the_models_really_differ(undisturbed):
    """Else the tests below would compare like with like: nothing was trained or loaded."""
    texts = {}
    for owner, _ in owners():
        lines = (undisturbed.run / owner / "generate" / "generations.jsonl").read_text()
        texts[owner] = {one["id"]: one["text"] for one in map(json.loads, lines.splitlines())}
    assert len({text for written in texts.values() for text in written.values()}) > 3
    base = texts.pop("bases/tiny")
    differing = [
        owner
        for owner, written in texts.items()
        if any(text != base[id_] for id_, text in written.items())
    ]
    assert len(differing) > 2
    weights = [hash_ for path, hash_ in undisturbed.outputs().items() if "safetensors" in path]
    assert len(weights) == len(set(weights)) == 6


def test_records_state_the_true_hash_of_every_file(undisturbed):
    for stage in STAGES:
        folder = undisturbed.run / stage
        record = undisturbed.record(stage)
        present = {path for path in folder.rglob("*") if path.is_file()}
        assert {path.relative_to(folder).as_posix() for path in present} == {
            *record["files"],
            "record.json",
            "key.json",
        }
        for name, told in record["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told, name
        assert (record["stage"], record["outcome"]) == (folder.name, "ok")
        assert record["phases"]
        assert sum(phase["cpu_s"] for phase in record["phases"]) <= record["cpu_s"] + 0.05
    assert not list(undisturbed.run.rglob("*.partial"))
    assert not list(undisturbed.run.rglob("checkpoint*"))


def test_the_reports_exist_and_name_every_method(undisturbed):
    markdown = (undisturbed.run / "report.md").read_text()
    page = (undisturbed.run / "report.html").read_text()
    for method in ("ST-QLoRA", "MT-QLoRA", "MT-FFT", "zero-shot"):
        assert method in markdown
        assert method in page
    with (undisturbed.run / "stats.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 20
    said = (undisturbed.root / "said.txt").read_text()
    assert "18 stages, 18 to run" in said
    assert "18 of 18 stages ended ok" in said
    assert str(undisturbed.run / "report.html") in said


def test_the_same_command_again_computes_nothing(finished):
    before, outputs = finished.stamps(), finished.outputs()
    again = finished.execute()
    assert again.code == 0
    assert "18 stages, 0 to run" in again.said
    assert executed(before, finished) == []
    assert finished.outputs() == outputs
    assert again.cpu_s <= 3.0, f"{again.cpu_s:.1f} CPU s to find that nothing is to do"


@pytest.mark.slow
def test_a_deleted_cell_runs_again_and_nothing_else(finished):
    before, outputs = finished.stamps(), finished.outputs()
    shutil.rmtree(finished.run / "cells" / "mt-fft-tiny")
    again = finished.execute()
    assert again.code == 0, again.said
    assert "18 stages, 3 to run" in again.said
    assert executed(before, finished) == below("mt-fft-tiny")
    assert finished.outputs() == outputs
    assert not finished.processes()


@pytest.mark.slow
def test_cells_that_were_not_asked_for_do_not_run(finished):
    """And of the one that was, a table that got lost is made from the kept generations."""
    before, outputs = finished.stamps(), finished.outputs()
    shutil.rmtree(finished.run / "cells" / "mt-fft-tiny")
    multi = finished.run / "cells" / "mt-qlora-tiny" / "multi-task"
    (multi / "score" / "embedded.summarization-java.csv").unlink()
    some = finished.execute("--cells", "mt-q*")
    assert some.code == 0, some.said
    assert "6 stages, 1 to run" in some.said
    assert executed(before, finished) == ["cells/mt-qlora-tiny/multi-task/score"]
    mine = {path: sha for path, sha in outputs.items() if "mt-fft-tiny" not in path}
    assert finished.outputs() == mine
    outcomes = {cell["id"]: cell["outcome"] for cell in finished.results()["cells"]}
    assert outcomes == {"st-qlora-tiny": "ok", "mt-qlora-tiny": "ok", "mt-fft-tiny": "skipped"}


@pytest.mark.slow
def test_a_half_copied_base_is_copied_again(finished):
    """A kill or a full disk may end a stage in the midst of copying its model."""
    before, outputs = finished.stamps(), finished.outputs()
    base = finished.run / "bases" / "tiny" / "base"
    partial = base.rename(base.with_name("base.partial"))
    (partial / "key.txt").write_text(json.loads((partial / "record.json").read_text())["key"])
    (partial / "record.json").unlink()
    (partial / "model" / "model.safetensors").write_bytes(b"half")
    again = finished.execute("--cells", "mt-fft-tiny")
    assert again.code == 0, again.said
    assert executed(before, finished) == ["bases/tiny/base"]
    assert finished.outputs() == outputs


@pytest.mark.slow
def test_a_second_run_from_scratch_is_identical(undisturbed, tmp_path):
    second = Place(tmp_path / "elsewhere").make()
    done = second.execute()
    assert done.code == 0, done.said
    assert len(executed({}, second)) == len(STAGES)
    first, again = undisturbed.outputs(), second.outputs()
    assert sum(path.endswith(".safetensors") for path in first) == 6
    assert again == first
