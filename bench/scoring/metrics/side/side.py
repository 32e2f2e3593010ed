"""SIDE, the alignment of a summary with the code that it describes: ``bench.scoring.side``."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from bench.scoring import side
from bench.scoring.metrics import result


class Side(evaluate.Metric):  # type: ignore[misc]
    """``side`` of each prediction to ``codes``, a list with the code of each instance."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="SIDE: alignment of a summary with the code's semantics.",
            citation="Mastropaolo et al., Evaluating Code Summarization Techniques, ICSE 2024",
            inputs_description="predictions: one summary per instance; codes: its Java method",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _download_and_prepare(self, dl_manager: Any) -> None:
        del dl_manager  # nothing is downloaded
        self._folders, self._absent = side.checkpoints()

    def _compute(self, predictions: list[str], codes: list[str]) -> dict[str, Any]:
        return result(side.rows(predictions, codes, self._folders, self._absent))
