"""What the kit makes once and keeps: installed tools, and its own small programs compiled.

Everything lies below ``tools`` of the cache folder, each in a folder named after a digest
of what it was made from, so that nothing is ever updated in place. An image has its own such
folder, which ``BENCH_TOOLS`` names: inside it nothing is installed or compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data.sources import cache_folder
from bench.errors import MachineError

#: The folder of an image's tools; set by the image.
IMAGE_VARIABLE = "BENCH_TOOLS"


def folder() -> Path:
    """Where tools are kept; not created here."""
    given = os.environ.get(IMAGE_VARIABLE)
    return Path(given) if given else cache_folder().resolve() / "tools"


def place(name: str, sources: Sequence[Path], key: str) -> Path:
    """The folder of what is made from the sources and ``key``, whether or not it exists."""
    digest = hashlib.sha256(key.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return folder() / f"{name}-{digest.hexdigest()[:16]}"


def made(name: str, sources: Sequence[Path], key: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, made once per content of the sources and ``key``.

    Raises:
        MachineError: the cache folder cannot be written, or an image lacks it.
    """
    result = place(name, sources, key)
    if result.is_dir():
        return result
    if os.environ.get(IMAGE_VARIABLE):
        raise MachineError(
            f"{name} is not among this image's tools, or is of another version of the kit",
            hint="nox -s images",
        )
    try:
        result.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=result.parent, prefix=f".{name}-") as work:
            target = Path(work) / "made"
            target.mkdir()
            make(target)
            with contextlib.suppress(FileExistsError):  # another process was faster
                target.rename(result)
    except OSError as error:
        if not result.is_dir():
            raise MachineError(
                f"cannot write {result.parent}: {error.strerror}",
                hint="free some space or set BENCH_CACHE to a writable folder",
            ) from None
    return result
