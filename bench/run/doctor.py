"""What this machine can run, and what to install for the rest.

Each check looks, installs nothing, and names the remedy on Debian and Ubuntu. ``ok`` is
True, False for what the grid needs, or None for what is merely not here.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.containers import engine
from bench.data.sources import cache_folder
from bench.errors import BenchError, MachineError
from bench.run import extras, gpuprobe
from bench.scoring import codereval
from bench.scoring.quality import javatools, sonartools
from bench.scoring.sandbox import dotnet, jdk
from bench.scoring.sandbox.jail import UNSAFE_OPTION, find_jail

GIB = 1024**3
#: What the smoke study needs: environment and tools take about 4 GiB, a scoring process
#: with its compiler about 3.
LEAST_DISK_BYTES = 6 * GIB
LEAST_MEMORY_BYTES = 4 * GIB
_SETUP = "in the kit's folder: pip install '.[train,score]' (every nox session does it itself)"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing the kit needs or can use. ``remedy`` is empty where nothing is to be done."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def checks() -> list[Check]:
    """Every check, in the order in which a machine is set up."""
    return [
        _python(),
        _disk(),
        _memory(),
        _program("git", "apt-get install -y git"),
        *_libraries(),
        _gpu(),
        _sandbox(),
        _java(),
        _csharp(),
        _pmd(),
        _tool("Checkstyle", lambda: _checkstyle_told(javatools.checkstyle().name), optional=True),
        _tool("Sonar analyzers", lambda: sonartools.jars().name, optional=True),
        _program("npm", "apt-get install -y npm (downloads Roslyn and PMD, once)"),
        *_containers(),
        _codereval(),
    ]


def _python() -> Check:
    version = platform.python_version()
    fits = sys.version_info >= (3, 11)
    return Check("Python", fits, version, "" if fits else "./reproduce finds or brings one")


def _disk() -> Check:
    folder = _existing(cache_folder())
    free = shutil.disk_usage(folder).free
    fits = free >= LEAST_DISK_BYTES
    remedy = f"free {LEAST_DISK_BYTES // GIB} GiB, or set BENCH_CACHE to a larger disk"
    return Check("free disk", fits, f"{free / GIB:.0f} GiB in {folder}", "" if fits else remedy)


def _existing(folder: Path) -> Path:
    resolved = folder.resolve()
    return next(path for path in (resolved, *resolved.parents) if path.exists())


def _memory() -> Check:
    sizes = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, size = line.partition(":")
        sizes[name] = int(size.split()[0]) * 1024
    fits = sizes["MemAvailable"] >= LEAST_MEMORY_BYTES
    detail = f"{sizes['MemAvailable'] / GIB:.0f} of {sizes['MemTotal'] / GIB:.0f} GiB available"
    remedy = "" if fits else f"{LEAST_MEMORY_BYTES // GIB} GiB are needed; run with --jobs 1"
    return Check("memory", fits, detail, remedy)


def _program(name: str, remedy: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, None, "not on the PATH", remedy)
    return Check(name, True, _first_line([path, "--version"]) or path)


def _first_line(command: list[str]) -> str:
    """The first line that a program prints about itself; empty where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0] if done.returncode == 0 else ""


def _libraries() -> Iterable[Check]:
    """The Python packages by whether they are installed; importing them takes seconds."""
    for name in extras.MODULES["train"]:
        yield _library(name, "train and generate")
    for name in extras.MODULES["score"]:
        yield _library(name, "score")


def _library(name: str, purpose: str) -> Check:
    if importlib.util.find_spec(name) is None:
        return Check(name, False, f"not installed: needed to {purpose}", _SETUP)
    return Check(name, True, importlib.metadata.version(name.replace("_", "-")))


def _gpu() -> Check:
    """What torch can compute on, by the same probe as a run's: a kernel has run on each."""
    found = gpuprobe.here()
    if not gpuprobe.signs():
        torch_build = "absent"
        if importlib.util.find_spec("torch") is not None:
            torch_build = importlib.metadata.version("torch")
        return Check("GPU", None, f"none visible; the CPU is used (torch {torch_build})")
    why = gpuprobe.problem(found)
    if why is not None:
        return Check("GPU", False, *why)
    driver = f"driver {found.driver}, torch {found.torch} (CUDA {found.cuda})"
    named = ", ".join(
        f"{one.name} with {one.free_bytes / GIB:.0f} of {one.total_bytes / GIB:.0f} GiB free"
        for one in found.usable
    )
    busy = sum(len(one.others) for one in found.usable)
    taken = f"; {busy} other processes compute on them" if busy else ""
    return Check("GPU", True, f"{named}; {driver}; a kernel ran{taken}")


