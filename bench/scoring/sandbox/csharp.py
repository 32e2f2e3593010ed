"""Grading model-written C#: a whole batch compiled by Roslyn in one process, each sample run alone.

Both processes are jailed. What is compiled never touches the disk: assemblies come back
over the channel and go in over the sample's standard input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.data import casetypes
from bench.records import Verdict
from bench.scoring.sandbox import binary
from bench.scoring.sandbox.batch import Compiled, Unit, compile_batch, started
from bench.scoring.sandbox.cases import arguments, said
from bench.scoring.sandbox.dotnet import DotNet
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.referee import decide

SAMPLE_LIMITS = Limits(cpu_s=3, wall_s=40, memory_bytes=768 * MIB, processes=64, open_files=256)
COMPILER_LIMITS = Limits(
    cpu_s=600,
    wall_s=900,
    memory_bytes=2048 * MIB,
    processes=64,
    open_files=512,
    channel_bytes=256 * MIB,
)
#: One collector thread, no diagnostics port, no second tier for what runs once.
ENVIRONMENT = {
    "DOTNET_gcServer": "0",
    "DOTNET_EnableDiagnostics": "0",
    "DOTNET_EnableWriteXorExecute": "0",  # it maps a file larger than any limit on files
    "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    "DOTNET_TieredPGO": "0",
    "DOTNET_NOLOGO": "1",
}
_HEAP = {"DOTNET_GCHeapHardLimit": hex(256 * MIB)}
_COMPILER_HEAP = {"DOTNET_GCHeapHardLimit": hex(1024 * MIB)}


def compile_units(jail: Jail, net: DotNet, units: Sequence[Unit]) -> list[Compiled]:
    """Compile every unit; one that kills the compiler is that unit's error."""

    def start(request: bytes) -> JailResult:
        return jail.run(
            net.command("Compile", *net.references),
            stdin=request,
            mounts=net.mounts,
            environment=ENVIRONMENT | _COMPILER_HEAP,
            limits=COMPILER_LIMITS,
        )

    return compile_batch("C#", start, units, lambda reader: {"Candidate": reader.block()})


def run_cases(
    jail: Jail, net: DotNet, id_: str, check: Mapping[str, Any], assembly: bytes
) -> Verdict:
    """Call a compiled sample with the arguments of every case and judge what it answers."""
    kinds = [casetypes.parse(text) for text in check["types"]["args"]]
    head = binary.integer(len(assembly)) + assembly + binary.text(check["entry"])
    end = jail.run(
        net.command("Run"),
        stdin=head + binary.arguments(arguments(check), kinds),
        mounts=net.mounts,
        environment=ENVIRONMENT | _HEAP,
        limits=SAMPLE_LIMITS,
    )
    total = len(check["cases"])
    if not started(binary.Reader(end.channel)):
        return Verdict(id_, "not-run", 0, total, f".NET did not start: {said(end)}")
    return decide("binary", id_, check, end)
