"""Pylint and Flake8 over a batch of Python snippets: one process each.

A process per file would cost fifty times as much (about a second of CPU to start
Pylint). The messages are the same, but for R0801 (similar lines in several files), which
is switched off because the files of a batch have nothing to do with each other.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import keyword
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.scoring.admission import NotRunError

#: CPU seconds that a batch may take: a fixed part and one per file, each about five times
#: what Pylint needs (0.5 s and 0.01 to 0.025 s). Waiting for a core is not the snippet's
#: fault, hence the generous wall clock.
LIMIT_CPU_S = 5.0
LIMIT_CPU_PER_FILE_S = 0.125
WALL_PER_CPU = 20
#: Address space of an analyser: inference over hostile constants must not fill memory.
LIMIT_BYTES = 4 * 1024**3

#: Starts a tool under limits of CPU seconds and bytes; -I keeps the user's settings out.
_START = """
import resource, runpy, sys
tool, seconds, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (size, size))
sys.argv[:4] = [tool]
runpy.run_module(tool, run_name="__main__", alter_sys=True)
"""

CRASHED = "the analyser did not finish"


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One finding: its code (``C0114``, ``E501``), symbol, object and line."""

    code: str
    symbol: str
    object: str
    line: int


Found = dict[str, list[Message]]
Runner = Callable[[Path, Sequence[str]], Found | None]


def pylint(snippets: Sequence[str], names: Sequence[str]) -> list[list[Message] | None]:
    """Pylint's messages (default configuration) per snippet; None where it crashed.

    ``names`` become the files' names, which some messages speak of.

    Raises:
        NotRunError: Pylint is not installed.
    """
    found = _analyse("pylint", _run_pylint, snippets, names)
    # It survives some crashes and reports them as fatal (F0002).
    return [
        None if any(message.code.startswith("F") for message in messages or ()) else messages
        for messages in found
    ]


def flake8(snippets: Sequence[str], names: Sequence[str]) -> list[list[Message] | None]:
    """Flake8's violations (default configuration) per snippet; None where it crashed.

    Raises:
        NotRunError: Flake8 is not installed.
    """
    return _analyse("flake8", _run_flake8, snippets, names)


def _analyse(
    tool: str, runner: Runner, snippets: Sequence[str], names: Sequence[str]
) -> list[list[Message] | None]:
    if importlib.util.find_spec(tool) is None:
        raise NotRunError(f"not run: {tool} is not installed; pip install 'bench[score]'")
    if not snippets:
        return []
    files = file_names(names)
    with tempfile.TemporaryDirectory(prefix=f"bench-{tool}-") as folder:
        for file, code in zip(files, snippets, strict=True):
            # newline="": the text as the model wrote it, not as the platform would.
            (Path(folder) / file).write_text(code, encoding="utf-8", newline="")
        found = _halving(runner, Path(folder), files)
    return [found[file] for file in files]


def file_names(names: Sequence[str]) -> list[str]:
    """A file name per name: the name itself where it can be one, and unique in any case."""
    files: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^0-9A-Za-z_]", "_", name)[:100] or "_"
        # A file called json.py or class.py would change what the others' imports mean.
        if stem in sys.stdlib_module_names or keyword.iskeyword(stem) or stem == "__init__":
            stem += "_"
        unique, count = stem, 1
        while unique.lower() in taken:
            count += 1
            unique = f"{stem}_{count}"
        taken.add(unique.lower())
        files.append(f"{unique}.py")
    return files


def _halving(runner: Runner, folder: Path, files: Sequence[str]) -> dict[str, list[Message] | None]:
    """Run over all files; where that crashes, over each half, down to the guilty file."""
    found = runner(folder, files)
    if found is not None:
        return {name: found.get(name, []) for name in files}
    if len(files) == 1:
        return {files[0]: None}
    middle = len(files) // 2
    first, second = files[:middle], files[middle:]
    return {**_halving(runner, folder, first), **_halving(runner, folder, second)}


def _start(
    folder: Path, files: Sequence[str], tool: str, *arguments: str
) -> subprocess.CompletedProcess[str] | None:
    """A tool's run; None where it was killed or ran out of time."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYLINT", "FLAKE8"))
    }
    environment["PYLINTHOME"] = str(folder)  # it writes there; the user's stays as it is
    seconds = math.ceil(LIMIT_CPU_S + LIMIT_CPU_PER_FILE_S * len(files))
    start = [sys.executable, "-I", "-c", _START, tool, str(seconds), str(LIMIT_BYTES)]
    try:
        return subprocess.run(
            [*start, *arguments, "--", *files],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WALL_PER_CPU * seconds,
        )
    except subprocess.TimeoutExpired:
        return None


def _run_pylint(folder: Path, files: Sequence[str]) -> Found | None:
    (folder / "pylintrc").touch()  # an empty one: the user's and the project's stay out
    done = _start(
        folder,
        files,
        "pylint",
        "-j1",
        "--output-format=json2",
        "--disable=R0801",
        "--persistent=n",
        "--rcfile=pylintrc",
    )
    # Its exit code is a sum of the kinds of messages; a crash leaves no whole document.
    try:
        messages = json.loads(done.stdout if done else "")["messages"]
    except (json.JSONDecodeError, KeyError):
        return None
    found: Found = {}
    for message in messages:
        found.setdefault(Path(message["path"]).name, []).append(
            Message(message["messageId"], message["symbol"], message["obj"] or "", message["line"])
        )
    return found


_FLAKE8_LINE = re.compile(r"^(?:\./)?(?P<file>[^:]+):(?P<line>\d+):\d+: (?P<code>[A-Z]+\d+) ")


def _run_flake8(folder: Path, files: Sequence[str]) -> Found | None:

    options = ("--isolated", "-j1", "--exit-zero", "--disable-noqa")
    done = _start(folder, files, "flake8", *options)
    if done is None or done.returncode != 0:
        return None
    found: Found = {}
    for line in done.stdout.splitlines():
        match = _FLAKE8_LINE.match(line)
        if match:
            found.setdefault(match["file"], []).append(
                Message(match["code"], "", "", int(match["line"]))
            )
    return found
