"""CodeBLEU per instance: ``codebleu`` (corrected) and ``codebleu@published`` (0.7.0's).

What the two are, and why, stands in ``bench.scoring.codebleu``.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from bench.scoring.admission import each
from bench.scoring.codebleu import Unmeasurable, score
from bench.scoring.layout import one_line
from bench.scoring.metrics import COLUMNS, result


class Codebleu(evaluate.Metric):  # type: ignore[misc]
    """``codebleu`` and ``codebleu@published`` of each prediction.

    Options: ``language``, one of ``python``, ``java`` and ``csharp``; ``laid_out``: where the
    reference is one line, the published reading takes the output's layout back
    (``bench.scoring.layout``).
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="CodeBLEU in 0..1, corrected and as published.",
            citation="Ren et al., CodeBLEU, 2020, arXiv 2009.10297",
            inputs_description="predictions, references: one snippet per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        language: str,
        laid_out: bool = False,
    ) -> dict[str, Any]:
        def score_one(index: int) -> list[float | None] | str:
            prediction, reference = predictions[index], references[index]
            try:
                corrected, published = score(prediction, reference, language)
                if laid_out and "\n" not in reference.strip():
                    _, published = score(one_line(prediction), reference, language)
                return [corrected, published]
            except Unmeasurable as error:
                return str(error)

        return result(each(COLUMNS["codebleu"], len(predictions), score_one))
