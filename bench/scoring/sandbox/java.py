"""Grading model-written Java: a whole batch compiled in one JVM, each sample run in its own.

A suite's own test runs in another JVM still, one for the batch. All are jailed; the compiler
too, since it reads text of unknown intent. What is compiled never touches the disk: classes
come back over the channel and go in over the sample's standard input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.data import casetypes
from bench.records import Verdict
from bench.scoring.sandbox import binary
from bench.scoring.sandbox.batch import Compiled, Unit, compile_batch, started
from bench.scoring.sandbox.cases import arguments, said
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.jdk import Jdk
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.referee import decide
from bench.scoring.sandbox.tester import Program, Tester

_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_HEAP = ("-Xmx256m", "-Xss4m")
#: The kit's own programs end when memory does: what goes on behind that is not to be trusted.
_DIE = "-XX:+ExitOnOutOfMemoryError"
SAMPLE_LIMITS = Limits(cpu_s=3, wall_s=40, memory_bytes=768 * MIB, processes=64, open_files=256)
#: What a suite's test may take, on whatever the sample returns.
TEST_CPU_S = 10
#: One process for a whole batch; it ends itself when a single test takes too long.
TESTER_LIMITS = Limits(cpu_s=36_000, memory_bytes=768 * MIB, processes=64, open_files=256)
COMPILER_LIMITS = Limits(
    cpu_s=600,
    wall_s=900,
    memory_bytes=1536 * MIB,
    processes=64,
    open_files=256,
    channel_bytes=256 * MIB,
)

Classes = Mapping[str, bytes]
#: Marks the classes of a suite's test, which run apart from the model's.
_TEST = "test:"


def compile_units(jail: Jail, jdk: Jdk, units: Sequence[Unit]) -> list[Compiled]:
    """Compile every unit; one that kills the compiler is that unit's error."""

    def start(request: bytes) -> JailResult:
        return jail.run(
            [jdk.java, *_FLAGS, "-Xmx512m", "-Xss8m", _DIE, "-cp", str(jdk.programs), "Compile"],
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
    calls = b"\1" + binary.text(check["entry"]) + binary.arguments(arguments(check), kinds)
    sample = _sample(jdk)
    end = jail.run(
        sample.command,
        stdin=_packed(classes) + calls,
        mounts=sample.mounts,
        limits=sample.limits,
    )
    if not started(binary.Reader(end.channel)):
        detail = f"the JVM did not start: {said(end)}"
        return Verdict(id_, "not-run", 0, len(check["cases"]), detail)
    return decide("binary", id_, check, end)


def tester(jail: Jail, jdk: Jdk) -> Tester:
    """What runs the suites' own Java tests."""
    command = [jdk.java, *_FLAGS, *_HEAP, _DIE, "-cp", str(jdk.programs), "Tester", str(TEST_CPU_S)]
    tests = Program(command, [jdk.home, jdk.programs], TESTER_LIMITS)
    return Tester(jail, tests, _sample(jdk))


def run_main(tester: Tester, id_: str, classes: Classes) -> Verdict:
    """Run a suite's Main against a compiled sample; it passes only if it returns."""
    test = {name.removeprefix(_TEST): classes[name] for name in classes if name.startswith(_TEST)}
    model = {name: classes[name] for name in classes if not name.startswith(_TEST)}
    loaded = _packed(model) + b"\0"
    job = binary.integer(len(loaded)) + loaded + _packed(test) + binary.text("Main")
    return tester.verdict(id_, job, 1)


def _sample(jdk: Jdk) -> Program:
    command = [jdk.java, *_FLAGS, *_HEAP, "-cp", str(jdk.programs), "Run"]
    return Program(command, [jdk.home, jdk.programs], SAMPLE_LIMITS)


def _packed(classes: Classes) -> bytes:
    parts = [binary.integer(len(classes))]
    for name, content in classes.items():
        parts += [binary.text(name), binary.integer(len(content)), content]
    return b"".join(parts)
