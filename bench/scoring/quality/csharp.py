"""What Roslyn's parser says of a batch of C# snippets: one process, nothing compiled or run.

The study's analysis of C# is the parser's diagnostics and no more. Its snippets are methods
without a class, which is no C# file: every `public` before one is then an error (CS0106), so
each snippet is read twice, as it stands and as members of a class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Self

from bench.errors import MachineError
from bench.scoring.admission import NotRunError
from bench.scoring.sandbox import csharp, dotnet
from bench.scoring.sandbox.batch import Unit, compile_batch
from bench.scoring.sandbox.jail import find_jail, unsafe_jail
from bench.scoring.sandbox.limits import JailResult


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding of the parser: its id (``CS1513``), and whether it is an error."""

    id: str
    error: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """The diagnostics of a snippet as it stands, and of the same as members of a class.

    Using directives stay before the class; a file with a namespace is read as it stands.
    """

    as_it_stands: tuple[Diagnostic, ...]
    as_members: tuple[Diagnostic, ...]

    @classmethod
    def parse(cls, as_it_stands: bytes, as_members: bytes) -> Self:
        """Read the two lists of ``inside/csharp/Diagnose.cs``."""
        return cls(_listed(as_it_stands), _listed(as_members))


def _listed(text: bytes) -> tuple[Diagnostic, ...]:
    return tuple(Diagnostic(word[1:], word[0] == "E") for word in text.decode().split())


def diagnose(snippets: Sequence[str]) -> list[Reading | None]:
    """Roslyn's diagnostics per snippet; None where the parser did not finish.

    The parser is confined where the machine can confine: it runs no code of a model, so
    limits on time and memory are enough where it cannot.

    Raises:
        NotRunError: there is no .NET here and none can be had.
    """
    try:
        net = dotnet.dotnet()
    except MachineError as error:
        raise NotRunError(f"not run: {error}") from None
    found = find_jail()
    jail = found if found.unavailable is None else unsafe_jail()

    def start(request: bytes) -> JailResult:
        return jail.run(
            net.command("Diagnose"),
            stdin=request,
            mounts=net.mounts,
            environment=csharp.ENVIRONMENT,
            limits=csharp.COMPILER_LIMITS,
        )

    units = [Unit((("snippet.cs", code),)) for code in snippets]
    done = compile_batch(
        "C#", start, units, lambda reader: {"raw": reader.block(), "wrapped": reader.block()}
    )
    for one in done:
        if one.broken:
            raise NotRunError(f"not run: {one.problem}")
    return [
        Reading.parse(one.code["raw"], one.code["wrapped"]) if one.code is not None else None
        for one in done
    ]