def _sandbox() -> Check:
    jail = find_jail()
    if jail.unavailable is None:
        return Check("sandbox", True, f"bubblewrap with {jail.way}; ran as uid {os.geteuid()}")
    remedy = "apt-get install -y bubblewrap util-linux"
    restricted = _restricted()
    if os.geteuid() != 0 and restricted:
        remedy = f"{restricted}; or run as root (outputs then run under a user id of their own)"
    remedy += f"; without it pass@1 is not run ({UNSAFE_OPTION} runs it unconfined)"
    return Check("sandbox", False, f"{jail.unavailable}; tried as uid {os.geteuid()}", remedy)


def _restricted() -> str:
    """The setting that keeps this user from making user namespaces; empty if none does."""
    settings = {
        "kernel.apparmor_restrict_unprivileged_userns": "0",
        "kernel.unprivileged_userns_clone": "1",
    }
    for name, wanted in settings.items():
        path = Path("/proc/sys") / name.replace(".", "/")
        if path.is_file() and path.read_text().strip() != wanted:
            return f"sysctl -w {name}={wanted} (user namespaces are restricted here)"
    limit = Path("/proc/sys/user/max_user_namespaces")
    if limit.is_file() and limit.read_text().strip() == "0":
        return "sysctl -w user.max_user_namespaces=10000"
    return ""


def _java() -> Check:
    return _tool("Java", lambda: f"JDK {jdk.version(jdk.home())} in {jdk.home()}")


def _csharp() -> Check:
    found = dotnet.obtainable()
    if found is None:
        remedy = (
            "apt-get install -y npm, or the .NET 8 SDK (Ubuntu: apt-get install -y dotnet-sdk-8.0)"
        )
        return Check("C#", False, "no .NET SDK, and its packages cannot be downloaded", remedy)
    if importlib.util.find_spec("pythonnet") is None and dotnet.installed() is None:
        return Check("C#", False, "pythonnet is not installed", _SETUP)
    return Check("C#", True, found)


def _pmd() -> Check:
    found = javatools.pmd_obtainable()
    if found is None:
        return Check("PMD", None, "its package cannot be downloaded", "apt-get install -y npm")
    return Check("PMD", True, found)


def _checkstyle_told(name: str) -> str:
    study = javatools.STUDY_CHECKSTYLE
    if name.endswith(study):
        return name
    return f"{name}; the study used {study}: set {javatools.JAR_VARIABLE} to its all-jar"


def _tool(name: str, look: Callable[[], str], optional: bool = False) -> Check:
    try:
        return Check(name, True, look())
    except BenchError as error:
        return Check(name, None if optional else False, error.problem, error.hint)


def _codereval() -> Check:
    try:
        given = codereval.environment()
    except MachineError as error:
        return Check("CoderEval", False, error.problem, error.hint)
    if given is None:
        return Check("CoderEval", None, "its environment is not named", codereval.HOW)
    return Check("CoderEval", True, f"its environment: {given.digest[:12]}")


def _containers() -> Iterable[Check]:
    """The engine, whether its limits hold, and whether it can hand over a GPU."""
    try:
        found = engine.find()
    except MachineError as error:
        detail = f"{error.problem}; stages run in this environment"
        yield Check("container engine", None, detail, error.hint)
        return
    rights = "rootless" if found.rootless else "as root"
    told = f"{found.name} {found.version}, {rights}, control groups v{found.cgroups}"
    yield Check("container engine", True, told)
    if not found.limits:
        remedy = "boot with systemd.unified_cgroup_hierarchy=1, or run as root"
        detail = "a rootless engine cannot set them under control groups v1"
        yield Check("container limits", None, detail, remedy)
    if shutil.which("nvidia-smi") is not None:
        yield _gpu_in_containers(found)


def _gpu_in_containers(found: engine.Engine) -> Check:
    name, lacking = "GPU in containers", found.gpu_problem()
    if lacking is not None:
        return Check(name, False, *lacking)
    return Check(name, True, " ".join(found.gpu_arguments([0])))
