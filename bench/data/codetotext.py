"""CodeXGLUE's code-to-text in full, from the hub, and generation derived from it.

Summarization is read in two variants. ``corrected``: a function without its docstring, and
the docstring's first paragraph, less the rows that ``codexglue.functions`` leaves out and
counts. ``published``: the data set's code and docstring tokens, each joined by one space, of
every row. Generation is the same rows turned round (docstring and signature in, function
out), since the authors' own files are not public; who has them names their folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.data import codexglue, hub
from bench.data.codexglue import Function
from bench.data.hub import Repository
from bench.data.hub import tables as hubtables
from bench.data.sources import sha256_of
from bench.errors import DataError
from bench.records import GENERATION, Sample, Track

NAME = "google/code_x_glue_ct_code_to_text"
#: What the hub calls a split.
SPLITS = {"train": "train", "valid": "validation"}
_LAYOUT = 'see "The authors\' generation files" in datasets/README.md'


def repository() -> Repository:
    """The data set as ``datasets/hub.toml`` has it."""
    return hub.repositories()[NAME]


def functions(
    language: str, split: str, folder: Path, source: Repository | None = None
) -> tuple[list[Function], Counter[str]]:
    """The functions of a split (``train`` or ``valid``), and the rows left out, by reason.

    Raises:
        DataError: a file that is broken, or a split that has not the study's rows.
    """
    fields = {"code": str, "docstring": str}
    return codexglue.functions(language, _records(language, split, folder, fields, source))


def joined_tokens(
    language: str, split: str, folder: Path, source: Repository | None = None
) -> tuple[list[Function], Counter[str]]:
    """The rows of a split as the study renders them: their tokens joined by one space.

    Raises:
        DataError: a file that is broken, or a split that has not the study's rows.
    """
    kept: list[Function] = []
    dropped: Counter[str] = Counter()
    fields = {"code_tokens": list, "docstring_tokens": list}
    for number, record in enumerate(_records(language, split, folder, fields, source)):
        tokens = {name: " ".join(record[name]) for name in fields}
        code, summary = tokens.values()
        if code and summary:
            kept.append(Function(number, summary, "", code, tokens))
        else:
            dropped["no tokens"] += 1
    return kept, dropped


def _records(
    language: str,
    split: str,
    folder: Path,
    fields: Mapping[str, type],
    source: Repository | None,
) -> Iterator[dict[str, Any]]:
    """The rows of a split in their order; at its end their number is asserted."""
    source = source or repository()
    name, count = SPLITS[split], 0
    for path in hubtables.parts(folder, language, name):
        for record in hubtables.records(path, fields):
            count += 1
            yield record
    expected = hubtables.expected_rows(source.rows, language, name)
    if expected not in (None, count):
        raise hubtables.wrong_rows(source.name, language, name, count, expected or 0)


def authors_path(folder: Path, language: str, split: str) -> Path:
    """The file of a folder with the authors' generation data, for example ``java.train.jsonl``.

    Raises:
        DataError: it is not there.
    """
    path = folder / f"{language}.{split}.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: no such file, but the study names its folder", hint=_LAYOUT)
    return path


def authors_digests(folder: Path, track: Track) -> dict[str, str]:
    """SHA-256 of the files that a generation track reads of the authors' folder, for keys."""
    paths = [authors_path(folder, track.language, split) for split in SPLITS]
    return {f"generation_files/{path.name}": sha256_of(path) for path in paths}


def authors_samples(track: Track, split: str, folder: Path) -> tuple[list[Sample], Counter[str]]:
    """Generation samples of the authors' own files, and the rows left out, by reason.

    A line has ``summary``, ``signature`` and ``output``, or the authors' ``input`` (the first
    two behind the words ``Summary:`` and ``Signature:``) and ``output``.

    Raises:
        DataError: the file, the line and what it lacks.
    """
    assert track.task == GENERATION
    path = authors_path(folder, track.language, split)
    kept: list[Sample] = []
    dropped: Counter[str] = Counter()
    for number, record in enumerate(hubtables.records(path, {})):
        inputs, output = _authors_fields(record, f"{path}:{number + 1}")
        if output.strip():
            kept.append(Sample(f"{split}-{number}@{track}", track, inputs, output))
        else:
            dropped["no output"] += 1
    return kept, dropped


def _authors_fields(record: Mapping[str, Any], where: str) -> tuple[dict[str, str], str]:
    """The inputs and the output of a line."""
    names = ("input", "output") if "input" in record else ("summary", "signature", "output")
    for name in names:
        if not isinstance(record.get(name), str):
            raise DataError(f"{where}: {name!r} is missing or not a text", hint=_LAYOUT)
    if "input" not in record:
        return {name: record[name] for name in ("summary", "signature")}, record["output"]
    _, found, rest = record["input"].partition("Summary:")
    summary, signed, signature = rest.partition("Signature:")
    if not found or not signed:
        raise DataError(f"{where}: 'input' without Summary: and Signature:", hint=_LAYOUT)
    return {"summary": summary.strip(), "signature": signature.strip()}, record["output"]
