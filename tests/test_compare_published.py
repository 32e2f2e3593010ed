"""A run beside the published values: paired by problem where models and suites are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import cli
from bench.analysis.contrasts import Verdict
from bench.compare import compared
from bench.compare.opening import IncomparableError
from bench.errors import DataError
from bench.grid import keys, store, study
from bench.grid.store import Store
from bench.grid.study import canonical
from bench.records import Outcome
from bench.run.outcomes import bare_record

PAPER = study.load("paper")
OWNER = "cells/mt-qlora-1.5b/multi-task"


def package(folder: Path, problems: int = 20) -> Path:
    """A small replication package: CodeBLEU of translations and pass@1 of generations."""
    values = folder / "per-instance-value"
    draw = np.random.default_rng(5)
    rows = [f"Task_{place},{draw.uniform(0.4, 0.6):.4f}" for place in range(problems)]
    _write(values / "codebleu/translation/cs_java/ct_1_5b_mt-qlora.csv", "Task ID,codebleu", rows)
    rows = [f"6367{place:02},{place % 2}" for place in range(problems)]
    _write(values / "pass1/generation/java/cg_1_5b_mt-qlora.csv", "Task ID,pass@1", rows)
    return folder


def _write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def run(folder: Path, tables: dict[str, pd.DataFrame], of: study.Study = PAPER) -> Path:
    """A run of which one model is scored."""
    content = canonical(of)
    results = Store(folder)
    work, _ = results.prepare(OWNER, "score", "k")
    for name, table in tables.items():
        table.to_csv(work / name, index=False)
    (work / "scores.json").write_text(json.dumps({"metrics": {}, "notes": {}}))
    store.seal(work, bare_record("k", "score", Outcome.OK, None))
    results.publish(OWNER, "score")
    (folder / store.STUDY).write_text(json.dumps(content))
    told = {"schema": 1, "study": of.name, "study_sha256": keys.digest(content)}
    (folder / store.RUN).write_text(json.dumps(told))
    return folder


def translations(mirror: Path, how: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    path = mirror / "per-instance-value/codebleu/translation/cs_java/ct_1_5b_mt-qlora.csv"
    values = pd.read_csv(path)
    numbers = values["Task ID"].str.removeprefix("Task_")
    return pd.DataFrame(
        {
            "id": [f"test-{number}@translation/cs_java" for number in numbers],
            "finish_reason": "stop",
            "codebleu": 0.0,
            "codebleu@published": how(values["codebleu"]),
        }
    ).iloc[::-1]


TRANSLATED = "codexglue-trans.translation-cs_java.csv"
GENERATED = "codereval.generation-java.csv"


def test_a_run_is_judged_problem_by_problem(tmp_path):
    mirror = package(tmp_path / "mirror")
    passes = pd.DataFrame(
        {"id": [f"6367{place:02}@generation/java" for place in range(20)], "pass@1": 0.0}
    )
    tables = {TRANSLATED: translations(mirror, lambda one: one - 0.1), GENERATED: passes}
    found = compared.with_published(run(tmp_path / "paper", tables), tmp_path, mirror)
    told = {row.place.metric: row for row in found.rows}
    assert (found.variant, found.exit_code, found.problems) == ("published", 1, 40)
    assert told["codebleu"].verdict is Verdict.WORSE
    assert told["codebleu"].diff == pytest.approx(-0.1)
    assert told["pass@1"].verdict is Verdict.WORSE
    assert len(told["pass@1"].lost) == 10
    assert (found.differences, found.costs.why) == (None, "no time or memory is published")


def test_the_published_values_themselves_are_no_different(tmp_path, capsys):
    mirror = package(tmp_path / "mirror")
    folder = run(tmp_path / "paper", {TRANSLATED: translations(mirror, lambda one: one)})
    command = ["compare", str(folder), "--published", "--mirror", str(mirror)]
    assert cli.main(command) == 0
    told = capsys.readouterr().out
    assert told.startswith("No difference in any of 1 comparisons (20 answers)\n")
    assert "published  the published values" in told


def test_only_the_suite_that_was_asked_as_published_counts(tmp_path):
    mirror = package(tmp_path / "mirror")
    corrected = TRANSLATED.replace("trans.", "trans-corrected.")
    folder = run(tmp_path / "paper", {corrected: translations(mirror, lambda one: one)})
    with pytest.raises(IncomparableError, match="the published values are of codereval and"):
        compared.with_published(folder, tmp_path, mirror)


def test_models_of_another_family_are_not_compared(tmp_path):
    mirror = package(tmp_path / "mirror")
    tables = {TRANSLATED: translations(mirror, lambda one: one)}
    content = canonical(PAPER)
    for size in content["sizes"]:
        size["repository"] = "other/Model"
    folder = run(tmp_path / "paper", tables, study.Study.model_validate(content))
    with pytest.raises(IncomparableError, match=r"no base of .* is one of Qwen2\.5-Coder"):
        compared.with_published(folder, tmp_path, mirror)


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, capsys):
    mirror = package(tmp_path / "mirror")
    folder = run(tmp_path / "paper", {TRANSLATED: translations(mirror, lambda one: one)})
    with pytest.raises(DataError, match="no such folder, so no published values"):
        compared.with_published(folder, tmp_path, tmp_path / "nowhere")
    nowhere = str(tmp_path / "nowhere")
    assert cli.main(["compare", str(folder), "--published", "--mirror", nowhere]) == 3
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_true_package_is_no_different_from_itself(mirror, tmp_path):
    """Ids, columns and suites of the published files are those that a run of the kit has."""
    from bench.analysis import published

    _, tables = published.tables(published.package(mirror), "published")
    files = {}
    for track, table in tables["mt-qlora-1.5b"].items():
        suite, split = {"translation": ("codexglue-trans", "test-")}.get(
            track.task, ("codereval", "")
        )
        own = table.assign(id=[f"{split}{name}@{track}" for name in table["id"]])
        files[f"{suite}.{track.task}-{track.language}.csv"] = own
    found = compared.with_published(run(tmp_path / "paper", files), tmp_path, mirror)
    assert len(found.rows) > 40
    assert {row.verdict for row in found.rows} == {Verdict.SAME}
    assert found.problems == sum(len(table) for table in files.values())
