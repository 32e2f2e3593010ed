"""One file over HTTP: continued where it stopped, checked, and put in place as a whole.

What has arrived stays beside the target as ``<name>.part``, so that a killed or broken
download goes on from there (HTTP Range) in the next try or the next run. Only content that
agrees with what was expected takes the target's name. (``huggingface_hub`` 2.4 discards
what a broken run has fetched, so hub files come this way, too.) Proxies are those of the
environment (``https_proxy``, ``no_proxy``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import bench
from bench.errors import BenchError, DataError, MachineError

#: Called with the bytes that are there, and all bytes (None: the server did not say).
Progress = Callable[[int, int | None], None]

ATTEMPTS = 5
#: The longest wait between two tries, whatever the server asks for.
LONGEST_WAIT_S = 30.0
_CHUNK = 1 << 18
#: Fewer bytes than this within the time limit, and the server counts as hanging.
_LEAST_BYTES = 1 << 12
#: A try that brings this much is progress: the tries are counted anew.
_PROGRESS_BYTES = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_RETRY = "try again: what has arrived is kept and continued"


class UnreachableError(MachineError):
    """A server that gave nothing in all tries: it may be spared the next ones."""


@dataclasses.dataclass(frozen=True, slots=True)
class Remote:
    """A file to download. What is None is not known beforehand and not checked.

    ``blob`` is git's name of the content (SHA-1 of its header and bytes). ``headers`` go to
    the named host alone, never to one that it redirects to.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None
    blob: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take: seconds without data, and tries without progress."""

    timeout_s: float = 30.0
    attempts: int = ATTEMPTS
    sleep: Callable[[float], object] = time.sleep


class _TryAgainError(Exception):
    """A try that failed in a way that may pass; ``wait_s`` is what the server asked for.

    ``anew``: what was kept was no beginning of the file and has been thrown away.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, *, anew: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.anew = anew


def download(
    remote: Remote,
    target: Path,
    on_progress: Progress | None = None,
    patience: Patience | None = None,
) -> None:
    """Bring a remote file to ``target``; its folder is made.

    Raises:
        DataError: the server has no such file, or other content than expected.
        UnreachableError: the server cannot be reached or hangs.
        MachineError: the disk is full or cannot be written.
    """
    patience = patience or Patience()
    part = part_of(target)
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        continued = part.is_file() and part.stat().st_size > 0
        _complete(remote, part, on_progress, patience)
        wrong = _difference(remote, part)
        if wrong and continued:  # what an earlier run had left may have been the wrong part
            part.unlink()
            _complete(remote, part, on_progress, patience)
            wrong = _difference(remote, part)
        if wrong:
            part.unlink()
            raise _refused(remote, wrong)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)


