"""Archives of run folders, unpacked without trusting them.

An archive may come from anywhere. Only regular files are written, only below the target, and
only as many bytes as an archive of its size can sensibly hold and the disk can take.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from bench.errors import BenchError, DataError, MachineError

#: A run's weights hardly compress, its text to a twentieth; a bomb to a thousandth.
_RATIO = 200
_ALWAYS_BYTES = 64 * 2**20
#: What stays free on the disk.
_RESERVE_BYTES = 256 * 2**20
_MOST_FILES = 100_000
_LONGEST_NAME = 1024
_CHUNK_BYTES = 2**20
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_DAMAGED = "it is cut off or damaged: copy or download it again"

#: A member's name, time of change (seconds since the epoch) and content.
Member = tuple[PurePosixPath, float, IO[bytes]]


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
        for name, changed_s, content in _members(archive):
            names.append(name)
            if len(names) > _MOST_FILES:
                raise _refused(archive, f"more than {_MOST_FILES:,} files")
            if wanted(name):
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    left.copy(content, file)
                os.utime(path, (changed_s, changed_s))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{archive}: {error or 'ends too early'}", hint=_DAMAGED) from None
    return tuple(names)


class _Budget:
    """The bytes that an archive may still unpack to."""

    def __init__(self, archive: Path, target: Path) -> None:
        self._archive = archive
        try:
            size = archive.stat().st_size
        except OSError as error:
            told = f"{archive}: {error.strerror}"
            raise DataError(told, hint="check the path behind --from") from None
        self._left = _ALWAYS_BYTES + _RATIO * size
        self._disk = shutil.disk_usage(target).free - _RESERVE_BYTES

    def copy(self, source: IO[bytes], file: IO[bytes]) -> None:
        while chunk := source.read(_CHUNK_BYTES):
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
                yield name, member.mtime, content
        except OSError as error:
            if error.errno is not None:
                raise
            # gzip and bzip2 tell damage so.
            raise DataError(f"{archive}: {error}", hint=_DAMAGED) from None


def _of_zip(archive: Path) -> Iterator[Member]:
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
            changed_s = time.mktime((*info.date_time, 0, 0, -1))
            with file.open(info) as content:
                yield name, changed_s, content


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
    if odd or len(name) > _LONGEST_NAME:
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:60]}…"
        raise _refused(archive, f"a name that leads out of it: {shown!r}")
    return path


def _refused(archive: Path, what: str) -> DataError:
    return DataError(
        f"{archive}: refused: it holds {what}", hint="pack the run's folder anew, as it lies"
    )
