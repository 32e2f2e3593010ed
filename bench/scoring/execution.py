"""Grading by execution: outputs in, verdicts out, whatever the language and kind of test.

``check["kind"]`` of a problem says how its output is executed:

- ``cases``: language-neutral test cases (Python, Java, C#);
- ``python-check``: a suite's own Python test (HumanEval, MBPP);
- ``java-main``: a suite's own Java ``Main`` (HumanEval-X);
- ``codereval``: CoderEval's own environment, where the user has one.

A missing sandbox or toolchain yields ``not-run`` with the reason, never a zero.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.errors import MachineError
from bench.records import Sample, Verdict
from bench.scoring import codereval
from bench.scoring.sandbox import csharp, csharpunit, dotnet, java, javaunit, jdk, python
from bench.scoring.sandbox.batch import Compiled, Unit
from bench.scoring.sandbox.jail import Jail, find_jail
from bench.scoring.selfcheck import SelfCheck, summarize

#: The scorer itself parses outputs, which takes hundreds of bytes for a character.
_LONGEST_OUTPUT = 1_000_000

Jobs = Mapping[str, tuple[Sample, str]]
Grader = Callable[[Jail, Jobs], dict[str, Verdict]]


def grade(
    problems: Sequence[Sample], outputs: Mapping[str, str], jail: Jail | None = None
) -> dict[str, Verdict]:
    """Execute the output of every problem that has a check.

    The same output to the same check is executed once. Pass ``jail.unsafe_jail()`` to run
    without confinement; nothing else does.

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
    groups: dict[str, dict[str, tuple[Sample, str]]] = {}
    first: dict[tuple[str, str], str] = {}
    twin: dict[str, str] = {}
    for id_, (problem, output) in jobs.items():
        check = json.dumps(problem.check, sort_keys=True, default=list)
        twin[id_] = first.setdefault((f"{problem.track.target_language} {check}", output), id_)
        if twin[id_] == id_:
            groups.setdefault(_grader(problem), {})[id_] = (problem, output)
    verdicts: dict[str, Verdict] = {}
    for name, group in groups.items():
        for id_ in [id_ for id_, (_, output) in group.items() if len(output) > _LONGEST_OUTPUT]:
            problem, output = group.pop(id_)
            detail = f"{len(output)} characters are more than any program here has"
            verdicts[id_] = Verdict(id_, "compile-error", 0, size(problem), detail)
        if jail.unavailable is not None and name != codereval.KIND:
            verdicts |= _none_run(group, jail.unavailable)
        else:
            verdicts |= _GRADERS[name](jail, group)
    return {id_: dataclasses.replace(verdicts[twin[id_]], id=id_) for id_ in jobs}


def self_check(suite: str, problems: Sequence[Sample], jail: Jail | None = None) -> SelfCheck:
    """Grade the references of a suite, and name and explain those that fail."""
    executable = [problem for problem in problems if problem.check is not None]
    references = {problem.id: problem.reference for problem in executable}
    references |= codereval.solutions(executable)
    return summarize(suite, executable, grade(executable, references, jail))


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


def _python_cases(jail: Jail, jobs: Jobs) -> dict[str, Verdict]:
    return {
        id_: python.cases(jail, id_, problem.check or {}, output)
        for id_, (problem, output) in jobs.items()
    }


def _python_check(jail: Jail, jobs: Jobs) -> dict[str, Verdict]:
    with python.tester(jail) as tester:
        return {
            id_: python.run_check(tester, id_, problem.check or {}, output)
            for id_, (problem, output) in jobs.items()
        }


def _java(jail: Jail, jobs: Jobs) -> dict[str, Verdict]:
    try:
        tools = jdk.jdk()
    except MachineError as error:
        return _none_run(jobs, str(error))

    def unit(check: Mapping[str, Any], output: str) -> Unit:
        return (javaunit.cases_unit if check["kind"] == "cases" else javaunit.main_unit)(
            check, output
        )

    with java.tester(jail, tools) as tester:

        def run(id_: str, check: Mapping[str, Any], classes: Mapping[str, bytes]) -> Verdict:
            if check["kind"] == "cases":
                return java.run_cases(jail, tools, id_, check, classes)
            return java.run_main(tester, id_, classes)

        return _compiled(jobs, unit, lambda units: java.compile_units(jail, tools, units), run)


def _csharp(jail: Jail, jobs: Jobs) -> dict[str, Verdict]:
    try:
        net = dotnet.dotnet()
    except MachineError as error:
        return _none_run(jobs, str(error))

    def run(id_: str, check: Mapping[str, Any], code: Mapping[str, bytes]) -> Verdict:
        return csharp.run_cases(jail, net, id_, check, code["Candidate"])

    return _compiled(
        jobs, csharpunit.cases_unit, lambda units: csharp.compile_units(jail, net, units), run
    )


def _none_run(jobs: Jobs, reason: str) -> dict[str, Verdict]:
    return {id_: not_run(problem, reason) for id_, (problem, _) in jobs.items()}


def _compiled(
    jobs: Jobs,
    unit: Callable[[Mapping[str, Any], str], Unit],
    compile_all: Callable[[list[Unit]], list[Compiled]],
    run: Callable[[str, Mapping[str, Any], Mapping[str, bytes]], Verdict],
) -> dict[str, Verdict]:
    """Compile the whole batch, then run what compiled."""
    units = [unit(problem.check or {}, output) for problem, output in jobs.values()]
    verdicts = {}
    for (id_, (problem, _)), compiled in zip(jobs.items(), compile_all(units), strict=True):
        if compiled.code is not None:
            verdicts[id_] = run(id_, problem.check or {}, compiled.code)
        else:
            outcome = "not-run" if compiled.broken else "compile-error"
            verdicts[id_] = Verdict(id_, outcome, 0, size(problem), compiled.problem)
    return verdicts


_GRADERS: dict[str, Grader] = {
    "python-cases": _python_cases,
    "python-check": _python_check,
    "java-cases": _java,
    "java-main": _java,
    "csharp-cases": _csharp,
    codereval.KIND: codereval.grade,
}
