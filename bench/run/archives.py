"""Archives of run folders, unpacked without trusting them.

An archive may come from anywhere. Only regular files are written, only below the target, and
only as many bytes as an archive of its size can sensibly hold and the disk can take.
"""

from __future__ import annotations

import contextlib
import datetime
import lzma
import math
import os
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from bench.data.readers import opened
from bench.errors import BenchError, DataError, MachineError
from bench.grid.intact import is_litter

#: A run's weights hardly compress, its text to a twentieth; a bomb to a thousandth.
_RATIO = 200
_ALWAYS_BYTES = 64 * 2**20
#: What stays free on the disk.
_RESERVE_BYTES = 256 * 2**20
_MOST_FILES = 100_000
_LONGEST_NAME, _LONGEST_PART = 1024, 255
_CHUNK_BYTES = 2**20
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_ANEW = "pack the run's folder anew, as it lies"
_DAMAGED = "it is cut off or damaged: copy or download it again"

#: Damage shows in many ways: each library that unpacks has errors of its own.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
_ODD = (NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error)
_IN_THE_WAY = (FileExistsError, NotADirectoryError, IsADirectoryError)
#: The folder in which a Mac's archives hold what only Macs read.
_MACS = "__MACOSX"

#: A member's name, time of change (seconds since the epoch), bytes and content.
Member = tuple[PurePosixPath, float, int, IO[bytes]]


def unpack(
    archive: Path, target: Path, wanted: Callable[[PurePosixPath], bool]
) -> tuple[PurePosixPath, ...]:
    """Write the wanted files of a tar (plain, gz, bz2, xz, zst) or zip archive below a folder.

    Returns the names of all files that it holds.

    Raises:
        DataError: no such archive, a damaged one, or one that holds what no run does: a name
            that leads out of it, a link, a device, too many files or bytes.
        MachineError: the disk has no room for it.
    """
    names = []
    left = _Budget(archive, target)
    try:
        for name, changed_s, size, content in _members(archive):
            left.declare(size)
            if _MACS in name.parts or is_litter(name.name):
                continue
            names.append(name)
            if len(names) > _MOST_FILES:
                raise _refused(archive, f"more than {_MOST_FILES:,} files")
            if wanted(name):
                _write(archive, target / name, changed_s, content, left)
    except _BROKEN as error:
        raise DataError(f"{archive}: {error or 'ends too early'}", hint=_DAMAGED) from None
    except _ODD as error:
        told = str(error) or type(error).__name__
        raise DataError(f"{archive}: cannot be unpacked: {told}", hint=_ANEW) from None
    if not names:
        raise DataError(f"{archive}: holds no file", hint=_DAMAGED)
    return tuple(names)


