"""Grading as a whole: dispatch, batches, what is not run, and the suites' own references."""

from __future__ import annotations

import dataclasses

import pytest

from bench.data import problems as data_problems
from bench.errors import DataError
from bench.grid.study import Suite
from bench.records import TASKS, Sample, Verdict
from bench.scoring import execution, selfcheck
from bench.scoring.sandbox.jail import Jail, unsafe_jail
from tests import grading

RIGHT = {
    "python": "def f(x):\n    return 2 * x",
    "java": "static int f(int x) { return 2 * x; }",
    "csharp": "static int f(int x) { return 2 * x; }",
}


def problem(language: str) -> Sample:
    found = grading.cases(language, [{"args": [2], "result": 4}], ["int"], "int")
    return dataclasses.replace(found, reference=RIGHT[language])


def test_a_batch_of_three_languages_keeps_its_order():
    for language in RIGHT:
        grading.need(language)
    problems = [problem(language) for language in ("csharp", "python", "java")]
    verdicts = execution.grade(problems, {one.id: one.reference for one in problems})
    assert list(verdicts) == [one.id for one in problems]
    assert {verdict.outcome for verdict in verdicts.values()} == {"passed"}


def test_only_what_has_tests_and_an_output_is_graded():
    grading.need("python")
    untested = dataclasses.replace(problem("python"), id="untested", check=None)
    assert execution.grade([untested, problem("python")], {"untested": "x"}) == {}


@pytest.mark.parametrize("language", RIGHT)
def test_an_endless_output_is_not_even_parsed(language):
    grading.need(language)
    verdicts = grading.graded(problem(language), RIGHT[language], "x," * 4_000_000)
    assert [verdict.outcome for verdict in verdicts] == ["passed", "compile-error"]


def test_an_unknown_kind_is_a_mistake_of_ours():
    odd = dataclasses.replace(problem("python"), check={"kind": "prolog-main"})
    with pytest.raises(ValueError, match="prolog-main"):
        execution.grade([odd], {odd.id: ""}, unsafe_jail())


def test_without_a_sandbox_every_verdict_says_why():
    problems = [problem(language) for language in RIGHT]
    closed = Jail("none", unavailable="user namespaces are restricted")
    verdicts = execution.grade(problems, {one.id: one.reference for one in problems}, closed)
    assert {verdict.outcome for verdict in verdicts.values()} == {"not-run"}
    assert all("restricted" in verdict.detail for verdict in verdicts.values())
    assert all(verdict.passed is None for verdict in verdicts.values())


def test_the_unsafe_way_is_only_taken_when_asked_for():
    one = problem("python")
    verdicts = execution.grade([one], {one.id: one.reference}, unsafe_jail())
    assert verdicts[one.id].outcome == "passed"


def test_self_check_names_and_explains(tmp_path):
    known = tmp_path / "known.toml"
    known.write_text('[[failures]]\nsuite = "s"\nid = "b"\nreason = "asks for the impossible"\n')
    problems = [dataclasses.replace(problem("python"), id=name) for name in "abcd"]
    outcomes = {"a": "passed", "b": "failed", "c": "timeout", "d": "not-run"}
    verdicts = {name: Verdict(name, outcome, 0, 1, "why") for name, outcome in outcomes.items()}
    found = selfcheck.summarize("s", problems, verdicts, known)
    assert (found.passed, found.total, found.unexplained) == (1, 4, 1)
    assert found.not_run == {"why": 1}
    assert [(failure.id, failure.reason) for failure in found.failures] == [
        ("b", "asks for the impossible"),
        ("c", None),
    ]


def test_known_failures_are_readable(tmp_path):
    assert isinstance(selfcheck.known_failures(), dict)
    broken = tmp_path / "known.toml"
    broken.write_text('[[failures]]\nsuite = "s"\n')
    with pytest.raises(DataError, match=r"known\.toml"):
        selfcheck.known_failures(broken)


def references(name: str, mirror=None, every: int = 1) -> selfcheck.SelfCheck:
    for language in RIGHT:
        grading.need(language)
    problems = data_problems.suite_problems(Suite(name=name), TASKS, mirror)
    return execution.self_check(name, problems[::every])


@pytest.mark.slow
def test_references_of_the_embedded_corpus_pass():
    found = references("embedded", every=9)
    assert (found.failures, found.not_run) == ((), {})
    assert found.passed == found.total > 20


@pytest.mark.slow
def test_every_reference_of_the_embedded_corpus_passes():
    found = references("embedded")
    assert (found.failures, found.not_run) == ((), {})
    assert found.passed == found.total > 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [("humaneval", 164), ("mbpp", 500), ("humaneval-x", 164), ("g-transeval", 800)],
)
def test_every_reference_of_the_public_suites_passes(name, count, mirror):
    found = references(name, mirror)
    assert [failure for failure in found.failures if failure.reason is None] == []
    assert (found.total, found.not_run) == (count, {})
