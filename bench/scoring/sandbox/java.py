"""Grading model-written Java: a whole batch compiled in one JVM, each sample run in its own.

Both JVMs are jailed; the compiler too, since it reads text of unknown intent. What is
compiled never touches the disk: classes come back over the channel and go in over the
sample's standard input.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from bench.records import Verdict
from bench.scoring.sandbox import binary, toolchain, values
from bench.scoring.sandbox.cases import MEMORY_ERRORS, Answer, arguments, said, verdict
from bench.scoring.sandbox.jail import MIB, Jail, JailResult, Limits

_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_HEAP = ("-Xmx256m", "-Xss4m")
SAMPLE_LIMITS = Limits(cpu_s=8, wall_s=30, memory_bytes=768 * MIB, processes=64, open_files=256)
COMPILER_LIMITS = Limits(
    cpu_s=600,
    wall_s=900,
    memory_bytes=1536 * MIB,
    processes=64,
    open_files=256,
    channel_bytes=256 * MIB,
)
_IMPORTS = "import java.util.*;\nimport java.util.function.*;\nimport java.util.stream.*;\n"
_IMPORT = re.compile(r"^\s*(?:package\s+[\w.]+|import\s+(?:static\s+)?[\w.*]+)\s*;", re.MULTILINE)

Classes = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """What is compiled together: file names and texts."""

    files: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """The classes of a unit, or why there are none. ``broken``: the compiler's own failure."""

    classes: Classes | None
    problem: str = ""
    broken: bool = False


def cases_unit(check: Mapping[str, Any], output: str) -> Unit:
    """Methods of a model with a class around them; imports it wrote stay imports."""
    imports = "".join(
        match.group().strip() + "\n"
        for match in _IMPORT.finditer(output)
        if match.group().strip().startswith("import")
    )
    body = _IMPORT.sub("", output)
    wrapped = f"{_IMPORTS}{imports}class Candidate {{\n{check.get('preamble', '')}\n{body}\n}}\n"
    return Unit((("Candidate.java", wrapped),))


def main_unit(check: Mapping[str, Any], output: str) -> Unit:
    """A HumanEval-X program: the prelude continued by the output, and the suite's own Main."""
    imports = "".join(match.group() + "\n" for match in _IMPORT.finditer(str(check["prelude"])))
    return Unit(
        (
            ("Solution.java", str(check["prelude"]) + output),
            ("Main.java", imports + str(check["test"])),
        )
    )


def compile_batch(jail: Jail, java: toolchain.Java, units: Sequence[Unit]) -> list[Compiled]:
    """Compile every unit. One that kills the compiler is that unit's error; the rest goes on."""
    compiled: list[Compiled] = []
    while len(compiled) < len(units):
        left = units[len(compiled) :]
        end = _compile(jail, java, left)
        reader = binary.Reader(end.channel)
        try:
            reader.byte()
        except ValueError:
            reason = f"the Java compiler did not start: {said(end)}"
            return [*compiled, *(Compiled(None, reason, broken=True) for _ in left)]
        before = len(compiled)
        try:
            while len(compiled) - before < len(left):
                compiled.append(_unit(reader))
        except ValueError:
            compiled.append(Compiled(None, f"the compiler gave up: {said(end)}"))
    return compiled


def _compile(jail: Jail, java: toolchain.Java, units: Sequence[Unit]) -> JailResult:
    request = [binary.integer(len(units))]
    for unit in units:
        request.append(binary.integer(len(unit.files)))
        request += [binary.text(part) for file in unit.files for part in file]
    return jail.run(
        [java.java, *_FLAGS, "-Xmx512m", "-Xss8m", "-cp", str(java.programs), "Compile"],
        stdin=b"".join(request),
        mounts=[java.home, java.programs],
        limits=COMPILER_LIMITS,
    )


def _unit(reader: binary.Reader) -> Compiled:
    if not reader.byte():
        return Compiled(None, reader.block().decode(errors="replace")[:400])
    count = reader.integer()
    return Compiled({reader.block().decode(): reader.block() for _ in range(count)})


def run_cases(
    jail: Jail, java: toolchain.Java, id_: str, check: Mapping[str, Any], classes: Classes
) -> Verdict:
    """Call a compiled sample with the arguments of every case and judge what it answers."""
    kinds = [values.parse(text) for text in check["types"]["args"]]
    body = binary.arguments(arguments(check), kinds)
    end = _run(jail, java, classes, b"\1" + binary.text(check["entry"]) + body, bytes(16))
    total = len(check["cases"])
    reader = binary.Reader(end.channel)
    answers = _started(reader)
    if answers is None:
        return Verdict(id_, "not-run", 0, total, f"the JVM did not start: {said(end)}")
    if len(answers) == 1 and answers[0].raised is not None and end.channel[1:2] != b"\2":
        return Verdict(id_, "error", 0, total, answers[0].text)
    return verdict(id_, check, answers, end)


def _started(reader: binary.Reader) -> list[Answer] | None:
    """The answers after the two marks; None where the JVM never came up."""
    try:
        if reader.byte() != binary.READY:
            return None
    except ValueError:
        return None
    reader.skip(binary.LOADED)
    return reader.answers()


def run_main(jail: Jail, java: toolchain.Java, id_: str, classes: Classes) -> Verdict:
    """Run a suite's Main; it passes only if the nonce comes back, which follows its return."""
    nonce = secrets.token_bytes(16)
    end = _run(jail, java, classes, b"\0" + binary.text("Main"), nonce)
    started = end.channel[:1] == bytes([binary.READY])
    if not started:
        return Verdict(id_, "not-run", 0, 1, f"the JVM did not start: {said(end)}")
    expected = bytes([binary.READY, binary.LOADED, binary.RETURNED]) + nonce
    if end.channel == expected and end.outcome == "exited":
        return Verdict(id_, "passed", 1, 1)
    reader = binary.Reader(end.channel)
    answers = _started(reader) or []
    if answers and answers[0].raised is not None:
        names = set(answers[0].raised)
        outcome = "failed" if "java.lang.AssertionError" in names else "error"
        outcome = "memory" if MEMORY_ERRORS & names else outcome
        return Verdict(id_, outcome, 0, 1, answers[0].text)
    outcome = "error" if end.outcome == "exited" else end.outcome
    return Verdict(id_, outcome, 0, 1, f"Main did not return: {said(end)}")


def shadowing(check: Mapping[str, Any], classes: Classes) -> str | None:
    """A type of the model's that would stand in for one that the test means.

    A class ``Arrays`` of its own would make ``Arrays.asList`` in the test whatever it likes.
    """
    given = set(re.findall(r"\w+", str(check["prelude"])))
    words = set(re.findall(r"\w+", str(check["test"]))) - {"Main", "Solution"}
    own = {name for name in classes if "$" not in name and "." not in name}
    return next(iter(sorted((own & words) - given)), None)


def _run(
    jail: Jail, java: toolchain.Java, classes: Classes, body: bytes, nonce: bytes
) -> JailResult:
    parts = [nonce, binary.integer(len(classes))]
    for name, content in classes.items():
        parts += [binary.text(name), binary.integer(len(content)), content]
    return jail.run(
        [java.java, *_FLAGS, *_HEAP, "-cp", str(java.programs), "Run"],
        stdin=b"".join([*parts, body]),
        mounts=[java.home, java.programs],
        limits=SAMPLE_LIMITS,
    )
