"""``python -m bench``: the only room that talks to people.

Everything below returns data or raises ``BenchError``; here it becomes text and an exit
code. Nothing here imports torch: stages run in processes of their own.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from rich.markup import escape

from bench import places
from bench.cli import paths, plain, streams, unforeseen
from bench.cli.console import err
from bench.cli.options import parser as parser
from bench.errors import BenchError
from bench.scoring import codereval


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when all of it succeeded, and was shown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of ASCII or Latin-1 shows less
            plain.adapt(stream)
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with streams.kept():
            return _main(words)
    except BenchError as error:
        return _tell(error)


def _main(words: Sequence[str]) -> int:
    """Run one command; whatever ends it is told."""
    options = argparse.Namespace()
    try:
        if not words:
            print(parser().format_help(), end="")
            return 0
        options = parser().read(words)
        paths.require_mirror(getattr(options, "mirror", None))
        _prepare_environment(
            offline=getattr(options, "offline", False),
            environment=getattr(options, "codereval", None),
        )
        return int(options.command(options))
    except BenchError as error:
        return _tell(error)
    except KeyboardInterrupt:
        err.print("interrupted: what is done is kept; the same command continues")
        return 130
    except Exception as error:  # no path ends in a traceback
        if streams.failed():
            raise  # what cannot be shown is told by its reason, after this
        if isinstance(error, ModuleNotFoundError) and (known := unforeseen.foreseen(error)):
            return _tell(known)
        return unforeseen.tell(error, getattr(options, "results", None))


def _tell(error: BenchError) -> int:
    """Say what is wrong and what to do next; the exit code."""
    hint = places.commands(error.hint)
    err.print(f"[bold red]error:[/] {escape(error.problem)}", soft_wrap=True)
    err.print(f"  [bold]next:[/] {escape(hint)}", soft_wrap=True)
    return error.exit_code


def _prepare_environment(*, offline: bool, environment: str | None) -> None:
    """Settings that must stand before any library is imported, here or in a child."""
    if environment:
        os.environ[codereval.VARIABLE] = environment
    if offline:
        for library in ("BENCH", "HF_HUB", "HF_DATASETS", "HF_EVALUATE"):
            os.environ[f"{library}_OFFLINE"] = "1"
