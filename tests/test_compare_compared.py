"""Two runs compared: what is planted is found, what is altered is named, what is equal is so."""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.analysis.contrasts import Verdict
from bench.compare import compared, terminal
from bench.compare.costs import Change
from bench.compare.opening import IncomparableError
from bench.errors import BenchError, DataError
from bench.grid import keys, store
from tests import compared_runs, damage
from tests.amended import amend, seal_again
from tests.compared_runs import MODEL, SMOKE, TABLE, change, few, plant, under, worse


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few(compared_runs.run(tmp_path_factory.mktemp("whole") / "smoke"))


@pytest.fixture
def a(whole: Path) -> Path:
    """A run that no test changes."""
    return whole


@pytest.fixture
def b(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(whole, tmp_path / "other" / "smoke")


@pytest.fixture
def one(b: Path) -> Path:
    """A run of one table, to be compared with itself many times."""
    shutil.rmtree(b / "bases")
    few(b, "mt-qlora-2m")
    for path in (b / MODEL / "score").glob("*.csv"):
        if path != b / TABLE:
            path.unlink()
    seal_again(b / MODEL / "score")
    return b


def compare(a: Path, b: Path) -> compared.Compared:
    return compared.runs(a, b, a.parent / "results")


def aspects(found: compared.Compared) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for one in found.differences or ():
        told.setdefault(one.aspect, []).append(one.told)
    return told


def test_two_equal_runs_are_no_different(a, b):
    found = compare(a, b)
    assert found.exit_code == 0
    assert {row.verdict for row in found.rows} == {Verdict.SAME}
    assert (found.differences, found.only_a, found.only_b, found.notes) == ((), (), (), ())
    assert {row.change for row in found.costs.rows} == {Change.NOISE}
    assert found.tests == 0


def test_a_planted_worse_run_is_found(a, b):
    plant(b, TABLE, worse)
    found = compare(a, b)
    assert found.exit_code == 1
    (row,) = [row for row in found.rows if row.verdict is Verdict.WORSE]
    assert (row.place.model, row.place.metric) == ("MT-QLoRA 2m", "codebleu")
    assert row.diff == pytest.approx(-0.2, abs=1e-3)
    (flipped,) = [row for row in found.rows if row.lost or row.gained]
    assert flipped.lost and not flipped.gained
    assert compare(b, a).exit_code == 0


@pytest.mark.parametrize("archive", ["tar.gz", "zip", "nested"])
def test_archives_are_compared_as_folders_are(a, b, tmp_path, archive):
    plant(b, TABLE, worse)
    packed = tmp_path / f"packed.{archive.replace('nested', 'tar')}"
    if archive == "zip":
        with zipfile.ZipFile(packed, "w") as file:
            for path in sorted(b.rglob("*")):
                file.write(path, path.relative_to(b.parent))
    else:
        with tarfile.open(packed, "w:*".replace("*", "gz" if archive == "tar.gz" else "")) as file:
            file.add(b, "kit/reports/smoke" if archive == "nested" else ".")
    assert compare(a, packed).rows == compare(a, b).rows


def test_an_altered_value_is_named_by_the_run_that_still_has_it(a, b):
    change(
        b,
        TABLE,
        lambda table: table.__setitem__(
            "pass@1", table["pass@1"].where(table["id"] != "problem_07", 1 - table["pass@1"])
        ),
    )
    with pytest.raises(IncomparableError) as caught:
        compare(a, b)
    assert caught.value.exit_code == 2
    assert TABLE in caught.value.problem
    assert "problem_07 pass@1 0.0 → 1.0" in caught.value.problem
    with pytest.raises(IncomparableError, match="problem_07 pass@1"):
        compare(b, a)


def test_an_altered_value_is_named_by_its_column_where_no_run_has_it(a, b, tmp_path):
    other = shutil.copytree(b, tmp_path / "third")
    plant(other, TABLE, worse)
    change(b, TABLE, lambda table: table.__setitem__("chrf", table["chrf"] + 0.25))
    with pytest.raises(IncomparableError, match=r"column chrf has the mean .*, stored was"):
        compare(other, b)


def test_a_record_a_file_too_many_and_a_lost_table_are_named(a, b):
    stage = b / MODEL / "score"
    content = json.loads((stage / "record.json").read_text())
    (stage / "record.json").write_text(json.dumps({**content, "cpu_s": 1.0}))
    with pytest.raises(IncomparableError, match=r"score/record\.json: missing, damaged, or not"):
        compare(a, b)
    (stage / "record.json").write_text(json.dumps(content))
    (stage / "embedded.generation-cs.csv").write_text("id\n")
    with pytest.raises(IncomparableError, match="is not in the stage's record"):
        compare(a, b)
    (stage / "embedded.generation-cs.csv").unlink()
    (b / TABLE).unlink()
    (b / MODEL / "score" / "embedded.generation-java.csv").unlink()
    with pytest.raises(IncomparableError, match=r"is missing \(and 1 more files\)"):
        compare(a, b)


def test_stored_means_are_not_believed(a, b):
    """A scores.json that tells of better values, sealed as an honest one is, changes nothing."""
    path = b / MODEL / "score" / "scores.json"
    content = json.loads(path.read_text())
    content["metrics"] = dict.fromkeys(content["metrics"], 1.0)
    path.write_text(json.dumps(content))
    seal_again(path.parent)
    assert {row.verdict for row in compare(a, b).rows} == {Verdict.SAME}


def test_scores_of_another_answer_are_refused(a, b):
    record = b / MODEL / "score" / "record.json"
    amend(record, details={"built_on": {"generate": "0" * 64}})
    with pytest.raises(IncomparableError, match="generate was made anew since"):
        compare(a, b)


def test_runs_of_two_studies_are_not_compared(a, b):
    other = compared_runs.of_study(b, SMOKE.model_copy(update={"name": "mine"}))
    with pytest.raises(IncomparableError, match=r"of the study smoke, .* of mine"):
        compare(a, other)


def test_without_a_suite_or_a_problem_in_common_nothing_is_compared(a, b, tmp_path):
    shutil.rmtree(b / "bases")
    few(b, "mt-qlora-2m")
    other = few(shutil.copytree(a, tmp_path / "third"), "mt-fft-6m")
    with pytest.raises(IncomparableError, match=r"no model of .* has answered a problem"):
        compare(b, other)
    for path in (b / MODEL / "score").glob("*.csv"):
        path.unlink()
    seal_again(b / MODEL / "score")
    with pytest.raises(IncomparableError, match="holds no scores"):
        compare(a, b)
    suites = [{"name": "humaneval", "label": "humaneval"}]
    of = SMOKE.model_validate({**SMOKE.model_dump(by_alias=True), "suites": suites})
    foreign = compared_runs.of_study(other, of)
    for path in foreign.rglob("embedded.*.csv"):
        path.rename(path.with_name(path.name.replace("embedded", "humaneval")))
        seal_again(path.parent)
    with pytest.raises(IncomparableError, match=r"no suite is in both runs: .* has embedded and"):
        compare(a, foreign)


def test_values_that_one_run_has_lost_are_told(a, b):
    plant(
        b,
        TABLE,
        lambda table: table.__setitem__(
            "pylint_errors", table["pylint_errors"].where(table.index < 20)
        ),
    )
    found = compare(a, b)
    (row,) = [row for row in found.rows if row.a_alone]
    assert (row.place.metric, row.n, row.a_alone, row.b_alone) == ("pylint_errors", 20, 10, 0)
    told = " ".join(terminal.joined(terminal.lines(found, 80)).split())
    assert "Values in A alone, in no test: 10 of Pylint errors (MT-QLoRA 2m" in told


def test_without_a_value_in_common_nothing_is_compared(a, b):
    for table in b.rglob("embedded.*.csv"):
        change(
            b,
            table.relative_to(b).as_posix(),
            lambda one: one.rename(
                columns=lambda name: name if name in ("id", "part") else f"new_{name}"
            ),
        )
        seal_again(table.parent)
    with pytest.raises(IncomparableError, match="no metric has a value of the same problem"):
        compare(a, b)


ODD = [None, 7, "text", [], [1], {"a": {"b": [1]}}, [{"name": {}}], True, 1e308]


@pytest.mark.parametrize("field", ["git", "machine", "libraries", "engine", "locks", "data"])
def test_a_provenance_of_odd_fields_breaks_nothing(one, tmp_path, field):
    b = shutil.copytree(one, tmp_path / "b")
    told = json.loads((b / "run.json").read_text())
    for odd in ODD:
        under(b, {**told, field: odd})
        assert compare(one, b).exit_code == 0


def test_a_machine_of_odd_fields_is_another_one(one, tmp_path):
    b = shutil.copytree(one, tmp_path / "b")
    told = json.loads((b / "run.json").read_text())
    under(b, {**told, "machine": {"gpus": ODD, "memory_bytes": "much", "cores": [], "cpu": {}}})
    assert compare(one, b).costs.why == "other machine"


@pytest.mark.parametrize("name", ["study.json", "run.json", TABLE, f"{MODEL}/score/scores.json"])
def test_no_content_is_a_traceback(one, tmp_path, name):
    b = shutil.copytree(one, tmp_path / "b")
    for content in damage.CONTENTS.values():
        (b / name).write_bytes(content)
        if name.startswith(MODEL):  # as if a kit had written it
            seal_again((b / name).parent)
        with contextlib.suppress(BenchError):
            compare(one, b)


def test_models_of_one_run_alone_are_named(a, b):
    shutil.rmtree(b / "cells" / "mt-fft-6m")
    found = compare(a, b)
    assert found.only_a[0] == "MT-FFT 6m generation/python (embedded)"
    assert (len(found.only_a), found.only_b, found.exit_code) == (6, (), 0)


def test_a_cell_that_the_study_has_not_is_told(a, b):
    (b / MODEL).parent.rename(b / "cells" / "mt-qlora-9m")
    told = compare(a, b).notes
    assert told == (
        f"{b} holds cells/mt-qlora-9m/multi-task, which is not in its study.json: left out",
    )


def test_what_the_runs_differ_in_is_said_in_words(a, b):
    for run, rank, extra in ((a, 8, {}), (b, 16, {"bench/new.py": "1"})):
        made = {
            "recipe": 3,
            "stage": "train",
            "config": {"training": {"lora": {"rank": rank}}},
            "sources": {"bench/train/loss.py": str(rank), **extra},
            "data": {"datasets/a.jsonl": str(rank)},
            "environment": {"locks": {"venv.txt": str(rank)}, "python": "3.11.7"},
            "machine": {"arithmetic": "fp32"},
            "upstream": {"base": str(rank)},
        }
        folder = run / MODEL / "train"
        before = (folder / "record.json").read_bytes()
        (folder / store.MADE_OF).write_bytes(keys.canonical_json(made))
        amend(folder / "record.json", key=keys.key_of(keys.canonical_json(made)))
        if run is a:
            undo = folder, before
    told = json.loads((b / "run.json").read_text())
    told["git"] = {"commit": "f" * 40, "dirty": True}
    told["machine"] = {**told["machine"], "cores": 64}
    under(b, told)
    try:
        found = compare(a, b)
    finally:
        (undo[0] / store.MADE_OF).unlink()
        (undo[0] / "record.json").write_bytes(undo[1])
    assert aspects(found) == {
        "commit": ["0123456789 → ffffffffff (modified)"],
        "sources": ["bench/new.py (new)", "bench/train/loss.py"],
        "options": ["training.lora.rank: 8 → 16"],
        "locks": ["venv.txt"],
        "data": ["datasets/a.jsonl"],
        "machine": ["cores: 2 → 64"],
    }
    assert (found.costs.rows, found.costs.why) == ((), "other machine")
    assert found.exit_code == 0


def test_an_option_of_the_study_is_told(a, b):
    other = compared_runs.of_study(b, SMOKE.model_copy(update={"seed": 43}))
    assert aspects(compare(a, other)) == {"options": ["seed: 42 → 43"]}


def test_costs_beyond_noise_are_told_and_decide_nothing(a, b):
    for record in b.glob("cells/*/*/train/record.json"):
        content = json.loads(record.read_text())
        amend(record, cpu_s=content["cpu_s"] * 2, peak_rss_bytes=content["peak_rss_bytes"] // 2)
    for record in b.glob("cells/*/*/generate/record.json"):
        amend(record, cpu_s=json.loads(record.read_text())["cpu_s"] * 1.1)
    found = compare(a, b)
    told = {(row.stage, row.measure): row.change for row in found.costs.rows}
    assert told["train", "CPU s"] is Change.MORE
    assert told["train", "peak bytes"] is Change.LESS
    assert told["generate", "CPU s"] is Change.NOISE
    assert (found.exit_code, found.costs.why) == (0, None)


def test_stages_that_were_resumed_or_of_an_unknown_machine_cost_nothing_to_compare(a, b):
    for record in b.glob("cells/*/*/train/record.json"):
        amend(record, details={"resumed": True})
    found = compare(a, b)
    assert "train" not in {row.stage for row in found.costs.rows}
    assert found.costs.why == "5 stages not compared: interrupted and resumed"
    under(b, {"schema": 1, "study": "smoke"})
    assert compare(a, b).costs.why == "machine unknown"


def test_the_whole_comparison_is_plain_data(a, b):
    plant(b, TABLE, worse)
    content = json.loads(json.dumps(compared.as_json(compare(a, b)), allow_nan=False))
    (row,) = [row for row in content["rows"] if row["verdict"] == "worse"]
    assert row["track"] == "generation/python"
    assert row["low"] <= row["diff"] <= row["high"] < 0
    assert (content["exit_code"], content["counts"]["worse"], content["study"]) == (1, 1, "smoke")


def test_a_table_of_text_is_named(a, b):
    plant(b, TABLE, lambda table: table.__setitem__("chrf", "good"))
    with pytest.raises(DataError, match="MT-QLoRA 2m: scores of generation/python: column 'chrf'"):
        compare(a, b)
    plant(b, TABLE, lambda table: table.pop("id"))
    with pytest.raises(DataError, match="no column 'id'"):
        compare(a, b)