def _write(archive: Path, path: Path, changed_s: float, content: IO[bytes], left: _Budget) -> None:
    """Write one file; no archive can say that it changed in the future."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    except _IN_THE_WAY:
        raise _refused(archive, f"a file and a folder of one name: {path.name!r}") from None
    with file:
        left.copy(content, file)
    changed_s = min(max(changed_s, 0.0), time.time()) if math.isfinite(changed_s) else 0.0
    os.utime(path, (changed_s, changed_s))


class _Budget:
    """The bytes that an archive may still unpack to."""

    def __init__(self, archive: Path, target: Path) -> None:
        self._archive = archive
        try:
            with opened(archive) as file:
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            told = f"{archive}: {error.strerror}"
            raise DataError(told, hint="check the path behind --from") from None
        self._left = self._declared = _ALWAYS_BYTES + _RATIO * size
        self._disk = shutil.disk_usage(target).free - _RESERVE_BYTES

    def declare(self, size: int) -> None:
        """Count a file that is passed over, too: it has to be unpacked to get behind it."""
        self._declared -= size
        if self._declared < 0:
            raise _refused(self._archive, f"more than {_RATIO} times its own size")

    def _read(self, source: IO[bytes]) -> bytes:
        try:
            return source.read(_CHUNK_BYTES)
        except OSError as error:  # what is damaged may name places before the file's beginning
            raise DataError(f"{self._archive}: {error}", hint=_DAMAGED) from None

    def copy(self, source: IO[bytes], file: IO[bytes]) -> None:
        while chunk := self._read(source):
            self._left -= len(chunk)
            self._disk -= len(chunk)
            if self._left < 0:
                raise _refused(self._archive, f"more than {_RATIO} times its own size")
            if self._disk < 0:
                raise MachineError(
                    f"{self._archive}: the disk has no room for what it holds",
                    hint="free some there, or take only some cells: --cells PATTERN",
                )
            file.write(chunk)


def _members(archive: Path) -> Iterator[Member]:
    """The regular files of an archive, in its order; folders are passed over."""
    if zipfile.is_zipfile(archive):
        yield from _of_zip(archive)
        return
    with contextlib.ExitStack() as stack:
        try:
            tar = stack.enter_context(_tar(archive, stack))
        except (tarfile.ReadError, OSError, TypeError) as error:
            # TypeError: tarfile's own of a gzip file that ends within its header.
            if not isinstance(error, OSError) or error.errno is None:
                hint = "name a run folder, or a tar or zip archive of one"
                raise DataError(f"{archive}: no archive that can be read", hint=hint) from None
            raise DataError(f"{archive}: {error.strerror}", hint="check --from PATH") from None
        try:
            for member in tar:
                name = _checked(archive, member.name)
                if member.isdir():
                    continue
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    kind = "a link" if member.issym() or member.islnk() else "a device or pipe"
                    raise _refused(archive, f"{kind}: {member.name}")
                yield name, float(member.mtime), member.size, content
        except OSError as error:
            if error.errno is not None:
                raise
            # gzip and bzip2 tell damage so.
            raise DataError(f"{archive}: {error}", hint=_DAMAGED) from None


def _of_zip(archive: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                name = _checked(archive, info.filename)
                if info.is_dir():
                    continue
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise _refused(archive, f"a link or device: {info.filename}")
                if info.flag_bits & 1:
                    raise _refused(archive, f"an encrypted file: {info.filename}")
                with file.open(info) as content:
                    yield name, _seconds(info.date_time), info.file_size, content
    except OSError as error:
        raise DataError(f"{archive}: {error}", hint=_DAMAGED) from None


def _seconds(told: tuple[int, int, int, int, int, int]) -> float:
    """The time of a change; an archive may hold a thirteenth month."""
    try:
        return datetime.datetime(*told).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _tar(archive: Path, stack: contextlib.ExitStack) -> tarfile.TarFile:
    with archive.open("rb") as file:
        magic = file.read(len(_ZSTANDARD))
    if magic != _ZSTANDARD:
        return tarfile.open(archive, "r|*")
    try:
        import pyarrow  # the one library here that reads Zstandard
    except ImportError:
        raise BenchError(
            f"{archive}: packed with Zstandard, which needs pyarrow",
            hint="install the kit's environment (nox -s doctor), or pack it as tar.gz",
        ) from None
    stream = stack.enter_context(pyarrow.input_stream(str(archive), compression="zstd"))
    return tarfile.open(fileobj=stream, mode="r|")


def _checked(archive: Path, name: str) -> PurePosixPath:
    """A member's name as a path that stays inside."""
    path = PurePosixPath(name)
    odd = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    shown = ascii(name if len(name) <= _LONGEST_NAME else f"{name[:60]}…")
    if odd or len(name) > _LONGEST_NAME:
        raise _refused(archive, f"a name that leads out of it: {shown}")
    try:
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    except UnicodeEncodeError:
        raise _refused(archive, f"a name that no file can have: {shown}") from None
    if longest > _LONGEST_PART:
        raise _refused(archive, f"a name that is too long for a file: {shown[:60]}…")
    return path


def _refused(archive: Path, what: str) -> DataError:
    return DataError(f"{archive}: refused: it holds {what}", hint=_ANEW)
