"""Hub repositories that studies read: ``datasets/hub.toml``, locked file by file.

A fetched repository lies in ``hub/<name>/<revision>/`` of a mirror or of the fetched folder,
so that one folder holds all data and can be carried to a machine without a network. What a
revision holds is locked at the first fetch (``datasets/hub.lock.json``, and a copy beside the
data): later fetches ask for that revision and refuse any other content. Models that the hub's
own cache holds already at the pinned revision are used from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bench.data import readers, sources
from bench.data.hub import lock as hublock
from bench.data.hub.lock import Locked as Locked
from bench.data.hub.lock import LockedFile as LockedFile
from bench.errors import DataError, MachineError

MANIFEST = sources.ROOT / "datasets" / "hub.toml"
FOLDER = "hub"

#: What a model needs: weights in safetensors, configuration, tokenizer.
WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja")
#: Formats that run code when they are loaded: never fetched, whatever a pattern says.
PICKLES = frozenset(
    {".bin", ".ckpt", ".dill", ".h5", ".joblib", ".msgpack", ".npy", ".npz", ".pickle"}
    | {".pkl", ".pt", ".pth"}
)
#: The part of ``Repository.rows`` is a number of rows by split.
Rows = Mapping[str, Mapping[str, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """A model or a data set. ``rows``: its rows by configuration and split, asserted.

    ``revision`` None: resolved once and locked. ``bytes`` estimates what ``files`` take;
    ``metrics`` are the further metrics (``[scoring] metrics``) that need it; ``shape`` is a
    model's, for estimates (``bench.data.architectures``).
    """

    name: str
    kind: Literal["model", "dataset"] = "model"
    revision: str | None = None
    licence: str = "see its page"
    files: tuple[str, ...] = WANTED
    bytes: int | None = None
    metrics: tuple[str, ...] = ()
    rows: Rows = dataclasses.field(default_factory=dict, hash=False)
    shape: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """What the lock calls it: a study may pin another revision than this kit does."""
        return f"{self.name}@{self.revision}" if self.revision else self.name


@functools.cache
def repositories(path: Path = MANIFEST) -> Mapping[str, Repository]:
    """The kit's own hub repositories by name.

    Raises:
        DataError: the manifest is not what it should be.
    """

    def make(tables: Mapping[str, Any]) -> dict[str, Repository]:
        kinds: Mapping[Literal["model", "dataset"], str] = {
            "model": "models",
            "dataset": "datasets",
        }
        found = [
            Repository(**{**table, "kind": kind, **_tuples(table)})
            for kind, name in kinds.items()
            for table in tables[name]
        ]
        return {repository.name: repository for repository in found}

    return readers.parsed(path, make, readers.read_toml(path))


def _tuples(table: Mapping[str, object]) -> dict[str, object]:
    return {name: tuple(value) for name, value in table.items() if isinstance(value, list)}


def model(name: str, revision: str) -> Repository:
    """A model at a revision, whether the kit knows it or only a study does."""
    known = repositories().get(name, Repository(name))
    if known.revision == revision:
        return known
    return dataclasses.replace(known, revision=revision, bytes=None)


def _root(mirror: Path | None) -> Path:
    return mirror or sources.data_folder()


def place(repository: Repository, revision: str, data: Path) -> Path:
    """Where a repository at a revision lies below a data folder."""
    return data / FOLDER / repository.name / revision


def digests(repository: Repository, prefix: str, mirror: Path | None) -> dict[str, str]:
    """SHA-256 of the locked files whose path begins with ``prefix``, for keys."""
    locked = hublock.load(mirror).get(repository.key)
    if locked is None:
        return {f"{FOLDER}/{repository.name}/{prefix}*": "not locked yet"}
    return {
        f"{FOLDER}/{repository.name}/{path}": file.sha256
        for path, file in locked.files.items()
        if path.startswith(prefix)
    }


def lacking(repository: Repository, mirror: Path | None) -> dict[str, LockedFile] | None:
    """The locked files that a data folder lacks or holds with another size.

    None where nothing is locked yet, so that not even their names are known.
    """
    locked = hublock.load(mirror).get(repository.key)
    if locked is None:
        return None
    folder = place(repository, locked.revision, _root(mirror))
    return {path: file for path, file in locked.files.items() if _size(folder / path) != file.bytes}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def find(repository: Repository, mirror: Path | None) -> Path | None:
    """The folder of a repository that is whole, by names and sizes; None where none is."""
    if lacking(repository, mirror) == {}:
        return place(repository, hublock.load(mirror)[repository.key].revision, _root(mirror))
    if repository.kind == "model" and repository.revision:
        return _cached(repository, hublock.load(mirror).get(repository.key))
    return None


def folder(repository: Repository, mirror: Path | None) -> Path:
    """The verified folder of a repository. Nothing is downloaded here.

    Raises:
        MachineError: it is not here.
        DataError: a file of it is not the one that was locked.
    """
    found = find(repository, mirror)
    if found is None:
        at = f" at {repository.revision[:12]}" if repository.revision else ""
        raise MachineError(
            f"{repository.name}{at} is not on this machine (looked in {_root(mirror) / FOLDER}"
            f"{' and in the hub cache' if repository.kind == 'model' else ''})",
            hint=f"{sources.FETCH}; or name the folder that holds it: --mirror DIR",
        )
    locked = hublock.load(mirror).get(repository.key)
    for path, file in locked.files.items() if locked else ():
        verify(found / path, file)
    return found


def verify(path: Path, locked: LockedFile) -> None:
    """Hash a file once, then know it by size and time.

    Raises:
        DataError: it is not the locked one.
    """
    if sources.is_verified(path, locked.sha256):
        return
    found = sources.sha256_of(path)
    if found != locked.sha256:
        raise DataError(
            f"{path}: changed: its SHA-256 is {found[:12]}…, locked is {locked.sha256[:12]}…",
            hint=f"remove it, then {sources.FETCH}",
        )
    sources.remember(path, locked.sha256)


def _cached(repository: Repository, locked: Locked | None) -> Path | None:
    """The hub cache's folder of a pinned model, where it is whole."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    if repository.name.startswith("/"):  # a folder of a machine, and not of this one
        return None
    found = try_to_load_from_cache(repository.name, "config.json", revision=repository.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    if locked is not None:
        whole = all(_size(folder / path) == file.bytes for path, file in locked.files.items())
        return folder if whole else None
    return folder if all(path.is_file() for path in _parts(folder)) else None


def _parts(folder: Path) -> Iterator[Path]:
    """The weights of a model: one file, or the shards that its index names."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        yield folder / "model.safetensors"
        return
    with contextlib.suppress(DataError, KeyError, AttributeError, TypeError):
        for name in set(readers.read_object(index)["weight_map"].values()):
            yield folder / name
        return
    yield folder / "a readable index"


def wanted(repository: Repository, path: str) -> bool:
    """Whether a file of a repository is fetched.

    Raises:
        DataError: a name that leaves the repository's folder.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(f"{repository.name}: a file named {path!r}", hint="do not use it")
    if pure.suffix.lower() in PICKLES:
        return False
    return any(_matches(path, pattern) for pattern in repository.files)


def _matches(path: str, pattern: str) -> bool:
    """Shell patterns in which ``*`` stays within a folder."""
    expression = "".join("[^/]*" if one == "*" else re.escape(one) for one in pattern)
    return re.fullmatch(expression, path) is not None


def endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT`` names another one."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
