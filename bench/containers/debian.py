"""Debian packages by lock: resolved and fetched by apt, verified.

A lock has one package a line: name, version, architecture, SHA-256, size in bytes and the
path below an archive's root. It names no server: packages come from a local folder, from
the mirrors of ``BENCH_DEBIAN`` (for machines without apt or of another release), or through
the machine's own apt sources. Whatever the way, only what the lock says is used.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.containers.stores import Store
from bench.data.fetching import download
from bench.errors import BenchError, DataError, MachineError

#: Mirrors to take packages from, separated by blanks: each the root of an archive, below
#: which ``pool/`` lies. Old versions are gone from most; a snapshot archive keeps them.
VARIABLE = "BENCH_DEBIAN"
#: What every base holds, beside the packages that Debian marks as essential.
BASE = ("usr-is-merged", "python3", "python3-venv", "ca-certificates", "libgomp1", "libstdc++6")
#: What scoring needs on top: compilers and analysers for Java, the sandbox, WordNet.
SCORE = ("openjdk-17-jdk-headless", "checkstyle", "wordnet-base", "bubblewrap", "util-linux")
#: ``apt`` calls itself essential; an image that is never changed needs none.
_ESSENTIAL = "?essential ?not(?name(^apt$))"


@dataclasses.dataclass(frozen=True, slots=True)
class Deb:
    """A Debian package of one version. ``pool`` is its path below an archive's root."""

    name: str
    version: str
    architecture: str
    sha256: str
    bytes: int
    pool: str

    @property
    def file(self) -> str:
        """The file name that apt gives it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def line(self) -> str:
        """As it stands in a lock."""
        return " ".join(str(field) for field in dataclasses.astuple(self))


def read(lock: Path) -> tuple[Deb, ...]:
    """The packages of a lock.

    Raises:
        DataError: the file is missing or a line is not what it should be.
    """
    found = []
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line and not line.startswith("#"):
                name, version, architecture, sha256, size, pool = line.split()
                found.append(Deb(name, version, architecture, sha256, int(size), pool))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{lock}: {error}", hint="check the file out again, or nox -s lock"
        ) from None
    return tuple(found)


def text(debs: Iterable[Deb]) -> str:
    """A lock's text."""
    return "".join(f"{deb.line}\n" for deb in sorted(debs, key=lambda deb: deb.name))


def resolve(names: Sequence[str]) -> tuple[Deb, ...]:
    """What apt would install of some packages on an empty machine, essential ones with it.

    Needs no rights, and lists no older than ``apt-get update``.

    Raises:
        MachineError: there is no apt, or its lists lack a package.
    """
    with tempfile.NamedTemporaryFile() as nothing:
        options = [
            *("-o", f"Dir::State::status={nothing.name}", "-o", "Debug::NoLocking=1"),
            *("-o", "APT::Install-Recommends=false", "-o", "APT::Architecture=amd64"),
        ]
        plan = _apt("apt-get", "-qq", *options, "--simulate", "install", _ESSENTIAL, *names)
        wanted = re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE)
        told = _apt("apt-cache", *options, "show", *(f"{name}={ver}" for name, ver in wanted))
    found: dict[tuple[str, str], Deb] = {}
    for paragraph in told.strip().split("\n\n"):
        field = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        deb = Deb(
            field["Package"],
            field["Version"],
            field["Architecture"],
            field["SHA256"],
            int(field["Size"]),
            field["Filename"],
        )
        found.setdefault((deb.name, deb.version), deb)
    return tuple(found[one] for one in wanted)


def fetch(
    debs: Sequence[Deb], store: Store, *, offline: bool, progress: Callable[[str], None]
) -> None:
    """Bring packages into the store, verified.

    Raises:
        MachineError: one is not here, and cannot be had.
    """
    missing = [deb for deb in debs if not store.take(deb.file, {deb.sha256})]
    if not missing:
        return
    if offline:
        raise store.lacking([deb.file for deb in missing])
    progress(f"downloading {len(missing)} Debian packages")
    mirrors = os.environ.get(VARIABLE, "").split()
    for deb in missing if mirrors else ():
        _from_mirrors(deb, mirrors, store)
    if not mirrors:
        _from_apt(missing, store)


def _from_mirrors(deb: Deb, mirrors: Sequence[str], store: Store) -> None:
    failures = []
    for mirror in mirrors:
        remote = download.Remote(f"{mirror.rstrip('/')}/{deb.pool}", deb.bytes, deb.sha256)
        try:
            download.download(remote, store.folder / deb.file)
        except BenchError as error:
            failures.append(error.problem)
        else:
            return
    raise MachineError(
        f"{deb.name} {deb.version} cannot be had: {failures[-1]}",
        hint=f"{VARIABLE} names mirrors that keep this version; or nox -s lock for a newer one",
    )


def _from_apt(debs: Sequence[Deb], store: Store) -> None:
    with store.scratch() as work:
        wanted = [f"{deb.name}:{_arch(deb)}={deb.version}" for deb in debs]
        _apt("apt-get", "-qq", *_as_caller(), "download", *wanted, folder=work)
        for deb in debs:
            store.put(work / deb.file, {deb.sha256})


def _arch(deb: Deb) -> str:
    return "amd64" if deb.architecture == "all" else deb.architecture


def _as_caller() -> list[str]:
    """Root's apt would download as a user that cannot write where root can."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def _apt(program: str, *arguments: str, folder: Path | None = None) -> str:
    other = f"or name a Debian mirror in {VARIABLE}"
    if shutil.which(program) is None:
        raise MachineError(f"no {program} on this machine", hint=f"use a Debian machine, {other}")
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise MachineError(
            f"{program}: {(said or ['it failed'])[0].removeprefix('E: ')}",
            hint=f"apt-get update and try again, nox -s lock for what apt has now, {other}",
        )
    return done.stdout
