"""Which texts the metrics take, and how a value that is missing says why.

A model writes anything: nothing at all, a megabyte without a line break, ten thousand
brackets, half a surrogate pair. Such a text must neither end a stage nor count as a
perfect or a worthless answer, so it has no value, with a reason that the report counts.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

#: Longest text that is scored, in characters; the study's outputs end at 512 tokens
#: (the longest of 2,748 published ones has 2,538 characters).
MAX_CHARACTERS = 20_000

TOO_LONG = f"longer than {MAX_CHARACTERS} characters"
NOT_UNICODE = "not valid Unicode (half a surrogate pair)"
NO_CODE = "the code that it was written for is not known"
TOO_DEEP = "nested too deeply to be analysed"
NOT_INSTALLED = "not run: {package} is not installed; pip install 'bench[score]'"

Column = list[float | None]


class NotRunError(Exception):
    """A metric cannot run on this machine: why, and how to get what it lacks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Per-instance values: one list per column, and per instance why a value is missing.

    ``remark`` is what is to be known of all of them, for example the version of a tool.
    """

    columns: dict[str, Column]
    reasons: list[str | None]
    remark: str = ""


def refusal(text: str) -> str | None:
    """Why a text is not scored at all; None where it is."""
    if len(text) > MAX_CHARACTERS:
        return TOO_LONG
    try:
        text.encode()
    except UnicodeEncodeError:
        return NOT_UNICODE
    return None


def code_refusal(code: str) -> str | None:
    """Why an output cannot be held against the code that it was written for."""
    return refusal(code) if code.strip() else NO_CODE


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that exist; None where there is none."""
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if present else None


def each(
    names: Sequence[str], instances: int, score_one: Callable[[int], Sequence[float | None] | str]
) -> Rows:
    """Score instance by instance; ``score_one`` gives its values, or why it has none.

    An instance whose analysis exhausts the interpreter's stack has no values either.
    """
    columns: dict[str, Column] = {name: [] for name in names}
    reasons: list[str | None] = []
    for index in range(instances):
        try:
            values = score_one(index)
        except RecursionError:
            values = TOO_DEEP
        missing = isinstance(values, str)
        reasons.append(values if isinstance(values, str) else None)
        row = [None] * len(names) if missing else list(values)
        for name, value in zip(names, row, strict=True):
            columns[name].append(value)  # type: ignore[arg-type]
    return Rows(columns, reasons)


def of_admitted(
    columns: Iterable[str],
    predictions: Sequence[str],
    references: Sequence[str] | None,
    measure: Callable[[Callable[[Any], Any]], Rows],
) -> Rows:
    """The rows of all instances, of which only those with texts that are scored are measured.

    ``measure`` is given what takes the admitted instances out of a list, and leaves anything
    else as it is; without any it is not called.
    """
    total = len(predictions)
    pairs = zip(predictions, references if references is not None else predictions, strict=True)
    verdicts = [refusal(prediction) or refusal(reference) for prediction, reference in pairs]
    refused = {index: why for index, why in enumerate(verdicts) if why is not None}
    kept = [index for index in range(total) if index not in refused]

    def keep(values: Any) -> Any:
        return [values[index] for index in kept] if isinstance(values, list | tuple) else values

    rows = measure(keep) if kept else Rows({column: [] for column in columns}, [])
    return spread(rows, kept, refused, total)


def spread(rows: Rows, kept: Sequence[int], refused: Mapping[int, str], instances: int) -> Rows:
    """Put the values of the ``kept`` instances back among all, the refused ones without."""
    reasons: list[str | None] = [refused.get(index) for index in range(instances)]
    columns: dict[str, Column] = {name: [None] * instances for name in rows.columns}
    for position, index in enumerate(kept):
        reasons[index] = rows.reasons[position]
        for name, values in rows.columns.items():
            columns[name][index] = values[position]
    return Rows(columns, reasons, rows.remark)
