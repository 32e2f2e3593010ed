"""What an image is, whichever engine and storage driver hold it: its files and its settings.

An engine's own digest of an image covers how it was packed: layers, times, the engine's labels.
Two engines never agree on it, and a stage would be stale for the engine alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.containers.engine import Engine, cause
from bench.data import readers
from bench.data.sources import cache_folder
from bench.errors import DataError, MachineError
from bench.grid.keys import digest
from bench.grid.store import write_atomic

#: What engines put into a container: mount points, and files that name the machine.
_ENGINES_OWN = re.compile(
    r"(dev|proc|sys)(/.*)?|build|run/\.containerenv|run/secrets|\.dockerenv"
    r"|etc/(hosts|hostname|resolv\.conf|mtab)"
)
_CAPABILITIES = "SCHILY.xattr.security.capability"
_PART_BYTES = 2**20
_HINT = "nox -s doctor checks the engine"


def of(engine: Engine, reference: str, known: Path | None = None) -> tuple[str, int] | None:
    """SHA-256 of an image's file tree and settings, and its size in bytes; None if it is not here.

    Covers each file's path, kind, mode, owner and content, and the environment, command,
    folder and user that the image sets. Leaves out times, layers and labels.

    Args:
        engine: the engine that holds the image.
        reference: its name, tag or id.
        known: a folder that keeps identities by the engine's own digest, as hashing all files
            takes seconds; the kit's cache by default. One that cannot be written keeps none.

    Raises:
        MachineError: the engine cannot hand the files out.
    """
    told = engine.call("image", "inspect", reference, check=False)
    if told.returncode != 0:
        return None
    described = readers.parse_json(told.stdout, f"{engine.name} image inspect {reference}")[0]
    known = known or cache_folder().resolve() / "images" / "identities"
    kept = known / str(described["Id"]).removeprefix("sha256:")
    try:
        text = readers.read_text(kept).strip()
    except DataError:
        text = ""
    if not re.fullmatch("[0-9a-f]{64}", text):
        text = digest([settings(described["Config"]), _files(engine, reference)])
        with contextlib.suppress(OSError):
            known.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, f"{text}\n".encode())
    return text, int(described["Size"])


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an image sets for its processes, as every engine tells it."""
    return {
        "environment": sorted(config.get("Env") or ()),
        "entrypoint": list(config.get("Entrypoint") or ()),
        "command": list(config.get("Cmd") or ()),
        "folder": config.get("WorkingDir") or "/",
        "user": config.get("User") or "",
    }


def _files(engine: Engine, reference: str) -> str:
    """SHA-256 of an image's file tree, from a container of it that never starts."""
    name = engine.call("create", "--network=none", reference).stdout.split()[-1]
    try:
        with subprocess.Popen(
            [engine.program, *engine.options, "export", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as export:
            assert export.stdout is not None
            assert export.stderr is not None
            try:
                found = digest(dict(sorted(entries(export.stdout))))
            except tarfile.TarError as error:
                said = cause(export.stderr.read().decode(errors="replace")) or str(error)
                raise MachineError(
                    f"{engine.name} export of {reference}: {said}", hint=_HINT
                ) from None
        if export.returncode:
            raise MachineError(f"{engine.name} export of {reference} failed", hint=_HINT)
        return found
    finally:
        engine.remove(name)


def entries(archive: IO[bytes]) -> Iterator[tuple[str, list[Any]]]:
    """Each path of a file tree with what decides it, from a tar stream.

    A hard link counts as the file that it is, so that the order of an archive is no matter.

    Raises:
        tarfile.TarError: no tar stream.
    """
    contents: dict[str, str] = {}
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            path = str(PurePosixPath(member.name))
            if member.isreg():
                data = tar.extractfile(member)
                assert data is not None
                contents[path] = _sha256(data)
            if _ENGINES_OWN.fullmatch(path):
                continue
            hard = str(PurePosixPath(member.linkname)) if member.islnk() else None
            kind = tarfile.REGTYPE if hard or member.isreg() else member.type
            decides = [
                kind.decode("latin-1"),
                member.mode & 0o7777,
                member.uid,
                member.gid,
                contents.get(hard or path, ""),
                member.linkname if member.issym() else "",
                member.pax_headers.get(_CAPABILITIES, ""),
            ]
            yield path, decides


def _sha256(data: IO[bytes]) -> str:
    found = hashlib.sha256()
    while part := data.read(_PART_BYTES):
        found.update(part)
    return found.hexdigest()
