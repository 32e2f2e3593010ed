"""A model's scores: values dealt to the right rows, keys of the contract, honest notes."""

from __future__ import annotations

import dataclasses
import math

import pytest

from bench.errors import DataError
from bench.records import TRACKS, Generation, Sample, Verdict
from bench.scoring import metrics, outputs, score
from bench.scoring.admission import NotRunError, Rows
from bench.scoring.score import Options

PYTHON, SUMMARY, TRANSLATION = TRACKS[0], TRACKS[2], TRACKS[4]
ADD = "def add(left, right):\n    return left + right\n"
SUBTRACT = "def subtract(left, right):\n    return left - right\n"
ADD_CSHARP = "static int Add(int left, int right)\n{\n    return left + right;\n}"


def problem(name, track, reference, part=None, check=None):
    return Sample(f"{name}@{track}", track, {}, reference, part, check)


def generation(sample, output, suite="embedded", finish_reason="stop"):
    track = sample.track
    return Generation(
        sample.id, suite, track.task, track.language, "", 9, 9, finish_reason, output, output
    )


PROBLEMS = [
    problem("add", PYTHON, ADD, "near", {"kind": "cases"}),
    problem("subtract", PYTHON, SUBTRACT, "far", {"kind": "cases"}),
    problem("add", SUMMARY, "Add two numbers.", "near"),
    problem("add", TRANSLATION, ADD_CSHARP, "near", {"kind": "cases"}),
]
OUTPUTS = [ADD, "", "Add two numbers.", ADD_CSHARP]


def scored(outputs=OUTPUTS, verdicts=None, problems=PROBLEMS):
    generations = [generation(one, text) for one, text in zip(problems, outputs, strict=True)]
    principal = dict.fromkeys(TRACKS, "embedded")
    graded = None if verdicts is None else {"embedded": verdicts}
    return score.score({"embedded": problems}, generations, graded, options=Options(principal))


@pytest.fixture(scope="module")
def result():
    verdicts = {
        PROBLEMS[0].id: Verdict(PROBLEMS[0].id, "passed", 3, 3),
        PROBLEMS[1].id: Verdict(PROBLEMS[1].id, "failed", 0, 3),
        PROBLEMS[3].id: Verdict(PROBLEMS[3].id, "not-run", 0, 3, "no C# compiler found"),
    }
    return scored(verdicts=verdicts)


def test_tables_have_a_row_per_problem_and_a_column_per_metric(result):
    table = result.tables["embedded", PYTHON]
    assert list(table.columns[:3]) == ["id", "part", "finish_reason"]
    assert table["id"].tolist() == [PROBLEMS[0].id, PROBLEMS[1].id]
    assert table["part"].tolist() == ["near", "far"]
    assert table["codebleu"].tolist() == [1.0, 0.0]
    assert table["codebleu@published"].tolist() == [1.0, 0.25]
    assert table["pass@1"].tolist() == [1.0, 0.0]
    assert table["parse_failures"].tolist() == [0.0, 1.0]
    assert math.isnan(table["lizard_ccn"][1])
    assert all(str(kind) == "float64" for kind in table.dtypes.iloc[3:])


def test_each_task_has_its_metrics(result):
    columns = {track: set(table.columns) for (_, track), table in result.tables.items()}
    code = {"codebleu", "bleu", "chrf", "pass@1", "lizard_ccn", "similarity", "parse_failures"}
    text = {"bleu", "chrf", "rouge_l", "meteor", "embedding_similarity", "similarity"}
    assert code < columns[PYTHON]
    assert code < columns[TRANSLATION]
    assert text < columns[SUMMARY]
    assert {"pylint_errors", "flake8_violations"} < columns[PYTHON]
    assert not {"pylint_errors", "pass@5", "rouge_l"} & columns[TRANSLATION]
    assert not {"codebleu", "pass@1", "lizard_ccn"} & columns[SUMMARY]


def test_keys_are_those_of_the_contract(result):
    assert result.metrics["generation/python/codebleu"] == 0.5
    assert result.metrics["generation/python/codebleu:near"] == 1.0
    assert result.metrics["generation/python/codebleu:far"] == 0.0
    assert result.metrics["generation/python/codebleu:far@published"] == 0.25
    assert result.metrics["generation/python/codebleu@published"] == 0.625
    assert result.metrics["generation/python/pass@1"] == 0.5
    assert result.metrics["generation/python/pass@1:near"] == 1.0
    assert result.metrics["generation/python/empty_outputs"] == 1.0
    assert result.metrics["generation/python/truncated_share"] == 0.0
    assert result.metrics["summarization/python/similarity"] == pytest.approx(1.0, abs=0.01)


def test_every_null_has_a_note(result):
    for key, value in result.metrics.items():
        assert value is not None or result.notes[key], key
    assert result.notes["generation/python/lizard_ccn"] == (
        "1 of 2 outputs have no value: holds no code (1)"
    )
    assert result.metrics["translation/java_cs/pass@1"] is None
    assert result.notes["translation/java_cs/pass@1"] == "not run: no C# compiler found"


