"""The rows behind the trainings: each track once, with what was left out and why."""

from __future__ import annotations

from types import SimpleNamespace

from bench.report import trainingdata


def run(*details):
    records = {
        (f"cells/{number}", "train"): SimpleNamespace(details=one)
        for number, one in enumerate(details)
    }
    return SimpleNamespace(records={**records, ("bases/2m", "base"): SimpleNamespace(details={})})


def counted(split, task, language, **changes):
    base = {"split": split, "task": task, "language": language, "read": 1300, "kept": 1270}
    return {**base, "used": 100, "dropped": {"seen before": 10, "summary too short": 20}} | changes


def test_each_track_stands_once_with_its_reasons():
    python = counted("train", "summarization", "python")
    section = trainingdata.of_run(
        run({"data": [python]}, {"data": [python, counted("valid", "translation", "java_cs")]})
    )
    training, validation = section.tables[0].groups
    assert [row.label for row in training.rows] == ["summarization, Python"]
    assert [cell.text for cell in training.rows[0].cells] == [
        "1,300",
        "1,270",
        "100",
        "seen before 10, summary too short 20",
    ]
    assert [row.label for row in validation.rows] == ["translation, Java → C#"]


def test_nothing_left_out_is_said():
    section = trainingdata.of_run(
        run({"data": [counted("train", "generation", "java", dropped={})]})
    )
    assert section.tables[0].groups[0].rows[0].cells[-1].text == "nothing"


def test_runs_without_counts_have_no_section():
    assert trainingdata.of_run(run({}, {"steps": 3})) is None
