"""One JVM for a whole batch of files, confined, and a batch that outlives its worst file.

The analysers only read what a model wrote. They still run in the jail where the machine has
one, since a parser may be led to fill memory or to run for ever; elsewhere under the same
limits without the walls.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from bench.errors import MachineError
from bench.scoring.admission import NotRunError
from bench.scoring.sandbox import jdk
from bench.scoring.sandbox.cases import said
from bench.scoring.sandbox.jail import find_jail, unsafe_jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits

_FLAGS = (
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto"),
    *("-Xmx768m", "-Xss8m", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"),
)
#: CPU seconds that a batch may take: a fixed part and one per byte of the files, each about
#: five times what PMD needs (2.5 s, and 0.02 s for each thousand bytes).
LIMIT_CPU_S = 15.0
LIMIT_CPU_PER_BYTE_S = 1e-4
WALL_PER_CPU = 20
_LIMITS = Limits(
    memory_bytes=1536 * MIB,
    processes=64,
    open_files=512,
    channel_bytes=512 * MIB,
    printed_bytes=8 * MIB,
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A Java program: its name with version, its jars, its main class, its properties.

    ``beside``: files that it reads itself.
    """

    name: str
    jars: tuple[Path, ...]
    main: str
    properties: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Sunk:
    """A run that did not finish, what was told of it, and the file that it names as guilty."""

    told: str
    culprit: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Analyser(Generic[T]):
    """A tool with its arguments for some files of a folder, and its answer taken apart.

    ``read`` gives the findings for every one of the files, or says that the run sank.
    ``probe`` is a file that it copes with wherever it works at all: its name and text.
    """

    tool: Tool
    options: Callable[[Path, Sequence[str]], Sequence[str]]
    read: Callable[[JailResult, Sequence[str]], Mapping[str, T] | Sunk]
    probe: tuple[str, str]

    def analyse(self, files: Mapping[str, str]) -> dict[str, T | None]:
        """The findings of each file (name to text); None where the tool did not finish.

        Raises:
            NotRunError: there is no Java here, or the tool does not work at all.
        """
        if not files:
            return {}
        with tempfile.TemporaryDirectory(prefix="bench-analyser-") as created:
            folder = Path(created)
            folder.chmod(0o755)  # the prisoner has another user id
            for name, text in (*files.items(), self.probe):
                (folder / name).write_text(text, encoding="utf-8", newline="")
            names = list(files)
            found = self._run(folder, names)
            if not isinstance(found, Sunk):
                return {name: found[name] for name in names}
            alone = self._run(folder, [self.probe[0]])
            if isinstance(alone, Sunk):
                raise NotRunError(f"not run: {self.tool.name} does not work here: {alone.told}")
            return self._without_culprits(folder, names, found.culprit)

    def _without_culprits(
        self, folder: Path, names: Sequence[str], culprit: str | None
    ) -> dict[str, T | None]:
        """After a run that sank: over all but its culprit, or over each half if none is named."""
        if len(names) == 1:
            return {names[0]: None}
        middle = len(names) // 2
        parts = [names[:middle], names[middle:]]
        if culprit in names:
            parts = [[name for name in names if name != culprit]]
        result: dict[str, T | None] = dict.fromkeys(names)
        for part in parts:
            found = self._run(folder, part)
            if isinstance(found, Sunk):
                result |= self._without_culprits(folder, part, found.culprit)
            else:
                result |= {name: found[name] for name in part}
        return result

    def _run(self, folder: Path, names: Sequence[str]) -> Mapping[str, T] | Sunk:
        size_bytes = sum((folder / name).stat().st_size for name in names)
        seconds = round(LIMIT_CPU_S + LIMIT_CPU_PER_BYTE_S * size_bytes)
        end = _start(self.tool, self.options(folder, names), folder, seconds)
        return self.read(end, names)


def _start(tool: Tool, options: Sequence[str], folder: Path, seconds: int) -> JailResult:
    java = runtime()
    found = find_jail()
    jail = found if found.unavailable is None else unsafe_jail()
    flags = [*_FLAGS, *tool.properties, "-cp", ":".join(map(str, tool.jars))]
    try:
        return jail.run(
            [str(java / "bin" / "java"), *flags, tool.main, *options],
            mounts=[java, folder, *sorted({jar.parent for jar in (*tool.jars, *tool.beside)})],
            limits=dataclasses.replace(_LIMITS, cpu_s=seconds, wall_s=WALL_PER_CPU * seconds),
        )
    except OSError as error:  # no prlimit, no more processes
        raise MachineError(
            f"{tool.name} cannot be started: {error}",
            hint="python -m bench doctor checks the tools",
        ) from None


def sunk(end: JailResult, culprit: str | None = None) -> Sunk:
    """A run that ended as it should not have."""
    return Sunk(said(end), culprit)


def runtime() -> Path:
    """The folder of the Java runtime: the JDK's, else that of the ``java`` on the PATH.

    Raises:
        MachineError: there is none.
    """
    try:
        return jdk.home()
    except MachineError as error:
        found = shutil.which("java")
        if found is None:
            hint = error.hint
            raise MachineError("no Java on the PATH or in JAVA_HOME", hint=hint) from None
        return Path(found).resolve().parents[1]