def test_a_metric_that_cannot_run_says_how_to_get_it(monkeypatch):
    def load(name):
        raise NotRunError(f"not run: {name} is not installed; pip install it")

    monkeypatch.setattr(metrics, "load", load)
    found = scored()
    assert found.metrics["generation/python/codebleu"] is None
    assert found.notes["generation/python/codebleu"] == (
        "not run: codebleu is not installed; pip install it"
    )
    assert found.notes["summarization/python/similarity"] == score.ONE_MISSING
    assert found.metrics["generation/python/empty_outputs"] == 1.0


def test_the_mean_of_pass_at_1_is_over_what_was_graded():
    verdicts = {
        PROBLEMS[0].id: Verdict(PROBLEMS[0].id, "passed"),
        PROBLEMS[1].id: Verdict(PROBLEMS[1].id, "not-run", detail="sandbox died"),
    }
    found = scored(verdicts=verdicts)
    assert found.metrics["generation/python/pass@1"] == 1.0
    assert found.notes["generation/python/pass@1"] == (
        "1 of 2 outputs have no value: not run: sandbox died (1)"
    )


def test_without_execution_or_tests_pass_at_1_is_null():
    untested = [dataclasses.replace(one, check=None) for one in PROBLEMS]
    assert scored().notes["generation/python/pass@1"] == score.NOT_EXECUTED
    found = scored(problems=untested)
    assert found.metrics["generation/python/pass@1"] is None
    assert found.notes["generation/python/pass@1"] == score.NO_TESTS


def test_another_suite_is_named_in_its_keys():
    other = problem("HumanEval/0", PYTHON, ADD, check={"kind": "python-check"})
    generations = [
        *(generation(one, text) for one, text in zip(PROBLEMS, OUTPUTS, strict=True)),
        generation(other, ADD, "humaneval"),
    ]
    found = score.score(
        {"embedded": PROBLEMS, "humaneval": [other]},
        generations,
        {"humaneval": {other.id: Verdict(other.id, "passed")}},
        options=Options(dict.fromkeys(TRACKS, "embedded")),
    )
    assert found.metrics["generation/python/pass@1:humaneval"] == 1.0
    assert found.metrics["generation/python/codebleu:humaneval@published"] == 1.0
    assert found.metrics["generation/python/codebleu"] == 0.5
    assert found.tables["humaneval", PYTHON]["id"].tolist() == [other.id]


def test_a_prompt_that_was_too_long_is_missing_not_zero():
    generations = [generation(one, text) for one, text in zip(PROBLEMS, OUTPUTS, strict=True)]
    generations[1] = generation(PROBLEMS[1], "", finish_reason="prompt-too-long")
    found = score.score(
        {"embedded": PROBLEMS}, generations, None, options=Options({PYTHON: "embedded"})
    )
    assert found.metrics["generation/python/codebleu"] == 1.0
    assert found.notes["generation/python/codebleu:far"] == outputs.PROMPT_TOO_LONG
    table = found.tables["embedded", PYTHON]
    assert table["finish_reason"].tolist() == ["stop", "prompt-too-long"]


def test_cut_outputs_are_counted():
    generations = [generation(one, text) for one, text in zip(PROBLEMS, OUTPUTS, strict=True)]
    generations[0] = generation(PROBLEMS[0], ADD, finish_reason="length")
    found = score.score({"embedded": PROBLEMS}, generations, None, options=Options({}))
    assert found.metrics["generation/python/truncated_share"] == 0.5


def test_each_analyser_starts_once_for_all_suites(monkeypatch):
    calls = []

    def compute(name, predictions, references=None, **options):
        calls.append((name, options.get("language"), len(predictions)))
        blank = [None] * len(predictions)
        return Rows(dict.fromkeys(metrics.COLUMNS[name], blank), blank)

    monkeypatch.setattr(metrics, "compute", compute)
    other = problem("HumanEval/0", PYTHON, ADD)
    generations = [
        *(generation(one, text) for one, text in zip(PROBLEMS, OUTPUTS, strict=True)),
        generation(other, ADD, "humaneval"),
    ]
    problems = {"embedded": PROBLEMS, "humaneval": [other]}
    score.score(problems, generations, None, options=Options({}))
    assert [call for call in calls if call[0] == "pylint"] == [("pylint", None, 3)]
    assert ("codebleu", "csharp", 1) in calls
    assert ("chrf", None, 5) in calls


@pytest.mark.parametrize(
    ("change", "problem_text"),
    [
        (lambda given: given[1:], "1 problems have no generation, first add@generation/python"),
        (lambda given: [*given, given[0]], "two generations of problem add@generation/python"),
        (
            lambda given: [*given, generation(problem("new", PYTHON, ADD), ADD)],
            "1 generations of unknown problems, first new@generation/python",
        ),
    ],
)
def test_generations_that_do_not_fit_the_problems_are_an_error(change, problem_text):
    given = [generation(one, text) for one, text in zip(PROBLEMS, OUTPUTS, strict=True)]
    with pytest.raises(DataError, match=problem_text) as raised:
        score.score({"embedded": PROBLEMS}, change(given), None, options=Options({}))
    assert "generate stage" in raised.value.hint


def test_no_problems_give_no_scores():
    found = score.score({}, [], None, options=Options({}))
    assert (found.tables, found.metrics, found.notes) == ({}, {}, {})
