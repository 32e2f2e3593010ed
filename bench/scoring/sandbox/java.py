"""Grading model-written Java: a whole batch compiled in one JVM, each sample run in its own.

Both JVMs are jailed; the compiler too, since it reads text of unknown intent. What is
compiled never touches the disk: classes come back over the channel and go in over the
sample's standard input.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from bench.data import casetypes
from bench.records import Verdict
from bench.scoring.sandbox import binary
from bench.scoring.sandbox.batch import Compiled, Unit, compile_batch, started
from bench.scoring.sandbox.cases import MEMORY_ERRORS, arguments, said
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.jdk import Jdk
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.referee import decide

_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_HEAP = ("-Xmx256m", "-Xss4m")
SAMPLE_LIMITS = Limits(cpu_s=3, wall_s=40, memory_bytes=768 * MIB, processes=64, open_files=256)
COMPILER_LIMITS = Limits(
    cpu_s=600,
    wall_s=900,
    memory_bytes=1536 * MIB,
    processes=64,
    open_files=256,
    channel_bytes=256 * MIB,
)

Classes = Mapping[str, bytes]
#: Marks the classes of a suite's test, which are loaded apart from the model's.
_TEST = "test:"


def compile_units(jail: Jail, jdk: Jdk, units: Sequence[Unit]) -> list[Compiled]:
    """Compile every unit; one that kills the compiler is that unit's error."""

    def start(request: bytes) -> JailResult:
        return jail.run(
            [jdk.java, *_FLAGS, "-Xmx512m", "-Xss8m", "-cp", str(jdk.programs), "Compile"],
            stdin=request,
            mounts=[jdk.home, jdk.programs],
            limits=COMPILER_LIMITS,
        )

    def read(reader: binary.Reader) -> Classes:
        count = reader.integer()
        return {reader.block().decode(): reader.block() for _ in range(count)}

    return compile_batch("Java", start, units, read)


def run_cases(
    jail: Jail, jdk: Jdk, id_: str, check: Mapping[str, Any], classes: Classes
) -> Verdict:
    """Call a compiled sample with the arguments of every case and judge what it answers."""
    kinds = [casetypes.parse(text) for text in check["types"]["args"]]
    body = binary.arguments(arguments(check), kinds)
    end = _run(jail, jdk, classes, b"\1" + binary.text(check["entry"]) + body, bytes(16))
    total = len(check["cases"])
    if not started(binary.Reader(end.channel)):
        return Verdict(id_, "not-run", 0, total, f"the JVM did not start: {said(end)}")
    return decide(binary.told, id_, check, end)


def run_main(jail: Jail, jdk: Jdk, id_: str, classes: Classes) -> Verdict:
    """Run a suite's Main; it passes only if the nonce comes back, which follows its return."""
    nonce = secrets.token_bytes(16)
    end = _run(jail, jdk, classes, b"\0" + binary.text("Main"), nonce)
    expected = bytes([binary.READY, binary.LOADED, binary.RETURNED]) + nonce
    if end.channel == expected and end.outcome == "exited":
        return Verdict(id_, "passed", 1, 1)
    reader = binary.Reader(end.channel)
    if not started(reader):
        return Verdict(id_, "not-run", 0, 1, f"the JVM did not start: {said(end)}")
    reader.skip(binary.LOADED)
    answers = reader.answers()
    if answers and answers[0].raised is not None:
        names = set(answers[0].raised)
        outcome = "failed" if "java.lang.AssertionError" in names else "error"
        outcome = "memory" if MEMORY_ERRORS & names else outcome
        return Verdict(id_, outcome, 0, 1, answers[0].text)
    outcome = "error" if end.outcome == "exited" else end.outcome
    return Verdict(id_, outcome, 0, 1, f"Main did not return: {said(end)}")


def _run(jail: Jail, jdk: Jdk, classes: Classes, body: bytes, nonce: bytes) -> JailResult:
    test = {name.removeprefix(_TEST): classes[name] for name in classes if name.startswith(_TEST)}
    model = {name: classes[name] for name in classes if not name.startswith(_TEST)}
    parts = [nonce]
    for loaded in (model, test):
        parts.append(binary.integer(len(loaded)))
        for name, content in loaded.items():
            parts += [binary.text(name), binary.integer(len(content)), content]
    return jail.run(
        [jdk.java, *_FLAGS, *_HEAP, "-cp", str(jdk.programs), "Run"],
        stdin=b"".join([*parts, body]),
        mounts=[jdk.home, jdk.programs],
        limits=SAMPLE_LIMITS,
    )
