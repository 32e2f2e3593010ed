"""BERTScore F1 (bert-base-uncased, twelve layers, no idf weights, no rescaling), about 0..1.

- ``bertscore``: a blank prediction scores 0; against a blank reference there is no value.
- ``bertscore@published``: as the study's script, which leaves out every pair with a blank
  side, so that a model which often writes nothing loses nothing.

Pairs are scored in order of their length, a few hundred at a time: that bounds the memory
of the token vectors that the library keeps.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import bert_score.utils  # type: ignore[import-untyped]
import datasets
import evaluate

from bench.scoring import hubmodels, sentences
from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import result

LAYERS = 12
PAIRS = 256
BATCH = 32

BLANK_PREDICTION = "the prediction is blank"
BLANK_REFERENCE = "the reference is blank"


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
        folder = hubmodels.folder(hubmodels.BERT, Path(mirror) if mirror else None)
        pairs = list(zip(predictions, references, strict=True))
        scores = _score({pair for pair in pairs if all(map(str.strip, pair))}, folder)
        published: Column = [scores.get(pair) for pair in pairs]
        corrected = list(published)
        reasons: list[str | None] = [None] * len(pairs)
        for index, (prediction, reference) in enumerate(pairs):
            if not reference.strip():
                reasons[index] = BLANK_REFERENCE
            elif not prediction.strip():
                corrected[index], reasons[index] = 0.0, BLANK_PREDICTION
        columns = {"bertscore": corrected, "bertscore@published": published}
        return result(Rows(columns, reasons))


def _score(pairs: set[tuple[str, str]], folder: Path) -> dict[tuple[str, str], float]:
    """F1 of distinct pairs (prediction, reference) of texts that hold something."""
    tokenizer, encoder = sentences.load(folder)
    limit = encoder.config.max_position_embeddings
    tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    # The library's own loader takes names, not folders; its scoring takes what is loaded.
    encoder.encoder.layer = encoder.encoder.layer[:LAYERS]
    weights: defaultdict[int, float] = defaultdict(lambda: 1.0)
    weights[tokenizer.sep_token_id] = weights[tokenizer.cls_token_id] = 0.0
    ordered = sorted(pairs, key=lambda pair: (max(map(len, pair)), pair))
    scores: dict[tuple[str, str], float] = {}
    for start in range(0, len(ordered), PAIRS):
        chunk = ordered[start : start + PAIRS]
        found = bert_score.utils.bert_cos_score_idf(
            encoder,
            [reference for _, reference in chunk],
            [prediction for prediction, _ in chunk],
            tokenizer,
            weights,
            batch_size=BATCH,
            device="cpu",
        )
        scores.update(zip(chunk, found[:, 2].tolist(), strict=True))
    return scores
