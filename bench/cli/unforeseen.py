"""The last resort of the command line: an error that nobody foresaw, told in two lines.

The traceback is kept in a file for whoever mends it. A library that an extra brings is no
surprise: it is told by that extra.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
import traceback
from pathlib import Path

from rich.markup import escape

from bench.cli.console import err
from bench.errors import MachineError
from bench.run import extras

#: An internal error, as sysexits.h has it.
EXIT_CODE = 70


def tell(error: Exception, results: Path | None) -> int:
    """Tell an error that nothing foresaw, and return the exit code.

    The traceback goes into the results' folder, or into the one for temporary files where
    that is not there or cannot be written.
    """
    kept = _keep(error, results)
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    hint = _hint(error)
    err.print(f"[bold red]error:[/] not foreseen: {escape(what)}", soft_wrap=True)
    told = f"the traceback is in {kept}" if kept else "its traceback could not be kept"
    err.print(f"  [bold]next:[/] {escape(f'{hint}; {told}')}", soft_wrap=True)
    return EXIT_CODE


def foreseen(error: ModuleNotFoundError) -> MachineError | None:
    """The error for a library that an extra of the kit brings; None for any other."""
    module = (error.name or "").partition(".")[0]
    extra = extras.of_module(module) if module else None
    return None if extra is None else extras.lacking([module], [extra])


def _hint(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        return f"install {module}, or use the kit's environment: nox -s reproduce"
    if isinstance(error, OSError) and error.strerror:
        return "look at that file, folder or disk"
    return "report it with that file"


def _keep(error: Exception, results: Path | None) -> Path | None:
    """The file with the traceback; None where none can be written."""
    when = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    text = f"bench {' '.join(sys.argv[1:])}\n\n{''.join(traceback.format_exception(error))}"
    for folder in (results, Path(tempfile.gettempdir())):
        if folder is None or not os.path.isdir(folder):  # noqa: PTH112 - of any name
            continue
        path = folder / f"bench-error-{when}-{os.getpid()}.txt"
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None
