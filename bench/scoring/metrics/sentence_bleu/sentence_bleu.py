"""Sentence BLEU by sacreBLEU (tokenizer 13a, exponential smoothing, effective order), 0..1."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sacrebleu.metrics.bleu import BLEU

from bench.scoring.admission import each
from bench.scoring.metrics import result


class SentenceBleu(evaluate.Metric):  # type: ignore[misc]
    """``bleu``: the sentence score of each prediction; the empty prediction scores 0."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Sentence BLEU (sacreBLEU) in 0..1.",
            citation="Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        scorer = BLEU(effective_order=True)

        def score_one(index: int) -> list[float | None]:
            score = scorer.sentence_score(predictions[index], [references[index]]).score
            return [min(float(score) / 100, 1.0)]

        return result(each(["bleu"], len(predictions), score_one))
