"""Problems and outputs for the tests of the graders."""

from __future__ import annotations

import textwrap
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


def graded(problem: Sample, *outputs: str) -> list[Verdict]:
    """The verdicts of several outputs to one problem, in one batch.

    Outputs that begin with a line break are indented like the test around them.
    """
    names = [f"{problem.id}#{number}" for number in range(len(outputs))]
    problems = [
        Sample(name, problem.track, problem.inputs, "", None, problem.check) for name in names
    ]
    written = [textwrap.dedent(text) if text.startswith("\n") else text for text in outputs]
    texts = dict(zip(names, written, strict=True))
    return list(execution.grade(problems, texts).values())


def outcomes(problem: Sample, *outputs: str) -> list[str]:
    """Their outcomes."""
    return [verdict.outcome for verdict in graded(problem, *outputs)]
