"""The statistics that the replication package prints: its ``*_CLEAN.txt`` files as data.

A file holds one research question's comparisons of one track: per size a Wilcoxon table,
or one table of McNemar's tests of both languages. Values stay as printed, so that "equal"
can mean equal in every printed digit.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.analysis.published.instances import read_bytes, unlike_manifest
from bench.analysis.published.names import FETCH_AGAIN, TASKS_OF
from bench.errors import BenchError, DataError
from bench.naming import METHOD_LABELS
from bench.records import GENERATION

PATTERN = "*_CLEAN.txt"

_NUMBER = r"(NA|NaN|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_NAME = re.compile(
    r"(?P<rq>rq\d)_(?:(?P<task>c[gst])_(?P<language>python|py|java_cs|cs_java|java)|pass1)(?:_|$)"
)
_TITLE = re.compile(r"RQ\d\b.*")
_WILCOXON = re.compile(rf"(\S+)\s+{_NUMBER}\s+{_NUMBER}\s+(Yes|No|NA)")
_MCNEMAR = re.compile(rf"(\S.*?)\s{{2,}}{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(\d+)\s+(\d+)")
_SIZE = re.compile(r"qwen\s*(\d+(?:\.\d+)?)\s*b\b", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:\([a-z]\)\s*)?(python|java)\b", re.IGNORECASE)
_MODEL = r"\S+(?: \((?:\d-task|C[GST]\+C[GST])\))?"
_VERSUS = re.compile(f"{_MODEL} vs {_MODEL}")
_MIXTURE = re.compile(r"c[gst]\+c[gst]", re.IGNORECASE)

#: A model: its method, and the tasks of a two-task mixture (empty for the grid's models).
Side = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Printed:
    """One printed row. ``p_adj`` and ``effect`` are the texts as printed (``NA`` included).

    ``a_only`` and ``b_only``: McNemar's discordant counts.
    """

    language: str
    size: str
    comparison: str
    metric: str
    p_adj: str
    effect: str
    a_only: int | None = None
    b_only: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One file. ``named``: the adjustment in its name; ``noted``: the one that it states."""

    name: str
    rq: str
    task: str
    test: str
    named: str | None
    noted: str | None
    rows: tuple[Printed, ...]


def results(folders: Iterable[Path]) -> tuple[list[Result], list[BenchError]]:
    """Every printed file below some folders, by name, and what could not be read."""
    found: dict[str, Result] = {}
    problems: list[BenchError] = []
    paths = {path.name: path for folder in folders for path in sorted(folder.rglob(PATTERN))}
    for name, path in sorted(paths.items()):
        try:
            content = read_bytes(path)
            problems += unlike_manifest(path, content)
            found[name] = parse(name, content.decode(), str(path))
        except UnicodeDecodeError as error:
            told = f"{path}: not UTF-8 at byte {error.start}"
            problems.append(DataError(told, hint=FETCH_AGAIN))
        except DataError as error:
            problems.append(error)
    return list(found.values()), problems


def parse(name: str, text: str, where: str) -> Result:
    """One printed file.

    Raises:
        DataError: its name says no question and track, or it holds no row of a table.
    """
    lines = [line.strip() for line in text.splitlines()]
    named = _NAME.match(name.lower())
    if named is None:
        raise DataError(
            f"{where}: its name does not say the question and the track",
            hint="name it like rq1_cg_java_st_vs_mt_wilcoxon_CLEAN.txt",
        )
    title = next((line for line in lines if _TITLE.match(line)), "")
    if named["task"] is None:
        test, task, rows = "mcnemar", GENERATION, tuple(_mcnemar(lines, title))
    else:
        language = "python" if named["language"] == "py" else named["language"]
        test, task, rows = "wilcoxon", TASKS_OF[named["task"]], tuple(_wilcoxon(lines, language))
    if not rows:
        raise DataError(f"{where}: holds no row of a {test} table", hint=FETCH_AGAIN)
    adjust = re.search(r"_(bh|holm)_", name.lower())
    return Result(
        name,
        named["rq"].upper(),
        task,
        test,
        {"bh": "BH", "holm": "holm"}[adjust[1]] if adjust else None,
        _noted(lines),
        rows,
    )


def _noted(lines: Sequence[str]) -> str | None:
    """The adjustment that the file's note states."""
    note = next((line for line in lines if line.lower().startswith("note: p-values")), "")
    if "Holm" in note:
        return "holm"
    return "BH" if re.search(r"BH|Benjamini", note) else None


def _wilcoxon(lines: Sequence[str], language: str) -> Iterator[Printed]:
    size, comparison = "", ""
    for line in lines:
        if (header := _SIZE.match(line)) and ":" in line:
            size, comparison = f"{header[1]}B", line.partition(":")[2].strip()
        elif (row := _WILCOXON.fullmatch(line)) and size:
            yield Printed(language, size, comparison, row[1], row[2], row[3])


def _mcnemar(lines: Sequence[str], title: str) -> Iterator[Printed]:
    language, in_title = "", _VERSUS.search(title.partition(" - ")[2])
    comparison = in_title[0] if in_title else ""
    titled_size = _SIZE.search(title)
    for line in lines:
        if row := _MCNEMAR.fullmatch(line):
            size = _SIZE.match(row[1]) or titled_size
            if language and size:
                versus = row[1] if " vs " in row[1] else comparison
                yield Printed(
                    language,
                    f"{size[1]}B",
                    versus,
                    "pass@1",
                    row[3],
                    row[4],
                    int(row[5]),
                    int(row[6]),
                )
        elif header := _LANGUAGE.match(line):
            language = header[1].lower()
            comparison = line.partition(":")[2].strip() or comparison


def sides(comparison: str) -> tuple[Side, Side]:
    """The two models of a printed comparison.

    Without a method's name a side is MT-QLoRA, as in ``3-task vs CG+CS``.
    """
    first, _, second = comparison.partition(" vs ")
    return _side(first), _side(second)


def _side(text: str) -> Side:
    mixture = _MIXTURE.search(text)
    names = {label.lower(): method for method, label in METHOD_LABELS.items()}
    method = next((names[label] for label in names if label in text.lower()), "mt-qlora")
    return method, mixture[0].upper() if mixture else ""


def agrees(value: float | None, text: str) -> bool:
    """Whether a value is the printed one in every printed digit; ``-0.0000`` is ``0.0000``."""
    if value is None or text in ("NA", "NaN"):
        return value is None and text in ("NA", "NaN")
    digits = len(text.partition(".")[2])
    if "e" in text.lower():
        return abs(value - float(text)) <= abs(float(text)) * 1e-3
    shown = f"{value:.{digits}f}"
    return shown == text or float(shown) == float(text) == 0


def number(text: str) -> float | None:
    """A printed value as a number, None for NA."""
    return None if text in ("NA", "NaN") else float(text)
