"""Grading by execution: outputs in, verdicts out, whatever the language and kind of test.

``check["kind"]`` of a problem says how its output is executed:

- ``cases``: language-neutral test cases (Python, Java, C#);
- ``python-check``: a suite's own Python test (HumanEval, MBPP);
- ``java-main``: a suite's own Java ``Main`` (HumanEval-X).

A missing sandbox or toolchain yields ``not-run`` with the reason, never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.errors import MachineError
from bench.records import Sample, Verdict
from bench.scoring.sandbox import java, python, toolchain
from bench.scoring.sandbox.jail import Jail, find_jail

Grader = Callable[[Jail, Mapping[str, tuple[Sample, str]]], dict[str, Verdict]]


def grade(
    problems: Sequence[Sample], outputs: Mapping[str, str], jail: Jail | None = None
) -> dict[str, Verdict]:
    """Execute the output of every problem that has a check.

    Args:
        problems: of one track or of several; ids are unique among them.
        outputs: problem id to the extracted output; a problem without one is left out.
        jail: how to confine the outputs; found for this machine by default.

    Returns:
        problem id to verdict, in the order of the problems.
    """
    jail = jail or find_jail()
    jobs = {
        problem.id: (problem, outputs[problem.id])
        for problem in problems
        if problem.check is not None and problem.id in outputs
    }
    if jail.unavailable is not None:
        return {id_: not_run(problem, jail.unavailable) for id_, (problem, _) in jobs.items()}
    groups: dict[str, dict[str, tuple[Sample, str]]] = {}
    for id_, (problem, output) in jobs.items():
        groups.setdefault(_grader(problem), {})[id_] = (problem, output)
    verdicts: dict[str, Verdict] = {}
    for name, group in groups.items():
        verdicts |= _GRADERS[name](jail, group)
    return {id_: verdicts[id_] for id_ in jobs}


def not_run(problem: Sample, reason: str) -> Verdict:
    """The verdict of an output that could not be executed, which counts for nobody."""
    return Verdict(problem.id, "not-run", 0, size(problem), reason)


def size(problem: Sample) -> int:
    """The number of test cases of a problem."""
    check = problem.check or {}
    return len(check.get("cases") or check.get("asserts") or [None])


def _grader(problem: Sample) -> str:
    assert problem.check is not None
    kind = str(problem.check["kind"])
    name = f"{problem.track.target_language}-cases" if kind == "cases" else kind
    if name not in _GRADERS:
        raise ValueError(f"{problem.id}: no way to execute {name}")
    return name


def _python_cases(jail: Jail, jobs: Mapping[str, tuple[Sample, str]]) -> dict[str, Verdict]:
    return {
        id_: python.cases(jail, id_, problem.check or {}, output)
        for id_, (problem, output) in jobs.items()
    }


def _python_check(jail: Jail, jobs: Mapping[str, tuple[Sample, str]]) -> dict[str, Verdict]:
    with python.Tester(jail) as tester:
        return {
            id_: tester.check(id_, problem.check or {}, output)
            for id_, (problem, output) in jobs.items()
        }


def _java(jail: Jail, jobs: Mapping[str, tuple[Sample, str]]) -> dict[str, Verdict]:
    try:
        jdk = toolchain.java()
    except MachineError as error:
        return {id_: not_run(problem, str(error)) for id_, (problem, _) in jobs.items()}
    checks = {id_: problem.check or {} for id_, (problem, _) in jobs.items()}
    units = [
        (java.cases_unit if checks[id_]["kind"] == "cases" else java.main_unit)(checks[id_], output)
        for id_, (_, output) in jobs.items()
    ]
    verdicts = {}
    for (id_, (problem, _)), unit in zip(
        jobs.items(), java.compile_batch(jail, jdk, units), strict=True
    ):
        if unit.classes is None:
            outcome = "not-run" if unit.broken else "compile-error"
            verdicts[id_] = Verdict(id_, outcome, 0, size(problem), unit.problem)
        elif checks[id_]["kind"] == "cases":
            verdicts[id_] = java.run_cases(jail, jdk, id_, checks[id_], unit.classes)
        elif (name := java.shadowing(checks[id_], unit.classes)) is not None:
            verdicts[id_] = Verdict(id_, "failed", 0, 1, f"its class {name} hides the test's")
        else:
            verdicts[id_] = java.run_main(jail, jdk, id_, unit.classes)
    return verdicts


_GRADERS: dict[str, Grader] = {
    "python-cases": _python_cases,
    "python-check": _python_check,
    "java-cases": _java,
    "java-main": _java,
}
