"""What a plan tells of data: counted where they are here, listed or None where they are not."""

from __future__ import annotations

import json
import math

import pytest

from bench import cli
from bench.data import sizes
from bench.grid import study
from bench.records import TASKS

PROTOCOL = {
    ("summarization", "python"): (251_820, 13_914),
    ("summarization", "java"): (164_923, 5_183),
    ("generation", "python"): (251_820, 13_914),
    ("generation", "java"): (164_923, 5_183),
    ("translation", "java_cs"): (10_295, 499),
    ("translation", "cs_java"): (10_295, 499),
}


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine without data."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_papers_rows_are_told_without_its_data(alone):
    paper = study.load("paper")
    known = sizes.tracks(paper, None)
    assert {(one.task, one.language): (one.train, one.valid) for one in known} == PROTOCOL
    # Every row of the tokens' variant is used; of generation some will not parse.
    assert {one.task for one in known if one.reason is None} == {"summarization", "translation"}


def test_rows_and_steps_of_the_papers_models(alone):
    paper = study.load("paper", ["rq3"])
    known = sizes.tracks(paper, None)
    translation = sizes.model(paper, "st-qlora", ["translation"], known)
    assert (translation.train, translation.valid) == (20_590, 998)
    assert translation.rows == 20_590 * 154.5 // 512 == 6_213  # as counted by Qwen's tokenizer
    assert translation.steps_per_epoch == math.ceil(6_213 / 32) == 195
    assert translation.steps == 5 * 195
    whole = sizes.model(paper, "mt-fft", TASKS, known)
    parts = [sizes.model(paper, "st-qlora", [task], known) for task in TASKS]
    assert whole.train == sum(part.train for part in parts) == 854_076
    assert abs(whole.rows - sum(part.rows for part in parts)) <= 3
    assert "estimated" in whole.reason


def test_a_cap_on_samples_and_steps_is_a_cap(alone):
    paper = study.load("paper")
    capped = paper.model_copy(
        update={
            "data": paper.data.model_copy(update={"max_samples_per_track": 100}),
            "training": paper.training.model_copy(
                update={"qlora": paper.training.qlora.model_copy(update={"max_steps": 3})}
            ),
        }
    )
    known = sizes.tracks(capped, None)
    assert {(one.train, one.valid) for one in known} == {(100, 10)}
    assert sizes.model(capped, "mt-qlora", TASKS, known).steps == 3
    assert sizes.model(capped, "mt-fft", TASKS, known).steps == 5 * 7


def test_what_is_here_is_counted(mirror):
    rehearsal = study.load("rehearsal")
    known = sizes.tracks(rehearsal, mirror)
    assert {(one.train, one.valid, one.reason) for one in known} == {(16, 2, None)}
    model = sizes.model(rehearsal, "mt-qlora", TASKS, known)
    assert (model.train, model.valid, model.rows) == (96, 12, None)
    assert "tokenizer" in model.reason
    problems = {one["label"]: one["problems"] for one in sizes.suites(rehearsal, mirror)}
    assert set(problems) == {suite.label for suite in rehearsal.suites}
    assert set(problems["codereval"].values()) == {8}


def test_what_is_not_here_is_none_with_a_reason(alone):
    mini = study.load("mini")
    known = sizes.tracks(mini, None)
    assert {one.train for one in known} == {None}
    assert all("not fetched" in one.reason for one in known)
    model = sizes.model(mini, "mt-qlora", TASKS, known)
    assert (model.train, model.rows, model.steps) == (None, None, None)
    assert "not fetched" in model.reason
    assert all(one["problems"] is None and one["reason"] for one in sizes.suites(mini, None))


@pytest.mark.parametrize(("options", "cells", "models"), [((), 9, 15), (("rq3",), 12, 18)])
def test_the_papers_plan_as_a_user_asks_for_it(alone, capsys, options, cells, models):
    asked = [word for option in options for word in ("--with", option)]
    arguments = ["plan", "--study", "paper", "--results", str(alone), *asked]
    assert cli.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    listed = [model for cell in told["cells"] for model in cell["models"]]
    assert (len(told["cells"]), len(listed)) == (cells, models)
    assert all(model["data"]["steps_per_epoch"] > 100 for model in listed)
    assert len(told["data"]["tracks"]) == 6
    missing = {one["what"] for one in told["missing"]}
    assert sum("Qwen2.5-Coder" in what for what in missing) == 3
    assert any("code_to_text" in what for what in missing)
    assert all(one["how"] for one in told["missing"])
    assert cli.main(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "10,178" in shown
    assert "missing" in shown
