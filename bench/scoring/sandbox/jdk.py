"""The JDK: found on the machine, with the kit's own small programs compiled by it."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.errors import MachineError
from bench.scoring.sandbox.kept import made

#: The oldest version that compiles and runs the kit's own programs.
LEAST = 17
#: Where Debian, Ubuntu and Fedora install JDKs.
INSTALLED = Path("/usr/lib/jvm")
INSIDE = Path(__file__).parent / "inside"


@dataclasses.dataclass(frozen=True, slots=True)
class Jdk:
    """A JDK: its home, and the folder of the kit's own compiled programs."""

    home: Path
    version: str
    programs: Path

    @property
    def java(self) -> str:
        """The launcher."""
        return str(self.home / "bin" / "java")


_INSTALL_JDK = (
    "./reproduce installs one, or apt-get install -y openjdk-17-jdk-headless (21 or 25 where that "
    "is not offered), or set JAVA_HOME to a JDK 17 or newer"
)


@functools.cache
def jdk() -> Jdk:
    """The JDK of JAVA_HOME or of the PATH, with the kit's programs compiled by it.

    Raises:
        MachineError: no JDK 17 or newer (a runtime without a compiler is not enough).
    """
    folder = home()
    release = version(folder)
    sources = sorted((INSIDE / "java").glob("*.java"))

    compiler = functools.partial(compile_programs, sources)
    return Jdk(folder, release, made("java", sources, release, compiler))


def compile_programs(
    sources: Sequence[Path], target: Path, *, libraries: Sequence[Path] = ()
) -> None:
    """Compile Java sources into the folder ``target``.

    Raises:
        MachineError: there is no JDK, or it does not take them.
    """
    javac = [str(home() / "bin" / "javac"), "-proc:none", "-nowarn", "-d", str(target)]
    given = ["-cp", ":".join(map(str, libraries))] if libraries else []
    _run([*javac, *given, *map(str, sources)], "javac")


def version(folder: Path) -> str:
    """The version that a JDK states in its ``release`` file, without starting it."""
    try:
        release = (folder / "release").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r'^JAVA_VERSION="([^"]+)"', release, re.MULTILINE)
    return found.group(1) if found else "unknown"


def home() -> Path:
    """The folder of the JDK: JAVA_HOME's, the PATH's, else the oldest installed that will do.

    Raises:
        MachineError: there is none with a compiler, or each is too old.
    """
    configured = os.environ.get("JAVA_HOME")
    found = shutil.which("javac")
    candidates = [Path(configured)] if configured else []
    if found:
        candidates.append(Path(found).resolve().parents[1])
    installed = INSTALLED.iterdir() if INSTALLED.is_dir() else ()
    candidates += sorted(installed, key=lambda folder: (_major(folder) or 0, folder.name))
    too_old = []
    for candidate in candidates:
        if all((candidate / "bin" / name).is_file() for name in ("java", "javac")):
            if (_major(candidate) or LEAST) >= LEAST:
                return candidate.resolve()
            too_old.append(f"JDK {version(candidate)} in {candidate}")
    if too_old:
        raise MachineError(f"{too_old[0]}: {LEAST} or newer is needed", hint=_INSTALL_JDK)
    raise MachineError("no Java compiler (javac) on the PATH or in JAVA_HOME", hint=_INSTALL_JDK)


def _major(folder: Path) -> int | None:
    """The main number of a JDK's version (8 of 1.8.0), None where it does not say."""
    found = re.match(r"(?:1\.)?(\d+)", version(folder))
    return int(found[1]) if found else None


def _run(command: list[str], what: str) -> str:
    """Run a tool and return what it printed.

    Raises:
        MachineError: it failed; the last line that it printed is told.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise MachineError(
            f"{what} failed: {lines[-1]}", hint="python -m bench doctor checks the tools"
        )
    return done.stdout + done.stderr
