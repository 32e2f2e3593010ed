"""chrF by sacreBLEU (character n-grams to order 6, beta 2, no word n-grams), 0..1."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sacrebleu.metrics.chrf import CHRF

from bench.scoring.admission import each
from bench.scoring.metrics import result
from bench.scoring.words import NOTHING_SEEN


class Chrf(evaluate.Metric):  # type: ignore[misc]
    """``chrf``: the sentence score of each prediction; the empty prediction scores 0."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="chrF (sacreBLEU) in 0..1.",
            citation="Popović, chrF: character n-gram F-score for automatic MT evaluation, 2015",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        scorer = CHRF()

        def score_one(index: int) -> list[float | None] | str:
            if not references[index].strip():
                return NOTHING_SEEN.format(metric="chrF")
            score = scorer.sentence_score(predictions[index], [references[index]]).score
            return [min(float(score) / 100, 1.0)]

        return result(each(["chrf"], len(predictions), score_one))
