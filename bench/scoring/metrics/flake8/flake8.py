"""Flake8's violations per Python snippet (its default selection and line length).

A snippet that does not parse has no value: Flake8 reports one E999 and what its tokenizer
could still see. Not counted is the missing final newline (W292), which speaks of the
file. Comments that silence it do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import result
from bench.scoring.quality import python, silencing, syntax

OF_THE_FILE = {"W292"}


class Flake8(evaluate.Metric):  # type: ignore[misc]
    """``flake8_violations``; option ``names``: file names, one per instance."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Count of Flake8's violations.",
            citation="Flake8, https://flake8.pycqa.org",
            inputs_description="predictions: one Python snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self, predictions: list[str], names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        stems = names or [f"output_{index:06d}" for index in range(len(predictions))]
        reasons = [syntax.failure(code, "python") for code in predictions]
        parsed = [index for index, why in enumerate(reasons) if why is None]
        violations: Column = [None] * len(predictions)
        plain = [silencing.unsilenced(predictions[i], "python") for i in parsed]
        found = python.flake8(plain, [stems[i] for i in parsed])
        for index, messages in zip(parsed, found, strict=True):
            if messages is None:
                reasons[index] = python.CRASHED
            else:
                violations[index] = sum(m.code not in OF_THE_FILE for m in messages)
        return result(Rows({"flake8_violations": violations}, reasons))