def part_of(target: Path) -> Path:
    """Where a download that is not whole yet is kept."""
    return target.with_name(f"{target.name}.part")


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it has its name only when it is whole and on the disk.

    Raises:
        MachineError: the disk is full or cannot be written.
    """
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with part_of(target).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part_of(target).replace(target)


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Tell a disk that is full or may not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"{target}: the disk is full", hint=f"free some space, then {_RETRY}"
            ) from None
        raise MachineError(
            f"{target}: cannot be written ({error.strerror or error})",
            hint="choose a folder that can: --data DIR, or BENCH_CACHE",
        ) from None


def _complete(remote: Remote, part: Path, on_progress: Progress | None, patience: Patience) -> None:
    """Fill ``part`` until it is whole, over as many tries as progress is made in."""
    failures, begun_anew = 0, False
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _attempt(remote, part, on_progress, patience.timeout_s)
            return
        except _TryAgainError as error:
            arrived = (part.stat().st_size if part.is_file() else 0) - before
            if error.anew and begun_anew:  # it would for ever be as long as it is now
                raise _refused(remote, f"{before} bytes are all there are") from None
            begun_anew = begun_anew or error.anew
            failures = 1 if arrived >= _PROGRESS_BYTES else failures + 1
            if failures >= patience.attempts:
                raise UnreachableError(
                    f"{remote.url}: {error} ({failures} tries)", hint=_RETRY
                ) from None
            patience.sleep(min(LONGEST_WAIT_S, max(error.wait_s, 2.0 ** (failures - 1))))


def _attempt(remote: Remote, part: Path, on_progress: Progress | None, timeout_s: float) -> None:
    """One request for what ``part`` lacks."""
    have = part.stat().st_size if part.is_file() else 0
    if remote.bytes is not None and have > remote.bytes:
        part.unlink()  # of a file that was longer
        have = 0
    if have and have == remote.bytes:
        return
    try:
        with _open(remote, have, timeout_s) as response:
            start = have if _continues(response, have) else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdecimal() else remote.bytes
            if remote.bytes is not None and total != remote.bytes:
                part.unlink(missing_ok=True)
                raise _refused(remote, f"{total} bytes, expected {remote.bytes}")
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                end = _copy(response, file, start, remote, total, on_progress, timeout_s)
            if total is not None and end < total:
                raise _TryAgainError(f"the connection ended after {end} of {total} bytes")
    except urllib.error.HTTPError as error:
        with error:
            _tell(remote, part, error)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise _TryAgainError(_reason(error, timeout_s)) from None


def _open(remote: Remote, have: int, timeout_s: float) -> http.client.HTTPResponse:
    if not remote.url.startswith(("https://", "http://")):
        raise BenchError(f"{remote.url}: not an https address", hint="check where it comes from")
    request = urllib.request.Request(remote.url)  # noqa: S310
    request.add_header("User-Agent", f"bench/{bench.__version__}")
    request.add_header("Accept-Encoding", "identity")
    if have:
        request.add_header("Range", f"bytes={have}-")
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    return response


def _continues(response: http.client.HTTPResponse, have: int) -> bool:
    """Whether the server sends the rest of the file, not the whole of it."""
    if response.status != 206:
        return False
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise _TryAgainError("the server sent another part than asked for")
    return True


def _copy(
    response: http.client.HTTPResponse,
    file: IO[bytes],
    start: int,
    remote: Remote,
    total: int | None,
    on_progress: Progress | None,
    timeout_s: float,
) -> int:
    """Append the body; the file's length at the end of it."""
    end, since, mark = start, time.monotonic(), start
    while chunk := response.read1(_CHUNK):
        file.write(chunk)
        end += len(chunk)
        if remote.bytes is not None and end > remote.bytes:
            break  # a file that is longer than listed: refused, however long it is
        if on_progress is not None:
            on_progress(end, total)
        if time.monotonic() - since > timeout_s:
            if end - mark < _LEAST_BYTES:
                raise _TryAgainError(f"the server hangs: {end - mark} bytes in {timeout_s:.0f} s")
            since, mark = time.monotonic(), end
    return end


def _tell(remote: Remote, part: Path, error: urllib.error.HTTPError) -> None:
    """Turn a status into what is to be done about it."""
    if error.code == 416:  # what was kept is not a beginning of this file
        part.unlink(missing_ok=True)
        raise _TryAgainError("the server cannot continue what was kept", anew=True) from None
    if error.code in _TRANSIENT:
        after = error.headers.get("Retry-After") or ""
        wait_s = float(after) if after.isdecimal() else 0.0
        raise _TryAgainError(f"the server answers {error.code} {error.reason}", wait_s) from None
    hint = "check the connection and its proxy (https_proxy)"
    if error.code == 404:
        hint = "it is no longer where it was: use a mirror that has it (--mirror DIR)"
    elif error.code in (401, 403):
        hint = "accept its terms on its page and log in (hf auth login), or use a mirror"
    raise DataError(
        f"{remote.url}: the server answers {error.code} {error.reason}", hint=hint
    ) from None


def _refused(remote: Remote, why: str) -> DataError:
    return DataError(
        f"{remote.url}: {why}; refused, nothing was put in place",
        hint="the source or the way to it changed the file: try again later, or report it",
    )


def _reason(error: Exception, timeout_s: float) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return f"cannot be reached ({inner or type(inner).__name__})"


def _difference(remote: Remote, part: Path) -> str:
    """How what has arrived differs from what was expected; empty where it does not."""
    size = part.stat().st_size
    if remote.bytes is not None and size != remote.bytes:
        found = f"longer than {remote.bytes}" if size > remote.bytes else f"{size}"
        return f"{found} bytes, expected {remote.bytes}"
    with part.open("rb") as file:
        if remote.sha256 is not None:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != remote.sha256:
                return f"its SHA-256 is {found[:12]}…, expected {remote.sha256[:12]}…"
        if remote.blob is not None:
            file.seek(0)
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            if digest.hexdigest() != remote.blob:
                return f"git would name it {digest.hexdigest()[:12]}…, not {remote.blob[:12]}…"
    return ""
