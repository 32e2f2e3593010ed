"""What a study reads from elsewhere: files of git repositories, and hub repositories.

Each has an owner, a licence and somebody to cite; ``missing`` says what of it is not here.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from bench.data import codetotext, corpora, digests, hub, readers, sources
from bench.data.fetching import derive
from bench.data.hub import Repository
from bench.data.hub import lock as hublock
from bench.data.prompts import published as publishedprompts
from bench.data.prompts import scripts as packagescripts
from bench.data.sources import Source, manifest
from bench.errors import DataError, unknown
from bench.grid.study import HubBase, Study
from bench.records import TRANSLATION

CITATIONS = sources.ROOT / "datasets" / "citations.tsv"
#: The one derived file that stands for its sources: the wording is read from the scripts.
SCRIPTED = publishedprompts.FILE


@dataclasses.dataclass(frozen=True, slots=True)
class Needs:
    """Paths of the manifest, and repositories of the hub."""

    paths: tuple[str, ...]
    repositories: tuple[Repository, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """Something that a study reads and that is not here.

    ``bytes`` is what has to be downloaded, an estimate until the hub was asked once; None
    where nobody knows. ``how`` is the next command.
    """

    what: str
    bytes: int | None
    how: str


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where some data come from, for a list of licences and citations."""

    name: str
    kind: str
    revision: str
    licence: str
    cite: str
    files: int | None
    bytes: int | None
    lacking: int | None


def of_study(study: Study, sizes: Collection[str] | None = None) -> Needs:
    """Everything that a study reads from elsewhere; of its bases only some sizes', if given."""
    paths = derive.listed(sorted(digests.of_study(study, None).keys() & manifest().keys()))
    found: list[Repository] = []
    if study.data.corpus == corpora.FULL and set(study.tasks) != {TRANSLATION}:
        found.append(codetotext.repository())
    found += [
        hub.model(base.repository, base.revision)
        for base in study.sizes
        if isinstance(base, HubBase) and not Path(base.repository).is_dir()
        if sizes is None or base.name in sizes
    ]
    wanted = set(study.scoring.metrics)
    found += [one for one in hub.repositories().values() if wanted & set(one.metrics)]
    return Needs(tuple(paths), tuple(dict.fromkeys(found)))


def everything() -> Needs:
    """All that the kit's manifests list, whichever study reads it."""
    return Needs(tuple(derive.listed(manifest())), tuple(hub.repositories().values()))


def only(needs: Needs, patterns: Sequence[str]) -> Needs:
    """The part of some needs whose path or repository matches one of the patterns.

    Raises:
        BenchError: a pattern that matches none of them.
    """
    if not patterns:
        return needs
    names = [*needs.paths, *(one.name for one in needs.repositories)]
    for pattern in patterns:
        if not any(_fits(name, [pattern]) for name in names):
            raise unknown("data (for --only)", pattern, names)
    return Needs(
        tuple(derive.listed(path for path in needs.paths if _fits(path, patterns))),
        tuple(one for one in needs.repositories if _fits(one.name, patterns)),
    )


def _fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, a folder above it, or its repository's own name matches a pattern."""
    origin = manifest()[name].repository if name in manifest() else name
    return any(
        fnmatch.fnmatch(one, pattern)
        for pattern in patterns
        for one in (name, origin, origin.rpartition("/")[2])
    )


def is_here(path: str, mirror: Path | None) -> bool:
    """Whether a file of the manifest is there as listed (the scripts stand for their texts)."""
    try:
        sources.locate(path, mirror)
    except DataError:
        return path == SCRIPTED and scripts_are_here(mirror)
    return True


def scripts_are_here(mirror: Path | None) -> bool:
    """Whether all scripts of the package that hold its wording are there as listed."""
    folder = (mirror or sources.data_folder()) / Path(SCRIPTED).parent
    return all(
        (folder / name).is_file() and sources.sha256_of(folder / name) == sha256
        for name, sha256 in packagescripts.listed().items()
    )


