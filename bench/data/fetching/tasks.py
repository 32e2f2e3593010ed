"""What has to be downloaded for a file of the manifest or for a hub repository."""

from __future__ import annotations

import dataclasses
import os
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from bench.data import hub as hubs
from bench.data import sources
from bench.data.fetching import derive, needs
from bench.data.fetching.download import Remote
from bench.data.hub import Repository
from bench.data.hub.listing import Listing
from bench.data.prompts import scripts as packagescripts
from bench.data.sources import Source

#: Sources of derived files, until these are made.
UPSTREAM = ".upstream"


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One download. ``listed`` is its path in the manifest where it is a file of that."""

    what: str
    remote: Remote
    target: Path
    listed: str | None = None

    @property
    def host(self) -> str:
        """The server that is asked: given up as a whole where it cannot be reached."""
        parts = urllib.parse.urlsplit(self.remote.url)
        return f"{parts.scheme}://{parts.netloc}"


def git(source: Source, data: Path) -> Iterator[Task]:
    """The downloads of a file of the manifest: itself, or what it is made from."""
    if source.form == "same":
        remote = _git_remote(source, source.source, source.bytes, source.sha256)
        yield Task(source.path, remote, data / source.path, source.path)
    elif source.path == needs.SCRIPTED:
        folder = (data / source.path).parent
        for name, sha256 in packagescripts.listed().items():
            target = folder / name
            if not target.is_file() or sources.sha256_of(target) != sha256:
                yield _task(_git_remote(source, name, None, sha256), target, data)
    else:
        names = derive.upstream(source.path, source.source)
        for name, target in zip(names, upstream(source, data), strict=True):
            if not target.is_file():
                what = f"{source.repository}: {name}"
                yield Task(what, _git_remote(source, name, None, None), target)


def upstream(source: Source, data: Path) -> list[Path]:
    """Where the sources of a derived file lie until it is made."""
    folder = data / UPSTREAM / source.repository / source.commit
    return [folder / name for name in derive.upstream(source.path, source.source)]


def tidy(data: Path) -> None:
    """Remove the folder of derived files' sources, unless something is kept in it."""
    folder = data / UPSTREAM
    if not any(path.is_file() for path in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def hub(repository: Repository, listing: Listing, data: Path) -> Iterator[Task]:
    """The downloads of a repository: its wanted files that are not there yet."""
    folder = hubs.place(repository, listing.revision, data)
    for path, remote in listing.files.items():
        target = folder / path
        if not target.is_file() or target.stat().st_size != remote.bytes:
            yield _task(remote, target, data)


def _task(remote: Remote, target: Path, data: Path) -> Task:
    return Task(str(target.relative_to(data)), remote, target)


def git_host() -> str:
    """Where git repositories' files are served by commit: ``BENCH_GIT_URL`` names another."""
    named = os.environ.get("BENCH_GIT_URL")
    return (named or "https://raw.githubusercontent.com").rstrip("/")


def _git_remote(source: Source, name: str, size: int | None, sha256: str | None) -> Remote:
    place = urllib.parse.quote(f"{source.repository}/{source.commit}/{name}")
    return Remote(f"{git_host()}/{place}", size, sha256)
