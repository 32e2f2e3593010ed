"""Bringing what a study reads: planned, downloaded, verified, made, and locked.

Everything lands in one data folder with the layout of a mirror. A file takes its name only
when it is the listed one, so a run that was killed or refused goes on where it stopped. What
cannot be had is told at its place and the rest goes on; a full disk ends it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from bench.data import hub, sources
from bench.data.fetching import derive, needs
from bench.data.fetching import tasks as fetchtasks
from bench.data.fetching.download import Patience, UnreachableError, download, part_of, write_whole
from bench.data.fetching.needs import Missing, Needs, missing
from bench.data.fetching.tasks import Task
from bench.data.hub import Repository
from bench.data.hub import listing as hublisting
from bench.data.hub import lock as hublock
from bench.data.hub.listing import Listing
from bench.data.sources import Source, manifest
from bench.errors import BenchError, DataError, MachineError

__all__ = ["Event", "Missing", "Needs", "Summary", "fetch", "missing"]

#: Files that are downloaded at once; most are small and wait for the server.
AT_ONCE = 4
#: What stays free on the disk beyond the download.
RESERVE_BYTES = 256 * 1024**2
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something to show. Byte counts are of the one thing; ``total`` None is not known.

    ``planned`` comes once, before anything is downloaded: ``done`` things are here already,
    ``files`` are to come, of ``total`` bytes, and ``note`` says what that number leaves out.
    """

    kind: Literal["planned", "started", "progress", "done", "failed"]
    what: str
    done: int = 0
    total: int | None = None
    files: int = 0
    note: str = ""


