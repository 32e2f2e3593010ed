"""Compiling a batch in one process, for the languages that compile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from bench.scoring.sandbox import binary
from bench.scoring.sandbox.cases import said
from bench.scoring.sandbox.limits import JailResult

#: With this status a compiler ends that met a unit which takes too long.
DEADLINE = 9


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """What is compiled together: file names and texts."""

    files: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """The code of a unit by name, or why there is none.

    ``broken``: the compiler itself did not work, which is nobody's compile error.
    """

    code: Mapping[str, bytes] | None
    problem: str = ""
    broken: bool = False


def compile_batch(
    language: str,
    start: Callable[[bytes], JailResult],
    units: Sequence[Unit],
    read: Callable[[binary.Reader], Mapping[str, bytes]],
) -> list[Compiled]:
    """Compile every unit. One that kills the compiler is that unit's error; the rest goes on.

    ``start`` runs the compiler on a request; it answers with one byte once it is up, and
    then per unit one and what ``read`` reads, or zero and a message. Where it dies of something
    else than a unit's deadline, the units before may have had a part: only a unit that a new
    compiler began with is blamed, any other is tried again.
    """
    compiled: list[Compiled] = []
    while len(compiled) < len(units):
        left = units[len(compiled) :]
        end = start(_request(left))
        reader = binary.Reader(end.channel)
        if not started(reader):
            reason = f"the {language} compiler did not start: {said(end)}"
            return [*compiled, *(Compiled(None, reason, broken=True) for _ in left)]
        try:
            for _ in left:
                compiled.append(_one(reader, read))
        except ValueError:
            began_with_it = len(compiled) + len(left) == len(units)
            if end.exit_code != DEADLINE and not began_with_it:
                continue
            compiled.append(Compiled(None, f"the compiler gave up: {said(end)}"))
    return compiled


def _one(reader: binary.Reader, read: Callable[[binary.Reader], Mapping[str, bytes]]) -> Compiled:
    if reader.byte():
        return Compiled(read(reader))
    return Compiled(None, reader.block().decode(errors="replace")[:400])


def started(reader: binary.Reader) -> bool:
    """Whether a program came up: its first byte, before anything model-written."""
    return reader.skip(binary.READY)


def _request(units: Sequence[Unit]) -> bytes:
    parts = [binary.integer(len(units))]
    for unit in units:
        parts.append(binary.integer(len(unit.files)))
        parts += [binary.text(part) for file in unit.files for part in file]
    return b"".join(parts)
