"""The last resort of the command line: an error that nobody foresaw, told in two lines.

The traceback is kept in a file for whoever mends it. A library that is not installed is told
by the extra that brings it.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape

import bench
from bench.cli.console import err

#: An internal error, as sysexits.h has it.
EXIT_CODE = 70
#: Modules that are not called as their distribution is.
_MODULES = {"pynvml": "nvidia-ml-py", "clr": "pythonnet", "clr_loader": "pythonnet"}
_EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*extra\s*==\s*[\"']([a-z]+)[\"']")


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


def _hint(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        extra = next((name for package, name in _extras() if package == _normal(module)), None)
        if extra is not None:
            return f"install the extra that brings {module}: pip install '.[{extra}]'"
        return f"install {module}, or use the kit's environment: nox -s reproduce"
    if isinstance(error, OSError) and error.strerror:
        return "look at that file, folder or disk"
    return "report it with that file"


def _extras() -> Iterator[tuple[str, str]]:
    """The packages that an extra brings, each with the extra, as the installed kit has them."""
    try:
        lines = importlib.metadata.requires(bench.__name__) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        if found := _EXTRA.match(line):
            yield _normal(found[1]), found[2]


def _normal(name: str) -> str:
    return _MODULES.get(name, name).lower().replace("_", "-").replace(".", "-")


def _keep(error: Exception, results: Path | None) -> Path | None:
    """The file with the traceback; None where none can be written."""
    when = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    text = f"bench {' '.join(sys.argv[1:])}\n\n{''.join(traceback.format_exception(error))}"
    for folder in (results, Path(tempfile.gettempdir())):
        if folder is None or not folder.is_dir():
            continue
        path = folder / f"bench-error-{when}-{os.getpid()}.txt"
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None
