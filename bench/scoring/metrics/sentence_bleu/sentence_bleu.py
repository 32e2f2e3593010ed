"""Sentence BLEU by sacreBLEU (tokenizer 13a, exponential smoothing, effective order), 0..1.

- ``bleu`` (corrected): a character is a word where a script has no blanks between words
  (``bench.scoring.words``); no value where the reference has no word.
- ``bleu@published``: as sacreBLEU and the study have it, a Chinese sentence as one word.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sacrebleu.metrics.bleu import BLEU

from bench.scoring.admission import each
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.words import NOTHING_SEEN, spaced


class SentenceBleu(evaluate.Metric):  # type: ignore[misc]
    """The sentence score of each prediction in both readings; an empty one scores 0."""

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
        unseen: dict[int, str] = {}

        def score(prediction: str, reference: str) -> tuple[float, int]:
            """The score, and how many words the reference has."""
            found = scorer.sentence_score(prediction, [reference])
            return min(float(found.score) / 100, 1.0), int(found.ref_len)

        def score_one(index: int) -> list[float | None]:
            pair = predictions[index], references[index]
            published, seen = score(*pair)
            plain = published
            if not all(map(str.isascii, pair)):
                plain, seen = score(*map(spaced, pair))
            if not seen:
                unseen[index] = NOTHING_SEEN.format(metric="BLEU")
            return [plain if seen else None, published]

        rows = each(COLUMNS["sentence_bleu"], len(predictions), score_one)
        for index, why in unseen.items():
            rows.reasons[index] = why
        return result(rows)
