"""Grading model-written Python: test cases, and suites whose tests are Python themselves.

The model's code runs in a jail of its own and answers calls (``inside/sample.py``). For
``cases`` the referee compares what it answers; for ``python-check`` the suite's test runs in
another jail (``inside/tester.py``) and calls the model's code by proxy. Either way the
model's code never sees an expected value and only ever states values, so neither
``sys.exit``, an all-equal object nor patched built-ins make a test pass.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import py_compile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.records import Verdict
from bench.scoring.sandbox import lines
from bench.scoring.sandbox.cases import arguments, said
from bench.scoring.sandbox.inside import wire
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.limits import MIB, Limits
from bench.scoring.sandbox.referee import decide
from bench.scoring.sandbox.system import python_command, python_mounts
from bench.scoring.sandbox.tester import Program, Tester

INSIDE = Path(__file__).parent / "inside"
#: Test cases of the kit's own kind are small; an endless loop should not cost more than it must.
CASES_LIMITS = Limits(cpu_s=2, wall_s=20, memory_bytes=512 * MIB, address_space=True)
#: MBPP/123's own solution takes five seconds on a slow processor.
SAMPLE_LIMITS = Limits(cpu_s=10, wall_s=40, memory_bytes=512 * MIB, address_space=True)
#: The tester is one process per batch with one child per problem; it has no wall clock of
#: its own, since the samples that it waits for have theirs.
TESTER_LIMITS = Limits(cpu_s=20, memory_bytes=512 * MIB, address_space=True, processes=8)


def program(name: str) -> list[str]:
    """The command that runs a module of ``inside``, from its compiled form where there is one."""
    for module in (name, "wire"):
        source = INSIDE / f"{module}.py"
        compiled = Path(importlib.util.cache_from_source(str(source)))
        with contextlib.suppress(OSError, py_compile.PyCompileError):  # a read-only installation
            if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
                py_compile.compile(str(source))
    start = f"import sys; sys.path.insert(0, {str(INSIDE)!r}); import {name}; {name}.main()"
    return python_command("-c", start)


def mounts() -> list[Path]:
    """What both programs need beside the system folders."""
    return [INSIDE, *python_mounts()]


def syntax_error(source: str) -> str | None:
    """Why the source does not parse; None if it does. Costs no process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "solution.py", "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    except (RecursionError, MemoryError):
        return "nested too deeply to parse"
    return None


def defines(source: str, entry: str) -> bool:
    """Whether the source parses and defines ``entry`` at the top level."""
    if syntax_error(source) is not None:
        return False
    return any(
        getattr(node, "name", None) == entry
        or (
            isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == entry for one in node.targets)
        )
        for node in ast.parse(source).body
    )


def whole(check: Mapping[str, Any], output: str) -> str:
    """The program of an output: a function stands after its prompt, a completion continues it."""
    prompt = str(check.get("prompt", ""))
    if prompt and defines(output, check["entry"]) and syntax_error(prompt) is None:
        features, rest = _futures(output)
        return f"{features}{prompt.rstrip()}\n\n\n{rest}"
    return prompt + output


def _futures(output: str) -> tuple[str, str]:
    """The future imports of an output, which stand first in a program, and the rest of it."""
    if "__future__" not in output:
        return "", output
    nodes = [
        node
        for node in ast.parse(output).body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    taken = {line for node in nodes for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = output.split("\n")
    kept = ["" if number in taken else line for number, line in enumerate(lines, 1)]
    return "".join(f"{ast.unparse(node)}\n" for node in nodes), "\n".join(kept)


def cases(jail: Jail, id_: str, check: Mapping[str, Any], output: str) -> Verdict:
    """Grade one output by language-neutral test cases (kind ``cases``)."""
    total = len(check["cases"])
    source = f"{check['preamble']}\n{output}" if check.get("preamble") else output
    problem = syntax_error(source)
    if problem is not None:
        return Verdict(id_, "compile-error", 0, total, problem)
    requests = [wire.line(source)]
    for given in arguments(check):
        requests.append(wire.line(["call", check["entry"], wire.encode(given), wire.encode({})]))
    end = jail.run(
        program("sample"), stdin=b"".join(requests), mounts=mounts(), limits=CASES_LIMITS
    )
    if not end.channel.startswith(lines.READY):
        return Verdict(id_, "not-run", 0, total, f"the interpreter did not start: {said(end)}")
    return decide("lines", id_, check, end)


def tester(jail: Jail) -> Tester:
    """What runs the suites' own Python tests."""
    return Tester(
        jail,
        Program(program("tester"), mounts(), TESTER_LIMITS),
        Program(program("sample"), mounts(), SAMPLE_LIMITS),
    )


def run_check(tester: Tester, id_: str, check: Mapping[str, Any], output: str) -> Verdict:
    """Grade one output by the suite's own test (kind ``python-check``)."""
    tests = list(check.get("asserts") or [])
    total = len(tests) or 1
    source = whole(check, output)
    problem = syntax_error(source)
    if problem is not None:
        return Verdict(id_, "compile-error", 0, total, problem)
    job = {
        "source": source,
        "entry": check["entry"],
        "prompt": str(check.get("prompt", "")),
        "setup": str(check.get("setup", "")),
        "test": str(check.get("test", "")),
        "asserts": tests,
    }
    return tester.verdict(id_, wire.line(job), total)
