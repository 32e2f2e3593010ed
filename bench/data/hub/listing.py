"""What a hub repository holds at a revision: asked once, then locked.

One request lists a revision's files with their sizes and digests: SHA-256 for large files,
git's own name of the content for small ones.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data import hub, readers, sources
from bench.data.fetching.download import Patience, Remote, download
from bench.data.hub import Repository
from bench.data.hub import lock as hublock
from bench.data.hub import tables as hubtables
from bench.data.hub.lock import Locked, LockedFile
from bench.errors import DataError

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The wanted files of a repository at a commit, by path."""

    revision: str
    files: Mapping[str, Remote]

    @property
    def bytes(self) -> int:
        """What all of them take."""
        return sum(file.bytes or 0 for file in self.files.values())


def of_locked(repository: Repository, locked: Locked) -> Listing:
    """The files of a locked repository: nothing has to be asked."""
    return Listing(
        locked.revision,
        {
            path: Remote(
                _address(repository, locked.revision, path),
                file.bytes,
                file.sha256,
                headers=_authorization(),
            )
            for path, file in locked.files.items()
        },
    )


def ask(repository: Repository, patience: Patience | None = None) -> Listing:
    """The files of a repository at its pinned revision, or at its newest one.

    Raises:
        DataError: no such repository or revision, or nothing of what is wanted in it.
        MachineError: the hub cannot be reached.
    """
    url = f"{hub.endpoint()}/api/{repository.kind}s/{repository.name}"
    if repository.revision:
        url += f"/revision/{repository.revision}"
    with tempfile.TemporaryDirectory() as work:
        answer = Path(work) / "answer.json"
        download(Remote(f"{url}?blobs=true", headers=_authorization()), answer, None, patience)
        try:
            content = readers.read_json(answer)
            revision = str(content["sha"])
            files = {
                str(one["rfilename"]): _remote(repository, revision, one)
                for one in content["siblings"]
                if hub.wanted(repository, str(one["rfilename"]))
            }
        except (DataError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{url}: not an answer of a model hub ({type(error).__name__}: {error})",
                hint="check HF_ENDPOINT",
            ) from None
    if not _COMMIT.fullmatch(revision) or repository.revision not in (None, revision):
        raise DataError(
            f"{repository.name}: the hub answers with revision {revision[:40]!r}, asked for was "
            f"{repository.revision or 'the newest'}",
            hint="check HF_ENDPOINT",
        )
    if not files:
        raise DataError(
            f"{repository.name} at {revision[:12]}: none of {', '.join(repository.files)} in it",
            hint="its layout has changed: pin a revision that has them in datasets/hub.toml",
        )
    return Listing(revision, files)


def settle(repository: Repository, listing: Listing, data: Path) -> Locked:
    """Lock a repository whose wanted files have all arrived.

    Raises:
        DataError: a file that did not arrive, or a split that has not the study's rows.
    """
    folder = hub.place(repository, listing.revision, data)
    lacking = [path for path in listing.files if not (folder / path).is_file()]
    if lacking:
        raise DataError(
            f"{repository.name}: {len(lacking)} of {len(listing.files)} files did not arrive, "
            f"the first is {lacking[0]}",
            hint="fetch again: what has arrived is kept",
        )
    files = {}
    for path, remote in listing.files.items():
        sha256 = remote.sha256 or sources.sha256_of(folder / path)
        files[path] = LockedFile((folder / path).stat().st_size, sha256)
        hub.verify(folder / path, files[path])
    hubtables.check_rows(repository, folder)
    locked = Locked(listing.revision, files)
    hublock.save({repository.key: locked}, data)
    return locked


def _remote(repository: Repository, revision: str, entry: Mapping[str, Any]) -> Remote:
    path = str(entry["rfilename"])
    large = entry.get("lfs")
    address = _address(repository, revision, path)
    if large:
        return Remote(address, int(large["size"]), str(large["sha256"]), headers=_authorization())
    return Remote(address, int(entry["size"]), blob=str(entry["blobId"]), headers=_authorization())


def _address(repository: Repository, revision: str, path: str) -> str:
    kind = "datasets/" if repository.kind == "dataset" else ""
    quoted = urllib.parse.quote(path)
    return f"{hub.endpoint()}/{kind}{repository.name}/resolve/{revision}/{quoted}"


def _authorization() -> dict[str, str]:
    """The user's own hub token, where there is one: some models ask for it."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        return {}
    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
