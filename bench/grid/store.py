"""Run folders: what was computed, on disk, in a way that no kill and no full disk spoils.

A stage works in ``<stage>.partial``; its files are hashed and synced, ``record.json`` is
written last, and the folder is renamed to ``<stage>``. So a folder without the suffix is
complete, and one with it is work that the next run continues where its key still holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import itertools
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pydantic

from bench.data import readers
from bench.errors import BenchError, DataError, MachineError
from bench.grid import keys
from bench.records import SCHEMA, Outcome, StageRecord

RECORD = "record.json"
LOG = "log.txt"
#: A folder of this name lives only until its stage is done.
CHECKPOINTS = "checkpoints"
#: What a run was made of: of its last invocation, of each, and the study that it ran.
RUN, PROVENANCES, STUDY = "run.json", "provenance", "study.json"
#: The reports of a run, in its folder.
RESULTS, STATISTICS, CLAIMS = "results.json", "stats.csv", "claims.json"
MARKDOWN, HTML = "report.md", "report.html"
#: What a stage's key is the SHA-256 of, see ``bench.grid.keys``.
MADE_OF = "key.json"
_KEY = "key.txt"
#: Of a record, the SHA-256 of the rest of it.
_SELF = "sha256"
_LOCK = ".lock"
#: So many characters of a name, of four bytes at most, leave room for what is put around them.
_NAME_PART = 60
_LOCK_WAIT_S = 5.0
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_FORBIDDEN |= {errno.ENAMETOOLONG, errno.ELOOP}

_ADAPTER = pydantic.TypeAdapter(StageRecord)


class State(StrEnum):
    """What a stage's folder says about its present key.

    An adopted stage has another key than the present code and configuration give it, and is
    built on as it lies (``bench.grid.adopted``).
    """

    DONE = "done"
    ADOPTED = "adopted"
    STALE = "stale"
    MISSING = "missing"
    FAILED = "failed"


class DiskError(MachineError):
    """The results cannot be written: no stage can go on."""


def disk_error(error: BaseException, path: Path) -> DiskError | None:
    """The line for a full or forbidden disk below ``path``; None for any other error.

    A full disk is recognised by its words, too: libraries that write weights raise
    errors of their own.
    """
    number = error.errno if isinstance(error, OSError) else None
    named = error.filename if isinstance(error, OSError) else None
    where = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
        return DiskError(
            f"no space left on the disk of {where}",
            hint="free some there and give the same command again; what is done is kept",
        )
    near = where.is_relative_to(path) or path.is_relative_to(where)
    if near and number in _FORBIDDEN:
        return DiskError(
            f"cannot write {where}: {os.strerror(number or 0)}",
            hint="make it writable, or name another folder for the results",
        )
    return None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into the one line that a user sees.

    Raises:
        DiskError: instead of the OSError.
    """
    try:
        yield
    except OSError as error:
        told = disk_error(error, path)
        if told is None:
            raise
        raise told from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there: temporary file, sync, rename."""
    # Of a long name the end alone, so that it does not become too long for a file.
    temporary = path.with_name(f".{path.name[-_NAME_PART:]}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:  # never through a link that lies there
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_record(folder: Path) -> StageRecord | None:
    """The record in a stage's folder; None where it is absent, damaged, altered or foreign.

    It carries the SHA-256 of its own content; those of older kits do not.
    """
    try:
        content = readers.read_object(folder / RECORD)
        sha256 = content.pop(_SELF, None)
        if sha256 is not None and sha256 != keys.digest(content):
            return None
        record = _ADAPTER.validate_python(content)
    except (DataError, pydantic.ValidationError):
        return None
    return record if record.schema == SCHEMA else None


def write_record(work: Path, record: StageRecord) -> None:
    """Write a record as it is, for a stage that did not succeed."""
    content = json.loads(_ADAPTER.dump_json(record))
    content[_SELF] = keys.digest(content)
    write_atomic(work / RECORD, json.dumps(content, indent=1, ensure_ascii=False).encode())


def seal(work: Path, record: StageRecord) -> StageRecord:
    """Finish a stage's work folder: hash and sync every file, write the record last.

    Checkpoints are dropped, and everyone may read what stays. Returns the record with its
    ``files``.
    """
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    files = {}
    for path in sorted(work.rglob("*")):
        if path.is_dir():
            _sync_folder(path)
        elif path.name not in (RECORD, MADE_OF, _KEY) or path.parent != work:
            make_readable(path)
            with path.open("rb") as file:
                files[path.relative_to(work).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
                os.fsync(file.fileno())
    record = dataclasses.replace(record, files=files)
    write_record(work, record)
    return record


def make_readable(path: Path) -> None:
    """Let every user read a file: safetensors writes for its owner alone, containers are others."""
    path.chmod(path.stat().st_mode | 0o444)


class Store:
    """The folder of one run. An owner is ``bases/<size>`` or ``cells/<cell>/<model>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Descriptor of the held lock; a stage's process keeps a copy, see ``locked``.
        self.lock_fd: int | None = None

    def path(self, owner: str, stage: str) -> Path:
        """Where a finished stage lies."""
        return self.folder / owner / stage

    def work(self, owner: str, stage: str) -> Path:
        """Where a stage works, and where the log of one that failed lies."""
        return self.folder / owner / f"{stage}.partial"

    def record(self, owner: str, stage: str, key: str | None = None) -> StageRecord | None:
        """The stage's record: that of the last attempt at ``key``, or any without a key."""
        found = (read_record(self.path(owner, stage)), read_record(self.work(owner, stage)))
        return next((r for r in found if r is not None and key in (None, r.key)), None)

    def whole(self, owner: str, stage: str) -> StageRecord | None:
        """The record of a finished stage, whatever its key; None where a file of it is lost."""
        final = self.path(owner, stage)
        record = read_record(final)
        if record is None or record.outcome is not Outcome.OK:
            return None
        return record if all((final / name).is_file() for name in record.files) else None

    def state(self, owner: str, stage: str, key: str) -> State:
        """What is known about a stage with this key. A lost output file is a lost stage."""
        record = read_record(self.path(owner, stage))
        if record is not None and record.outcome is Outcome.OK and record.key == key:
            return State.DONE if self.whole(owner, stage) else State.MISSING
        last = read_record(self.work(owner, stage))
        if last is not None and last.key == key and last.outcome is not Outcome.INTERRUPTED:
            return State.FAILED
        return State.MISSING if record is None else State.STALE

    def made_of(self, owner: str, stage: str) -> bytes | None:
        """What a finished stage's key was made of; None where that was not kept."""
        try:
            return readers.read_bytes(self.path(owner, stage) / MADE_OF)
        except DataError:
            return None

    def prepare(
        self, owner: str, stage: str, key: str, made_of: bytes | None = None
    ) -> tuple[Path, bool]:
        """A work folder for a stage, and whether it holds work of the same key to continue.

        ``made_of``, what the key is the SHA-256 of, stays with the stage.

        Raises:
            DiskError: the folder cannot be written.
        """
        work = self.work(owner, stage)
        with writing(work):
            if _read(work / _KEY) == key:
                (work / RECORD).unlink(missing_ok=True)
                return work, True
            if work.exists():
                shutil.rmtree(work)
            work.mkdir(parents=True)
            if made_of is not None:
                write_atomic(work / MADE_OF, made_of)
            write_atomic(work / _KEY, key.encode())
        return work, False

    def publish(self, owner: str, stage: str) -> None:
        """Put a sealed work folder in the place of the stage's former one.

        Raises:
            DiskError: the folder cannot be written.
        """
        work = self.work(owner, stage)
        with writing(work):
            (work / _KEY).unlink(missing_ok=True)
        self.put(owner, stage, work)

    def put(self, owner: str, stage: str, folder: Path) -> None:
        """Move a finished stage's folder, of the same disk, in the place of the former one.

        Raises:
            DiskError: the folder cannot be written.
        """
        final = self.path(owner, stage)
        replaced = final.with_name(f"{stage}.replaced")
        with writing(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(replaced, ignore_errors=True)
            if final.exists():
                final.rename(replaced)
            folder.rename(final)
            _sync_folder(final.parent)
            shutil.rmtree(replaced, ignore_errors=True)

    def settle(self) -> None:
        """Publish what was sealed when its runner died, and clear what that left behind."""
        for pattern in ("bases/*", "cells/*/*"):
            for work in self.folder.glob(f"{pattern}/*.partial"):
                record = read_record(work)
                if record is not None and record.outcome is Outcome.OK:
                    owner = work.parent.relative_to(self.folder).as_posix()
                    self.publish(owner, work.name.removesuffix(".partial"))
            for replaced in self.folder.glob(f"{pattern}/*.replaced"):
                shutil.rmtree(replaced, ignore_errors=True)

    def reported(self) -> bool:
        """Whether the reports are there and no stage has come or gone since.

        Folders tell it: one that gains or loses an entry is newer than the reports.
        """
        try:
            made_ns = min(
                (self.folder / name).stat().st_mtime_ns
                for name in (RESULTS, STATISTICS, CLAIMS, MARKDOWN, HTML)
            )
            tops = (self.folder.glob(f"{top}/**/") for top in ("bases", "cells"))
            return all(path.stat().st_mtime_ns <= made_ns for path in itertools.chain(*tops))
        except OSError:
            return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run folder for one runner; make it, and settle what it holds.

        The lock is the kernel's and falls with its last holder. Each stage's process
        holds it, too, so that a new runner cannot start before the last one's are gone.

        Raises:
            BenchError: another runner holds it.
            DiskError: the folder cannot be written.
        """
        path = self.folder / _LOCK
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._acquire(descriptor)
            with writing(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                self.settle()
            self.lock_fd = descriptor
            yield
        finally:
            self.lock_fd = None
            os.close(descriptor)

    def _acquire(self, descriptor: int) -> None:
        """Take the lock; wait a little for the stages of a runner that has just died."""
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace")
                if time.monotonic() > deadline or Path(f"/proc/{holder}").exists():
                    raise BenchError(
                        f"{self.folder} is in use by process {holder}",
                        hint="wait until it ends, or stop it with kill",
                    ) from None
                time.sleep(0.05)
            else:
                return


def _read(path: Path) -> str | None:
    try:
        return readers.read_text(path)
    except DataError:
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