def missing(
    study: Study, mirror: Path | None, sizes: Collection[str] | None = None
) -> list[Missing]:
    """What a study reads and what neither the mirror nor the fetched folder holds.

    Of its bases only some sizes', if given. Nothing is downloaded and no server is asked. Files
    are told per repository.
    """
    needs = absent(of_study(study, sizes), mirror)
    part = [base.name for base in study.sizes if sizes is not None and base.name in sizes]
    patterns = part if len(part) < len(study.sizes) else []
    options = [f"--with {option}" for option in study.with_]
    options += [f"--cells '*-{size}'" for size in patterns]
    how = " ".join((f"nox -s fetch -- --study {study.name}", *options))
    by_repository: dict[str, list[Source]] = {}
    for path in needs.paths:
        by_repository.setdefault(manifest()[path].repository, []).append(manifest()[path])
    found = [
        Missing(
            f"{name}: {len(files)} file{'s' if len(files) > 1 else ''}",
            sum(file.bytes for file in files),
            how,
        )
        for name, files in by_repository.items()
    ]
    for one in needs.repositories:
        found.append(
            Missing(f"{one.name} ({one.kind} of the hub)", _lacking_bytes(one, mirror), how)
        )
    return found


def absent(needs: Needs, mirror: Path | None) -> Needs:
    """The part of some needs that neither the mirror nor the fetched folder holds."""
    return Needs(
        tuple(path for path in needs.paths if not is_here(path, mirror)),
        tuple(one for one in needs.repositories if hub.find(one, mirror) is None),
    )


def size(needs: Needs, mirror: Path | None) -> int | None:
    """The bytes of what is absent; None where of a part of it nobody knows them."""
    repositories = [_lacking_bytes(one, mirror) for one in needs.repositories]
    if None in repositories:
        return None
    files = sum(manifest()[path].bytes for path in needs.paths)
    return files + sum(count or 0 for count in repositories)


def _lacking_bytes(repository: Repository, mirror: Path | None) -> int | None:
    lacking = hub.lacking(repository, mirror)
    return repository.bytes if lacking is None else sum(file.bytes for file in lacking.values())


@functools.cache
def citations(path: Path = CITATIONS) -> Mapping[str, str]:
    """Whom to cite, by repository.

    Raises:
        DataError: the file is not what it should be.
    """

    def make(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
        return {row["repository"]: row["cite"] for row in rows}

    return readers.parsed(
        path, make, readers.read_rows(path, ("repository", "cite"), delimiter="\t")
    )


def origins(needs: Needs, mirror: Path | None) -> list[Origin]:
    """Some needs by repository, with licence, citation, size and how much is not here."""
    groups: dict[str, list[str]] = {}
    for path in needs.paths:
        groups.setdefault(manifest()[path].repository, []).append(path)
    found = []
    for name, paths in groups.items():
        files = [manifest()[path] for path in paths]
        licences = ", ".join(dict.fromkeys(file.licence for file in files))
        size, lacking = sum(file.bytes for file in files), 0
        lacking = sum(not is_here(path, mirror) for path in paths)
        cite = citations().get(name, "")
        commit = files[0].commit
        found.append(Origin(name, "git", commit, licences, cite, len(files), size, lacking))
    for one in needs.repositories:
        locked = hublock.load(mirror).get(one.key)
        revision = locked.revision if locked else one.revision or "a commit that is not locked yet"
        absent = hub.lacking(one, mirror)
        here = hub.find(one, mirror) is not None
        found.append(
            Origin(
                one.name,
                f"hub {one.kind}",
                revision,
                one.licence,
                citations().get(one.name, ""),
                len(locked.files) if locked else None,
                locked.bytes if locked else one.bytes,
                0 if here else None if absent is None else len(absent),
            )
        )
    return found
