"""CoderEval's tests: they live in its own environment, which the user supplies by name.

What is known of that environment comes from CoderEval's README and its issue 4, and from
public copies of its scripts; the kit has none of it. It is a docker *export*, to be imported
(``podman import CoderEval.tar codereval``). All of it lies in ``/home/travis/builds``:

- ``PythonExec.py`` and ``CoderEval4Python.json``; ``repos/<owner>---<project>/…`` and
  ``repos/standalone/`` hold the 43 Python projects, where each problem has a file
  (``<file>_<function>_passk_validte.py``) that tests its function when it is run.
- ``JavaExec.py`` and ``CoderEval4Java.json`` (there, or in a folder below) and the 10 Java
  projects, each method with a class that prints ``true`` or ``false`` per test.

Both scripts take a file of lines ``{"_id", "generate_results": [code, …]}`` and the number
of results per line. They put every result in the place of the original function, run the
tests (30 s for Python, 60 s for a step in Java) and write ``<file>_out.jsonl`` with
``{"_id", "generate_results": [{"is_pass", …}]}``; what ran over the time is left out. A Python
program passes if it exits with 0, a Java one if it prints ``true`` and never ``false``. The
``.json`` files have the problems under ``RECORDS``: ``_id``, ``project`` and ``code``, the
original function.

Here every output goes through those scripts alone, in a container or jail of its own, so that
one that hangs or breaks something harms nobody else. What does not pass is asked again with
the original function: if that does not pass either, the environment is to blame and the output
was ``not-run``. The scripts' word is taken as it is, and a program may forge it.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.data import readers
from bench.data.sources import cache_folder
from bench.errors import DataError, MachineError
from bench.records import Sample, Verdict
from bench.scoring.sandbox import engine
from bench.scoring.sandbox.cases import said
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.testfolder import BUILDS, Folder, folder

KIND = "codereval"
#: Where the environment is named, as an image or as a folder; ``--codereval`` sets it.
VARIABLE = "BENCH_CODEREVAL"
HOW = (
    "import CoderEval's docker environment (its README links it) with "
    f"'podman import CoderEval.tar codereval' and give --codereval codereval or {VARIABLE}"
)
NOT_GIVEN = f"not run: CoderEval's tests live in an environment of its own; {HOW}"
UNKNOWN = "not run: CoderEval's environment does not have this problem"
#: Of each language, the script that runs tests and the file with the problems.
SCRIPTS = {
    "python": ("PythonExec.py", "CoderEval4Python.json"),
    "java": ("JavaExec.py", "CoderEval4Java.json"),
}
#: A hanging test ends by the script's own time; projects and their JVMs take some memory.
LIMITS = Limits(
    wall_s=300,
    cpu_s=120,
    memory_bytes=4096 * MIB,
    file_bytes=1024 * MIB,
    scratch_bytes=4096 * MIB,
    open_files=1024,
    processes=512,
    channel_bytes=256 * MIB,
)
_RECIPE = 1

Environment = engine.Image | Folder


class _Word(NamedTuple):
    """What the environment says of one piece of code."""

    outcome: str
    detail: str = ""


def environment() -> Environment | None:
    """The environment that the user has named; None where none was.

    Raises:
        MachineError: the name is neither a folder with CoderEval's scripts nor an image here.
    """
    name = os.environ.get(VARIABLE)
    return _named(name) if name else None


@functools.cache
def _named(name: str) -> Environment:
    path = Path(name)
    if path.is_dir():
        return folder(path.resolve(), [script for script, _ in SCRIPTS.values()])
    if path.is_file():
        raise MachineError(
            f"{VARIABLE}: {name} is a file, not an image",
            hint=f"import it once: podman import {name} codereval; then give its name",
        )
    image = engine.find(name)
    if image is None:
        raise MachineError(
            f"{VARIABLE}: {name} is neither a folder nor an image of podman or docker here",
            hint=HOW,
        )
    return image


def found() -> str | None:
    """The digest of the environment, for the key of scores; None where there is none.

    Raises:
        MachineError: the environment that was named is not there.
    """
    given = environment()
    return given.digest if given else None


def solutions(problems: Iterable[Sample]) -> dict[str, str]:
    """The original functions of some problems, where the environment has them."""
    given = environment()
    if given is None:
        return {}
    original = {}
    for problem in problems:
        if problem.check is not None and problem.check["kind"] == KIND:
            record = records(given, problem.track.language).get(str(problem.check["task"]), {})
            original[problem.id] = str(record.get("code", ""))
    return original


def grade(jail: Jail, jobs: Mapping[str, tuple[Sample, str]]) -> dict[str, Verdict]:
    """Run CoderEval's tests on every output; ``not-run`` with the reason where there are none.

    A folder needs the ``jail``; an image is one.
    """
    given = environment()
    reason = NOT_GIVEN if given is None else _unfit(given, jail)
    if given is None or reason:
        return {id_: Verdict(id_, "not-run", 0, 1, reason) for id_ in jobs}
    return {
        id_: _verdict(given, jail, id_, problem, output) for id_, (problem, output) in jobs.items()
    }


def _unfit(given: Environment, jail: Jail) -> str:
    """Why the environment cannot be used here; empty where it can."""
    if isinstance(given, engine.Image):
        return ""
    if jail.unavailable is not None:
        return jail.unavailable
    if not jail.confines:
        return f"{given.builds} needs a sandbox that shows it as {BUILDS}; give an image instead"
    return ""


def _verdict(given: Environment, jail: Jail, id_: str, problem: Sample, output: str) -> Verdict:
    assert problem.check is not None
    task, language = str(problem.check["task"]), problem.track.language
    try:
        record = records(given, language).get(task)
    except MachineError as error:  # the environment may have one language alone
        return Verdict(id_, "not-run", 0, 1, str(error))
    if record is None:
        return Verdict(id_, "not-run", 0, 1, UNKNOWN)
    word = _ask(given, jail, language, task, output)
    if word.outcome == "passed":
        return Verdict(id_, "passed", 1, 1)
    blame = _blame(given, jail, language, task)
    if blame or word.outcome == "refused":
        return Verdict(id_, "not-run", 0, 1, blame or word.detail)
    return Verdict(id_, word.outcome, 0, 1, word.detail)


#: Tasks whose original function was tried in this process, and why it did not pass, if so.
_tried: dict[tuple[str, str], str] = {}


def _blame(given: Environment, jail: Jail, language: str, task: str) -> str:
    """Why the environment itself does not pass a problem; empty where it does.

    That an original function passed is kept beside the cache's other things: it is asked
    once per environment, not for every model. That it did not is asked again.
    """
    key = given.digest, task
    if key not in _tried:
        kept = cache_folder() / KIND / f"{given.digest[:16]}-{_RECIPE}" / task
        if not kept.exists():
            _tried[key] = _try_original(given, jail, language, task)
            if not _tried[key]:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.touch()
        else:
            _tried[key] = ""
    return _tried[key]


def _try_original(given: Environment, jail: Jail, language: str, task: str) -> str:
    original = records(given, language)[task].get("code")
    if not isinstance(original, str):
        return "not run: CoderEval's environment does not have the original function"
    word = _ask(given, jail, language, task, original)
    if word.outcome == "passed":
        return ""
    why = f"{word.outcome} {word.detail}".strip()
    return f"not run: the original function does not pass in CoderEval's environment: {why}"


def _ask(given: Environment, jail: Jail, language: str, task: str, code: str) -> _Word:
    """Let the environment's script test one piece of code."""
    script, _ = SCRIPTS[language]
    line = json.dumps({"_id": task, "generate_results": [code]}).encode() + b"\n"
    if isinstance(given, engine.Image):
        end = given.run(["sh", "-c", _test(script)], line, LIMITS)
    else:
        project = str(records(given, language)[task].get("project", ""))
        end = given.run(jail, project, _test(script), line, LIMITS)
    return _read(end, task)


