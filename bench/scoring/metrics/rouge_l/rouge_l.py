"""ROUGE-L F-measure with Porter stemming (rouge-score), 0..1."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer

from bench.scoring.admission import each
from bench.scoring.metrics import result


class RougeL(evaluate.Metric):  # type: ignore[misc]
    """``rouge_l``: the F-measure of the longest common subsequence of stemmed words."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="ROUGE-L F-measure with stemming in 0..1.",
            citation="Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        scorer = RougeScorer(["rougeL"], use_stemmer=True)

        def score_one(index: int) -> list[float | None]:
            return [float(scorer.score(references[index], predictions[index])["rougeL"].fmeasure)]

        return result(each(["rouge_l"], len(predictions), score_one))
