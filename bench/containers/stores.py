"""A folder of verified files that images are built from, filled from other folders first."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bench.errors import MachineError


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """A folder, and the folders of the user to copy from before anything is downloaded."""

    folder: Path
    sources: tuple[Path, ...] = ()

    def take(self, name: str, sha256: Collection[str]) -> bool:
        """Whether the file is here with one of these hashes, or could be copied from a source.

        A file of the name with other content is passed over, here and in a source.
        """
        target = self.folder / name
        if target.is_file() and digest_of(target) in sha256:
            return True
        for source in self.sources:
            for found in (source / name, source / self.folder.name / name):
                if found.is_file() and digest_of(found) in sha256:
                    self._place(found, target)
                    return True
        return False

    def put(self, path: Path, sha256: Collection[str]) -> None:
        """Move a downloaded file in, if it is what was asked for.

        Raises:
            MachineError: it is not there, or has other content than locked.
        """
        if not path.is_file():
            raise MachineError(
                f"{path.name}: the client did not download it", hint="try again, or nox -s lock"
            )
        found = digest_of(path)
        if found not in sha256:
            raise MachineError(
                f"{path.name}: SHA-256 {found[:12]}… differs from the lock",
                hint="the file was changed or cut on its way; try again, or report it",
            )
        path.chmod(0o644)
        path.replace(self.folder / path.name)

    def lacking(self, names: Sequence[str]) -> MachineError:
        """What to tell where files are missing and may not be downloaded."""
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return MachineError(
            f"{', '.join(names[:3])}{more}: not in {self.folder}, and --offline forbids downloads",
            hint="nox -s fetch -- images, once, with a connection; or name a folder that has"
            " them: --wheels DIR",
        )

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's disk to download into; it is gone afterwards.

        Raises:
            MachineError: the disk is full or cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".work-") as work:
                yield Path(work)
        except OSError as error:
            raise MachineError(
                f"cannot write {self.folder}: {error.strerror}",
                hint="free some space, or set BENCH_CACHE to a writable folder",
            ) from None

    def _place(self, found: Path, target: Path) -> None:
        """Copy a file, so that it is never seen half written."""
        with self.scratch() as work:
            copy = work / target.name
            shutil.copyfile(found, copy)
            copy.replace(target)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link(source: Path, target: Path) -> None:
    """The same file at a second place: linked where the disk allows it, else copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
