"""Python packages by lock, for the images' Python 3.11 on x86-64 Linux, whatever runs here.

pip downloads them as it is set up on the machine, each refused unless its SHA-256 is one of
the lock's. torch's CPU build stands on PyTorch's own index, so that is asked where pip's
sources do not have it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from bench.containers.stores import Store, digest_of
from bench.errors import DataError, MachineError

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: Debian 12's Python and C library.
PYTHON = (3, 11)
_GLIBC_MINORS = range(36, 4, -1)
_PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in _GLIBC_MINORS),
    *(f"manylinux{year}_x86_64" for year in (2014, 2010, 1)),
    "linux_x86_64",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Locked:
    """A package of a lock: the requirement without its hashes, and the hashes."""

    requirement: str
    sha256: frozenset[str]

    @property
    def name(self) -> str:
        """Its normalised name."""
        return canonicalize_name(Requirement(self.requirement).name)

    @property
    def version(self) -> str:
        """Its version."""
        (pin,) = Requirement(self.requirement).specifier
        return pin.version

    @property
    def entry(self) -> str:
        """As it stands in a lock, and as pip reads it."""
        hashes = (f"    --hash=sha256:{one}" for one in sorted(self.sha256))
        return " \\\n".join([self.requirement, *hashes]) + "\n"


def read(lock: Path) -> tuple[Locked, ...]:
    """The packages of a lock; markers for other machines are left out by its making.

    Raises:
        DataError: the file is missing, or a line has no pin or no hash.
    """
    try:
        lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except OSError as error:
        raise DataError(f"{lock}: {error.strerror}", hint="check the file out again") from None
    found = []
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+--hash=sha256:", line)
        if "==" not in requirement or not hashes:
            raise DataError(f"{lock}: no version or hash: {requirement}", hint="nox -s lock")
        found.append(Locked(requirement, frozenset(hashes)))
    return tuple(found)


def tags() -> list[Tag]:
    """The wheels that the images' Python takes, the best first."""
    return [
        *cpython_tags(PYTHON, platforms=_PLATFORMS),
        *compatible_tags(PYTHON, "cp311", [*_PLATFORMS]),
    ]


def files(locked: Sequence[Locked], folder: Path) -> dict[Locked, Path]:
    """The file in the folder of each package that is there, told by version and hash."""
    candidates: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        described = rank(path.name)
        if described is not None:
            candidates.setdefault(described[:2], []).append(path)
    found = {}
    for one in locked:
        for path in candidates.get((one.name, one.version), []):
            if digest_of(path) in one.sha256:
                found[one] = path
                break
    return found


@functools.cache
def _ranks() -> dict[Tag, int]:
    return {tag: rank for rank, tag in enumerate(tags())}


def rank(file: str) -> tuple[str, str, int] | None:
    """Name, version and rank (0 the best) of a distribution's file; None if it is not for us."""
    ranks = _ranks()
    try:
        if file.endswith(".whl"):
            name, version, _, tagged = parse_wheel_filename(file)
            best = min((ranks[tag] for tag in tagged if tag in ranks), default=None)
            return None if best is None else (name, str(version), best)
        name, version = parse_sdist_filename(file)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return name, str(version), len(ranks)


def fetch(
    locked: Sequence[Locked], store: Store, *, offline: bool, progress: Callable[[str], None]
) -> dict[Locked, Path]:
    """Bring what the lock names into the store, verified; the file of each package.

    Raises:
        MachineError: a file is not here, and cannot be had.
    """
    missing = _missing(locked, store)
    if missing and offline:
        raise store.lacking([one.requirement for one in missing])
    if missing:
        progress(f"downloading {len(missing)} Python packages")
        usual = [one for one in missing if "+cpu" not in one.version]
        _download(usual, store)
        for one in missing:
            if "+cpu" in one.version:
                try:
                    _download([one], store)
                except MachineError:
                    _download([one], store, "--index-url", TORCH_CPU_INDEX)
    return files(locked, store.folder)


def _missing(locked: Sequence[Locked], store: Store) -> list[Locked]:
    """What is not here with a hash of the lock, after a look into the user's folders."""
    for source in store.sources:
        for folder in (source, source / store.folder.name):
            for one, path in files(locked, folder).items():
                store.take(path.name, one.sha256)
    here = files(locked, store.folder)
    return [one for one in locked if one not in here]


def download_unlocked(requirement: str, folder: Path) -> Path:
    """Download a package whose hash is still to be locked; its file.

    Raises:
        MachineError: pip cannot have it.
    """
    try:
        _pip([requirement], folder)
    except MachineError:
        _pip(["--index-url", TORCH_CPU_INDEX, requirement], folder)
    (found,) = folder.iterdir()
    return found


def _download(locked: Sequence[Locked], store: Store, *options: str) -> None:
    """Download what the lock says, each with one of its hashes."""
    if not locked:
        return
    with store.scratch() as folder:
        listed = folder / "requirements.txt"
        listed.write_text(requirements(locked))
        _pip(["--require-hashes", *options, "--requirement", str(listed)], folder / "files")
        for one, path in files(locked, folder / "files").items():
            store.put(path, one.sha256)


def _pip(arguments: Sequence[str], folder: Path) -> None:
    """Download with pip; without dependencies a source is only fetched, not built."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    command += ["--implementation=cp", f"--python-version={'.'.join(map(str, PYTHON))}"]
    command += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    command += [f"--platform={platform}" for platform in _PLATFORMS]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise MachineError(
            f"pip could not download the images' packages: {(said or ['no reason given'])[-1]}",
            hint="connect to pip's sources once, or name a folder of wheels: --wheels DIR",
        )


def requirements(locked: Iterable[Locked]) -> str:
    """Lines that pip reads, each with its hashes."""
    return "".join(one.entry for one in locked)