def _enter(wanted: str) -> str:
    """Shell: go to the folder that holds a file of the environment."""
    return (
        f'for place in {BUILDS} {BUILDS}/*; do [ -f "$place/{wanted}" ] && break; done\n'
        f'cd "$place" && [ -f {wanted} ] || {{ echo no {wanted} below {BUILDS} >&2; exit 66; }}\n'
    )


def _test(script: str) -> str:
    """Shell: test the line on standard input, and write the script's verdicts alone."""
    return (
        f"echo started\n{_enter(script)}cat > /tmp/outputs.jsonl\n"
        'interpreter="${BENCH_PYTHON:-$(command -v python || command -v python3)}"\n'
        f'"$interpreter" {script} /tmp/outputs.jsonl 1 1>&2\n'
        "cat /tmp/outputs.jsonl_out*.jsonl\n"
    )


def _read(end: JailResult, task: str) -> _Word:
    """The verdict that the script wrote, or how its run ended without one."""
    if end.outcome not in ("exited", "error"):
        return _Word(end.outcome, said(end))
    lines = [_parsed(line) for line in end.channel.decode(errors="replace").splitlines()]
    named = [line for line in lines if line.get("_id") == task]
    if len(named) != 1:
        return _Word("error", f"{len(named)} verdicts; {said(end)}")
    results = named[0].get("generate_results")
    if results == []:
        return _Word("timeout", "it ran longer than CoderEval's script lets it")
    if not isinstance(results, list) or not isinstance(results[0], dict):
        return _Word("error", f"the verdict is not one; {said(end)}")
    first = results[0]
    if first.get("is_pass") is True:
        return _Word("passed")
    told = str(first.get("errormessage") or first.get("return_code", ""))
    return _Word("compile-error" if told == "compile error" else "failed", told)


def _parsed(line: str) -> dict[str, Any]:
    try:
        content = readers.parse_json(line, "a verdict")
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}


def records(given: Environment, language: str) -> Mapping[str, Mapping[str, Any]]:
    """The problems of a language as the environment has them, by their id.

    Raises:
        MachineError: the environment lacks the file, or it is not what it should be.
    """
    found = _records(given, language)
    if found is None:
        name = SCRIPTS[language][1]
        raise MachineError(
            f"CoderEval's environment has no readable {name} below {BUILDS}", hint=HOW
        )
    return found


@functools.cache
def _records(given: Environment, language: str) -> Mapping[str, Mapping[str, Any]] | None:
    """The problems, read once; None where they cannot be."""
    _, name = SCRIPTS[language]
    if isinstance(given, engine.Image):
        end = given.run(["sh", "-c", f"{_enter(name)}cat {name}"], b"", LIMITS)
        content = end.channel if end.outcome == "exited" else None
    else:
        content = given.content(name)
    try:
        found = readers.parse_json(content or b"", name)["RECORDS"]
        return {str(record["_id"]): record for record in found}
    except (DataError, KeyError, TypeError):
        return None
