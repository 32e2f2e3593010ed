"""The tools that compile and run Java and C#: found on the machine, or from pinned packages.

What the kit compiles for itself (its own small programs) and what it installs lies in the
cache folder, ``<project>/.cache/tools`` or ``$BENCH_CACHE/tools``, each in a folder named
after a digest of what it was made from. A missing tool is a ``MachineError`` that names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.errors import MachineError

INSIDE = Path(__file__).parent / "inside"
_PROJECT = Path(__file__).parents[3]


def cache_folder() -> Path:
    """Where tools are kept; not created here."""
    configured = os.environ.get("BENCH_CACHE")
    return (Path(configured) if configured else _PROJECT / ".cache").resolve() / "tools"


def made(name: str, sources: list[Path], key: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, made once per content of the sources and ``key``.

    Raises:
        MachineError: the cache folder cannot be written.
    """
    digest = hashlib.sha256(key.encode())
    for source in sources:
        digest.update(source.read_bytes())
    folder = cache_folder() / f"{name}-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as work:
            target = Path(work) / "made"
            target.mkdir()
            make(target)
            with contextlib.suppress(FileExistsError):  # another process was faster
                target.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise MachineError(
                f"cannot write {folder.parent}: {error.strerror}",
                hint="free some space or set BENCH_CACHE to a writable folder",
            ) from None
    return folder


@dataclasses.dataclass(frozen=True, slots=True)
class Java:
    """A JDK: its home, and the folder of the kit's own compiled programs."""

    home: Path
    version: str
    programs: Path

    @property
    def java(self) -> str:
        """The launcher."""
        return str(self.home / "bin" / "java")


_INSTALL_JDK = "apt-get install -y openjdk-17-jdk-headless, or set JAVA_HOME to a JDK 17 or newer"


@functools.cache
def java() -> Java:
    """The JDK of JAVA_HOME or of the PATH, with the kit's programs compiled by it.

    Raises:
        MachineError: no JDK 17 or newer (a runtime without a compiler is not enough).
    """
    home = java_home()
    version = _run([str(home / "bin" / "java"), "-version"], "java -version").splitlines()[0]
    sources = sorted((INSIDE / "java").glob("*.java"))

    def compile_programs(target: Path) -> None:
        javac = [str(home / "bin" / "javac"), "-proc:none", "-d", str(target)]
        _run([*javac, *map(str, sources)], "javac")

    return Java(home, version, made("java", sources, version, compile_programs))


def java_home() -> Path:
    """The folder of the JDK.

    Raises:
        MachineError: there is none with a compiler.
    """
    configured = os.environ.get("JAVA_HOME")
    found = shutil.which("javac")
    candidates = [Path(configured)] if configured else []
    if found:
        candidates.append(Path(found).resolve().parents[1])
    for home in candidates:
        if (home / "bin" / "javac").is_file() and (home / "bin" / "java").is_file():
            return home.resolve()
    raise MachineError("no Java compiler (javac) on the PATH or in JAVA_HOME", hint=_INSTALL_JDK)


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