OnEvent = Callable[[Event], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """How a fetch ended: what was here before, what came, and what could not be had."""

    here: tuple[str, ...]
    fetched: tuple[str, ...]
    failed: tuple[tuple[str, BenchError], ...]


class _StoppedError(Exception):
    """Another thread has ended the fetch."""


def fetch(
    wanted: Needs,
    data: Path,
    *,
    offline: bool = False,
    on_event: OnEvent | None = None,
    patience: Patience | None = None,
) -> Summary:
    """Bring everything into a data folder. Offline, only say what is not there.

    Raises:
        MachineError: the disk is or would be full, the folder cannot be written, or another
            fetch is at work in it.
        DataError: a lock of hub repositories that is broken.
    """
    with contextlib.nullcontext() if offline else _locked(data):
        return _Fetch(data, on_event or (lambda _: None), patience).run(wanted, offline)


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise MachineError(
            f"{data}: cannot be written ({error.strerror})",
            hint="choose a folder that can: --data DIR, or BENCH_CACHE",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise MachineError(
            f"{data}: another fetch is at work there", hint="wait for it, or choose --data DIR"
        ) from None
    finally:
        os.close(descriptor)


class _Fetch:
    """One fetch: its folder, what it has told, and the hosts that it has given up."""

    def __init__(self, data: Path, on_event: OnEvent, patience: Patience | None) -> None:
        self._data = data
        self._on_event = on_event
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._patience = patience or Patience(sleep=self._stop.wait)
        self._dead: dict[str, BenchError] = {}
        self._fetched: list[str] = []
        self._failed: dict[str, BenchError] = {}

    def run(self, wanted: Needs, offline: bool) -> Summary:
        """Bring what is not here: plain files, then what is made of others, then the locks."""
        paths = derive.listed(wanted.paths)
        here = [path for path in paths if needs.is_here(path, self._data)]
        absent = [path for path in paths if path not in here]
        hubs = [one for one in wanted.repositories if hub.find(one, self._data) is None]
        here += [one.name for one in wanted.repositories if one not in hubs]
        if offline:
            lacking = [*absent, *(one.name for one in hubs)]
            self._failed = {what: _offline(what) for what in lacking}
            return self._summary(here)
        listings = self._listings(hubs)
        tasks = [task for path in absent for task in fetchtasks.git(manifest()[path], self._data)]
        tasks += [
            task for one, found in listings for task in fetchtasks.hub(one, found, self._data)
        ]
        self._announce(tasks, len(here))
        self._all(tasks)
        for source in (manifest()[path] for path in absent):
            if source.form != "same":
                self._finish(source.path, functools.partial(self._make, source))
        fetchtasks.tidy(self._data)
        for one, found in listings:
            self._finish(one.name, functools.partial(self._settle, one, found))
        return self._summary(here)

    def _summary(self, here: Sequence[str]) -> Summary:
        return Summary(tuple(here), tuple(self._fetched), tuple(self._failed.items()))

    def _tell(self, event: Event) -> None:
        with self._guard:
            self._on_event(event)

    def _announce(self, tasks: Sequence[Task], here: int) -> None:
        """Say how much is to come, and stop where the disk has no room for it."""
        left = [(task.remote.bytes or 0) - _kept(task.target) for task in tasks]
        total = sum(max(0, size) for size in left)
        unknown = sum(task.remote.bytes is None for task in tasks)
        note = f"and {unknown} of unknown size" if unknown else ""
        self._tell(Event("planned", "", here, total, len(tasks), note))
        free = shutil.disk_usage(self._data).free
        if tasks and total + RESERVE_BYTES > free:
            raise MachineError(
                f"{self._data}: {total / 1e9:.1f} GB are to be downloaded, "
                f"{free / 1e9:.1f} GB are free",
                hint="free some space, or choose another disk: --data DIR, or BENCH_CACHE",
            )

    def _listings(self, hubs: Sequence[Repository]) -> list[tuple[Repository, Listing]]:
        """What the hub holds, asked only where nothing is locked."""
        found = []
        for one in hubs:
            locked = hublock.load(self._data).get(one.key)
            try:
                if locked:
                    found.append((one, hublisting.of_locked(one, locked)))
                else:
                    found.append((one, hublisting.ask(one, self._patience)))
            except (DataError, UnreachableError) as error:
                self._fail(one.name, error)
        return found

    def _all(self, tasks: Sequence[Task]) -> None:
        """Run tasks side by side; what ends one of them for good ends all."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
            running = [pool.submit(self._download, task) for task in tasks]
            try:
                for one in running:
                    one.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _download(self, task: Task) -> None:
        if self._stop.is_set():
            raise _StoppedError
        if task.host in self._dead:
            self._fail(task.what, self._dead[task.host])
            return

        def on_progress(done: int, total: int | None) -> None:
            if self._stop.is_set():
                raise _StoppedError
            self._tell(Event("progress", task.what, done, total))

        self._tell(Event("started", task.what, 0, task.remote.bytes))
        try:
            download(task.remote, task.target, on_progress, self._patience)
            self._verify(task)
        except UnreachableError as error:
            self._dead[task.host] = error
            self._fail(task.what, error)
        except DataError as error:
            self._fail(task.what, error)
        else:
            self._done(task.what, task.target.stat().st_size)

    def _verify(self, task: Task) -> None:
        """Count a listed file's rows; note what is verified (one file: one thread at once)."""
        with self._guard:
            if task.listed:
                sources.locate(task.listed, self._data)
            elif task.remote.sha256:
                sources.remember(task.target, task.remote.sha256)

    def _finish(self, what: str, run: Callable[[], int]) -> None:
        """Make or lock one thing; a part of it that failed has been told already."""
        try:
            self._done(what, run())
        except DataError as error:
            self._fail(what, error)

    def _make(self, source: Source) -> int:
        """Make a file from what was fetched for it; its sources are not needed any more."""
        if source.path == needs.SCRIPTED:
            if not needs.scripts_are_here(self._data):
                raise _without_source(source)
            return 0
        parts = fetchtasks.upstream(source, self._data)
        if not all(part.is_file() for part in parts):
            raise _without_source(source)
        try:
            content = derive.make(source, parts, lambda path: sources.locate(path, self._data))
        finally:
            for part in parts:
                part.unlink()
        write_whole(self._data / source.path, content)
        sources.locate(source.path, self._data)
        return len(content)

    def _settle(self, repository: Repository, listing: Listing) -> int:
        return hublisting.settle(repository, listing, self._data).bytes

    def _done(self, what: str, size: int) -> None:
        self._fetched.append(what)
        self._tell(Event("done", what, size, size))

    def _fail(self, what: str, error: BenchError) -> None:
        self._failed[what] = error
        self._tell(Event("failed", what, note=error.problem))


def _kept(target: Path) -> int:
    """What an earlier run has left of a download."""
    part = part_of(target)
    return part.stat().st_size if part.is_file() else 0


def _offline(what: str) -> BenchError:
    return DataError(
        f"{what}: not here, and --offline forbids to fetch it",
        hint="fetch where there is a network, then carry the data folder here",
    )


def _without_source(source: Source) -> DataError:
    return DataError(
        f"{source.path}: what it is made from could not be fetched", hint="see above, fetch again"
    )
