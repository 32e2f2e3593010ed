"""Cognitive complexity per snippet, summed over its functions.

``cognitive_complexity``: no value where the snippet does not parse. Python by complexipy,
Java and C# by ``bench.scoring.quality.cognitive`` after the same paper; on the study's Java
outputs that is what SonarCloud printed wherever SonarCloud could read the file.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from bench.scoring.admission import TOO_DEEP, each
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import cognitive, syntax


class Cognitive(evaluate.Metric):  # type: ignore[misc]
    """``cognitive_complexity``; option ``language``: python, java or csharp."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Cognitive complexity of snippets.",
            citation="Campbell, Cognitive Complexity: an overview and evaluation, TechDebt 2018",
            inputs_description="predictions: one snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str], language: str) -> dict[str, Any]:
        def score_one(index: int) -> list[float | None] | str:
            why = syntax.failure(predictions[index], language)
            if why is not None:
                return why
            found = cognitive.measure(predictions[index], language)
            return TOO_DEEP if found is None else [found]

        return result(each(COLUMNS["cognitive"], len(predictions), score_one))
