"""The rows of a hub data set, read in batches: Parquet or JSON Lines, as the hub has it.

A file's folder is its configuration and its name begins with its split, for example
``java/train-00001-of-00002.parquet``. Memory holds one batch, whatever a file's size.
"""

from __future__ import annotations

import gzip
import importlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.hub import Repository, Rows
from bench.data.readers import FETCH_AGAIN, opened, parse_json, require
from bench.errors import DataError, MachineError

#: Rows that are in memory at once.
BATCH_ROWS = 1000


def parts(folder: Path, configuration: str, split: str) -> list[Path]:
    """The files of a split in their order.

    Raises:
        DataError: there are none.
    """
    found = sorted(
        path
        for path in (folder / configuration).glob(f"{split}*")
        if path.name[len(split)] in "-." and _form(path) is not None
    )
    if not found:
        raise DataError(
            f"{folder / configuration}: no Parquet or JSON Lines file of the {split} split",
            hint=FETCH_AGAIN,
        )
    return found


def check_rows(repository: Repository, folder: Path) -> None:
    """Assert the counts of every split that the kit knows of a repository.

    Raises:
        DataError: a split with another number of rows.
    """
    for configuration, splits in repository.rows.items():
        for split, expected in splits.items():
            found = sum(count_rows(path) for path in parts(folder, configuration, split))
            if found != expected:
                raise wrong_rows(repository.name, configuration, split, found, expected)


def wrong_rows(name: str, configuration: str, split: str, found: int, expected: int) -> DataError:
    """The error for a split that is not the study's."""
    return DataError(
        f"{name}: {configuration}/{split} has {found:,} rows, expected {expected:,}; refused",
        hint="this revision is not the study's data: pin one that is in datasets/hub.toml",
    )


def expected_rows(rows: Rows, configuration: str, split: str) -> int | None:
    """The rows that a split has to have; None where the kit does not know."""
    return rows.get(configuration, {}).get(split)


def count_rows(path: Path) -> int:
    """The rows of a file: from its footer (Parquet), or by its lines.

    Raises:
        DataError: it cannot be read.
    """
    if _form(path) == "parquet":
        return int(_opened(path).metadata.num_rows)
    return sum(1 for _ in _lines(path))


def records(path: Path, fields: Mapping[str, type]) -> Iterator[dict[str, Any]]:
    """The rows of a file with these fields, each checked to be of its type; all, if none.

    Raises:
        DataError: the file, the row and the field at fault.
    """
    rows = _parquet_rows(path, list(fields)) if _form(path) == "parquet" else _json_rows(path)
    for number, record in enumerate(rows, 1):
        for field, kind in fields.items():
            require(record, field, kind, f"{path}:{number}")
        yield record


def _form(path: Path) -> str | None:
    if path.suffix == ".parquet":
        return "parquet"
    return "lines" if path.name.endswith((".jsonl", ".jsonl.gz")) else None


def _opened(path: Path) -> Any:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        raise MachineError(
            f"{path}: pyarrow, which reads Parquet, is not installed",
            hint="pip install -e '.[score]' (every nox session does it in its own environment)",
        ) from None
    try:
        opened(path).close()
        return parquet.ParquetFile(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise _broken(path, error) from None


def _parquet_rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    file = _opened(path)
    columns = [name for name in file.schema_arrow.names if name in fields or not fields]
    errors: Any = importlib.import_module("pyarrow").ArrowException
    try:
        # Without threads: they read ahead, and the batches wait in memory.
        for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
            yield from batch.to_pylist()
    except (OSError, errors) as error:
        raise _broken(path, error) from None


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        record = parse_json(line, f"{path}:{number}")
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: not a JSON object", hint=FETCH_AGAIN)
        yield record


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with opened(path) as plain:
            yield from gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> DataError:
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path}: cannot be read ({told})", hint=FETCH_AGAIN)
