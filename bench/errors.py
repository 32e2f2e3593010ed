"""The one exception that a user sees: what is wrong, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Characters of a name that are shown: more than any right one has.
_LONGEST = 200


def one_line(text: str) -> str:
    """A text as one line that a terminal can show: a file's name may hold anything."""
    joined = " ".join(text.splitlines()) if len(text.splitlines()) > 1 else text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in joined.strip("\r\n"))


class BenchError(Exception):
    """A user's mistake or a broken input, told in one line and without a traceback.

    Library code raises it; ``bench.cli`` prints it and exits with ``exit_code``.
    """

    exit_code = 2

    def __init__(self, problem: str, *, hint: str) -> None:
        """State the ``problem`` (what and where) and the ``hint`` (what to do next)."""
        super().__init__(problem)
        self.problem = one_line(problem)
        self.hint = one_line(hint)

    def __str__(self) -> str:
        return f"{self.problem} — {self.hint}"


class DataError(BenchError):
    """An input file that is missing, truncated, changed or lacks a field."""

    exit_code = 3


class MachineError(BenchError):
    """The machine cannot do it: a full disk, an unwritable folder, a missing tool."""

    exit_code = 4


def unknown(kind: str, name: str, valid: Iterable[str]) -> BenchError:
    """The error for a ``name`` (or a pattern) that does not exist, with the nearest valid ones."""
    names = sorted(valid)
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    near = difflib.get_close_matches(name.strip("*?"), names, n=3, cutoff=0.4)
    listed = ", ".join(near or names[:12])
    label = "did you mean" if near else "valid are"
    hint = f"{label}: {listed}" if names else "there is none here to choose from"
    return BenchError(f"unknown {kind} {name!r}", hint=hint)
