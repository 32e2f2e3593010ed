"""Packed rows kept as Arrow files that several processes share, verified when they are read.

Fifteen models train on seven mixtures: each mixture is tokenized and packed once, by whoever
comes first, while those who want the same wait. An entry carries the SHA-256 of its file;
one that is torn or altered is made again. Nothing here is needed for a result: a cache that
cannot be written, or a machine without pyarrow, costs the time to make the rows again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.packing import Ids, PackedRows
from bench.data.readers import exists
from bench.records import Tokens

#: The folder of the entries, within the kit's cache.
FOLDER = "rows"
_ARRAYS = ("input_ids", "position_ids", "labels")
_LOCK = ".lock"
#: Behind the stream, where readers of Arrow do not look, stands its SHA-256.
_DIGEST_BYTES = hashlib.sha256().digest_size
_PART_BYTES = 2**20


class RowCache:
    """The entries of a cache folder (``<cache>/rows/<key>.arrow``).

    ``datasets.Dataset.from_file`` opens an entry, too. ``made`` and ``reused`` count what was
    asked for here; ``notes`` says what was wrong with the cache, a line each.
    """

    def __init__(self, cache: Path) -> None:
        self.made = self.reused = 0
        self.notes: list[str] = []
        self._folder = cache / FOLDER

    @property
    def told(self) -> str:
        """For a stage's record: ``made`` if any entry was, else ``reused``."""
        return "made" if self.made else "reused"

    def get(self, key: str, make: Callable[[], PackedRows]) -> PackedRows:
        """The rows of a key, made where they are not here, or not as they were written."""
        path = self._folder / f"{key}.arrow"
        kept = self._read(path)
        if kept is None:
            with self._locked(key):
                kept = self._read(path)  # somebody else may have made them meanwhile
                if kept is None:
                    self.made += 1
                    rows = make()
                    self._write(path, rows)
                    return rows
        self.reused += 1
        return kept

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Hold the lock of a key: one byte of one file, so that no lock files pile up.

        The kernel drops it with its holder. Without a folder that can be written, or locks
        on its file system, everyone makes the rows.
        """
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((self._folder / _LOCK).open("ab"))
                fcntl.lockf(lock, fcntl.LOCK_EX, 1, int(key[:12], 16))
            except OSError as error:
                self._note(f"rows are made without a lock ({error.strerror})")
            yield

    def _read(self, path: Path) -> PackedRows | None:
        """The rows of a file; None where there is none, or none that is as it was written."""
        arrow = _arrow()
        if arrow is None or not exists(path):
            return None
        try:
            if _is_whole(path):
                return _rows(arrow, path)
            why = "it is not as it was written"
        except OSError as error:
            why = f"it cannot be read ({error.strerror})"
        self._note(f"the kept rows {path.name} are made again: {why}")
        return None

    def _write(self, path: Path, rows: PackedRows) -> None:
        arrow = _arrow()
        if arrow is None:
            return
        width = rows.input_ids.shape[1]
        columns = {
            name: arrow.FixedSizeListArray.from_arrays(getattr(rows, name).reshape(-1), width)
            for name in _ARRAYS
        }
        described = json.dumps(_counts(rows))
        table = arrow.table(columns).replace_schema_metadata({"bench": described})
        draft: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f"{path.stem}.*.tmp"):  # of a process that was killed
                left.unlink(missing_ok=True)
            descriptor, name = tempfile.mkstemp(".tmp", f"{path.stem}.", path.parent)
            draft = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                with arrow.ipc.new_stream(file, table.schema) as writer:
                    writer.write_table(table)
                file.flush()
                file.write(_digest(draft, 0))
                os.fchmod(file.fileno(), 0o644)  # containers read it as somebody else
            draft.replace(path)
        except OSError as error:
            self._note(f"rows are not kept in {path.parent}: {error.strerror}")
            if draft is not None:
                draft.unlink(missing_ok=True)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def _arrow() -> Any:
    """pyarrow, or None: the leanest GPU machines have neither it nor ``datasets``."""
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        return None


def _counts(rows: PackedRows) -> dict[str, list[int]]:
    return {
        "tokens": [rows.tokens.processed, rows.tokens.real, rows.tokens.trained],
        "documents": [rows.documents, rows.cut_documents, rows.dropped_tokens],
    }


def _digest(path: Path, behind: int = _DIGEST_BYTES) -> bytes:
    """The SHA-256 of a file without what stands ``behind`` its content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - behind
        while left > 0 and (part := file.read(min(left, _PART_BYTES))):
            digest.update(part)
            left -= len(part)
    return digest.digest()


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _DIGEST_BYTES))
        return file.read() == _digest(path)


def _rows(arrow: Any, path: Path) -> PackedRows:
    """What a whole file holds; Arrow trusts what it reads, so its digest comes first."""
    with arrow.memory_map(str(path)) as file:
        table = arrow.ipc.open_stream(file).read_all().combine_chunks()
        written = json.loads(table.schema.metadata[b"bench"])
        ids, positions, labels = (_matrix(table.column(name)) for name in _ARRAYS)
    tokens = Tokens(*written["tokens"])
    return PackedRows(ids, positions, labels, tokens, *written["documents"])


def _matrix(column: Any) -> Ids:
    """A copy of a column of fixed-size lists, int32 of shape ``[rows, row_tokens]``."""
    whole = column.combine_chunks()
    return np.array(whole.flatten().to_numpy(), np.int32).reshape(-1, whole.type.list_size)
