"""Problems and outputs for the tests of the graders."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

from bench.errors import MachineError
from bench.records import GENERATION, TRANSLATION, Sample, Track, Verdict
from bench.scoring import execution
from bench.scoring.sandbox import dotnet, jdk
from bench.scoring.sandbox.jail import find_jail

TRACKS = {
    "python": Track(GENERATION, "python"),
    "java": Track(GENERATION, "java"),
    "csharp": Track(TRANSLATION, "java_cs"),
}


def need(language: str) -> None:
    """Skip, with the reason, what this machine cannot execute."""
    found = find_jail()
    if found.unavailable is not None:
        pytest.skip(f"no sandbox here: {found.unavailable}")
    try:
        {"java": jdk.jdk, "csharp": dotnet.dotnet, "python": object}[language]()
    except MachineError as error:
        pytest.skip(str(error))


def cases(
    language: str, cases: list[dict[str, Any]], args: list[str], result: str, entry: str = "f"
) -> Sample:
    """A problem with language-neutral test cases."""
    types = {"args": args, "result": result}
    check = {"kind": "cases", "entry": entry, "types": types, "cases": cases, "preamble": ""}
    return Sample(f"problem@{language}", TRACKS[language], {}, "", None, check)


def named(problem: Sample, name: str) -> Sample:
    """A problem under another id."""
    return dataclasses.replace(problem, id=name)


def graded(problem: Sample, *outputs: str) -> list[Verdict]:
    """The verdicts of several outputs to one problem, in one batch."""
    names = [f"{problem.id}#{number}" for number in range(len(outputs))]
    return list(
        together(dict(zip(names, [(problem, text) for text in outputs], strict=True))).values()
    )


def together(asked: Mapping[str, tuple[Sample, str]]) -> dict[str, Verdict]:
    """The verdicts of outputs to problems of their own, in one batch: one start of a compiler.

    Outputs that begin with a line break are indented like the test around them.
    """
    problems = [
        Sample(name, problem.track, problem.inputs, "", None, problem.check)
        for name, (problem, _) in asked.items()
    ]
    texts = {
        name: textwrap.dedent(text) if text.startswith("\n") else text
        for name, (_, text) in asked.items()
    }
    return execution.grade(problems, texts)


def outcomes(problem: Sample, *outputs: str) -> list[str]:
    """Their outcomes."""
    return [verdict.outcome for verdict in graded(problem, *outputs)]
