"""ROUGE-L F-measure with Porter stemming (rouge-score), 0..1.

- ``rouge_l`` (corrected): over the words of any script (``bench.scoring.words``); no value
  where the reference has no word.
- ``rouge_l@published``: over runs of a to z and 0 to 9, as rouge-score and the study have it,
  which sees nothing of other letters: two equal texts in Russian score 0.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from bench.scoring.admission import each
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.words import NOTHING_SEEN, words


class _Words(Tokenizer):  # type: ignore[misc]
    """rouge-score's own words, and those of other letters than English has."""

    def __init__(self) -> None:
        self._english = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        found: list[str] = []
        for word in words(text):
            found += self._english.tokenize(word) if word.isascii() else [word]
        return found


class RougeL(evaluate.Metric):  # type: ignore[misc]
    """The F-measure of the longest common subsequence of stemmed words, in both readings."""

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
        english = RougeScorer(["rougeL"], use_stemmer=True)
        any_script = RougeScorer(["rougeL"], tokenizer=_Words())
        unseen: dict[int, str] = {}

        def score_one(index: int) -> list[float | None]:
            pair = references[index], predictions[index]
            published = float(english.score(*pair)["rougeL"].fmeasure)
            if all(map(str.isascii, pair)):
                corrected: float | None = published
            else:
                corrected = float(any_script.score(*pair)["rougeL"].fmeasure)
            if not words(references[index]):
                corrected, unseen[index] = None, NOTHING_SEEN.format(metric="ROUGE-L")
            return [corrected, published]

        rows = each(COLUMNS["rouge_l"], len(predictions), score_one)
        for index, why in unseen.items():
            rows.reasons[index] = why
        return result(rows)
