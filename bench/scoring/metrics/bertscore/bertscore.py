"""BERTScore F1, see ``bench.scoring.bertscore``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import evaluate

from bench.scoring import bertscore
from bench.scoring.metrics import result


class BertScore(evaluate.Metric):  # type: ignore[misc]
    """``bertscore`` of each prediction, and the reading of the study's script.

    ``mirror`` is the folder with the public data, None for the one that is fetched.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="BERTScore F1 with bert-base-uncased, layer 12.",
            citation="Zhang et al., BERTScore: Evaluating Text Generation with BERT, ICLR 2020",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[str], mirror: str | None = None
    ) -> dict[str, Any]:
        return result(bertscore.rows(predictions, references, Path(mirror) if mirror else None))
