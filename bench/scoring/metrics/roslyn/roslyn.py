"""Diagnostics of Roslyn's parser per C# snippet.

- ``roslyn_syntax_errors`` (corrected): errors of the snippet read as members of a class;
  ``roslyn_maintainability``: what else the parser remarks there (its warnings). No value
  where the output holds no code: a parser has nothing to say of an empty file.
- the same ``@published``: the snippet as it stands, without a class, which is an error of its
  own (CS0106) wherever a method has a modifier. Ids that begin with CS01 count as syntax
  errors, all others as maintainability, although most of them (CS1002, CS1513, …) are errors
  of syntax; an empty output has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import csharp, silencing, syntax

PUBLISHED_SYNTAX_ERROR = "CS01"
CRASHED = "Roslyn's parser did not finish"


class Roslyn(evaluate.Metric):  # type: ignore[misc]
    """Counts of the parser's diagnostics of each prediction."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Counts of the C# parser's diagnostics, corrected and as published.",
            citation="Roslyn, https://github.com/dotnet/roslyn",
            inputs_description="predictions: one C# snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str]) -> dict[str, Any]:
        columns: dict[str, Column] = {name: [] for name in COLUMNS["roslyn"]}
        reasons: list[str | None] = []
        for code, reading in zip(predictions, _readings(predictions), strict=True):
            row, why = count(reading, empty=syntax.failure(code, "csharp") == syntax.NO_CODE)
            reasons.append(why)
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
        return result(Rows(columns, reasons))


def _readings(codes: Sequence[str]) -> list[csharp.Reading | None]:
    """What is found in each snippet; as members of a class without what silences some of it."""
    plain = [silencing.unsilenced(code, "csharp") for code in codes]
    silenced = [index for index, code in enumerate(codes) if plain[index] != code]
    found = csharp.diagnose([*codes, *(plain[index] for index in silenced)])
    readings = list(found[: len(codes)])
    for index, other in zip(silenced, found[len(codes) :], strict=True):
        mine = readings[index]
        if mine is not None and other is not None:
            readings[index] = dataclasses.replace(mine, as_members=other.as_members)
    return readings


def count(reading: csharp.Reading | None, *, empty: bool) -> tuple[Column, str | None]:
    """The four values of a snippet (corrected, then published), and why any is missing."""
    if reading is None:
        return [None] * 4, CRASHED
    errors = sum(found.error for found in reading.as_members)
    corrected: Column = [None, None] if empty else [errors, len(reading.as_members) - errors]
    syntactic = sum(found.id.startswith(PUBLISHED_SYNTAX_ERROR) for found in reading.as_it_stands)
    published = [syntactic, len(reading.as_it_stands) - syntactic]
    return [*corrected, *published], syntax.NO_CODE if empty else None
