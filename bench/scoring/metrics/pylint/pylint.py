"""Pylint's messages per Python snippet, counted by kind: error, warning, convention, refactor.

- ``pylint_errors`` and so on (corrected): no value where the snippet does not parse. Not
  counted is what speaks of the file instead of the code: the missing module docstring
  (C0114), the missing final newline (C0304) and the module's name (C0103 on the module),
  and, where the snippet is a piece of a project that is not there, names that it does not
  define (E0602). Comments that silence messages do not.
- the same ``@published``: every message, as the study counts them; a snippet that does not
  parse has one error and nothing else. Equal to a run of Pylint per file (R0801 aside).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import python, silencing, syntax

#: Pylint's letters in the order of the columns.
LETTERS = "EWCR"
OF_THE_FILE = {"C0114", "C0304"}
MODULE_NAME = "C0103"
UNDEFINED_NAME = "E0602"


class Pylint(evaluate.Metric):  # type: ignore[misc]
    """Messages per prediction.

    Options, one value per instance: ``names`` (file names, default ``output_<n>``) and
    ``standalone`` (False where the snippet belongs into a project; default True).
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Counts of Pylint's messages by kind, corrected and as published.",
            citation="Pylint, https://pylint.readthedocs.io",
            inputs_description="predictions: one Python snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self,
        predictions: list[str],
        names: Sequence[str] | None = None,
        standalone: Sequence[bool] | None = None,
    ) -> dict[str, Any]:
        stems = names or [f"output_{index:06d}" for index in range(len(predictions))]
        found, plain = _messages(predictions, stems)
        columns: dict[str, Column] = {name: [] for name in COLUMNS["pylint"]}
        reasons: list[str | None] = []
        for index, code in enumerate(predictions):
            alone = standalone[index] if standalone is not None else True
            failure = syntax.failure(code, "python")
            row, why = count(found[index], failure, alone, plain.get(index, found[index]))
            reasons.append(why)
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
        return result(Rows(columns, reasons))


Found = list[python.Message] | None


def _messages(codes: Sequence[str], stems: Sequence[str]) -> tuple[list[Found], dict[int, Found]]:
    """The messages of each snippet as it is, and of those that silence some, of all of it."""
    plain = [silencing.unsilenced(code, "python") for code in codes]
    silenced = [index for index, code in enumerate(codes) if plain[index] != code]
    found = python.pylint(
        [*codes, *(plain[index] for index in silenced)],
        [*stems, *(stems[index] for index in silenced)],
    )
    return found[: len(codes)], dict(zip(silenced, found[len(codes) :], strict=True))


def count(
    messages: Found, failure: str | None, standalone: bool, unsilenced: Found
) -> tuple[Column, str | None]:
    """The eight values of a snippet (corrected, then published), and why any is missing.

    ``messages`` are those of the snippet as it is, ``unsilenced`` those without comments that
    silence some or name an encoding; None where Pylint crashed. ``failure`` says why the
    snippet does not parse.
    """
    own = None
    if unsilenced is not None and not failure:
        own = [message for message in unsilenced if _counts(message, standalone)]
    crashed = messages is None or unsilenced is None
    return [*_by_letter(own), *_by_letter(messages)], python.CRASHED if crashed else failure


def _by_letter(messages: Found) -> Column:
    found = Counter(message.code[0] for message in messages or ())
    return [None if messages is None else found[letter] for letter in LETTERS]


def _counts(message: python.Message, standalone: bool) -> bool:
    if message.code == UNDEFINED_NAME:
        return standalone
    of_the_module = message.code == MODULE_NAME and not message.object
    return message.code not in OF_THE_FILE and not (of_the_module and message.line == 1)
