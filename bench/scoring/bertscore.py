"""BERTScore F1 (bert-base-uncased, twelve layers, no idf weights, no rescaling), about 0..1.

- ``bertscore``: a blank prediction scores 0; against a blank reference there is no value, nor
  where the encoder knows less than half of a text's words.
- ``bertscore@published``: as the study's script, which leaves out every pair with a blank
  side, so that a model which often writes nothing loses nothing.

Pairs are scored in order of their length, a few hundred at a time: that bounds the memory
of the token vectors that the library keeps.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.scoring import hubmodels, sentences
from bench.scoring.admission import NOT_INSTALLED, Column, NotRunError, Rows

COLUMNS = ("bertscore", "bertscore@published")
LAYERS = 12
PAIRS = 256
BATCH = 32

BLANK_PREDICTION = "the prediction is blank"
BLANK_REFERENCE = "the reference is blank"


def rows(predictions: Sequence[str], references: Sequence[str], mirror: Path | None) -> Rows:
    """Both readings of each prediction against its reference.

    ``mirror`` is the folder with the public data, None for the one that is fetched.

    Raises:
        NotRunError: the model or the library is not on this machine.
    """
    folder = hubmodels.folder(hubmodels.BERT, mirror)
    pairs = list(zip(predictions, references, strict=True))
    whole = {pair for pair in pairs if all(map(str.strip, pair))}
    scores = _score(whole, folder)
    unseen = sentences.unseen(itertools.chain(*whole), folder) if whole else {}
    published: Column = [scores.get(pair) for pair in pairs]
    corrected = list(published)
    reasons: list[str | None] = [None] * len(pairs)
    for index, (prediction, reference) in enumerate(pairs):
        if not reference.strip():
            reasons[index] = BLANK_REFERENCE
        elif not prediction.strip():
            corrected[index], reasons[index] = 0.0, BLANK_PREDICTION
        elif why := sentences.blindness(prediction, reference, unseen):
            corrected[index], reasons[index] = None, why
    return Rows(dict(zip(COLUMNS, (corrected, published), strict=True)), reasons)


def _score(pairs: Iterable[tuple[str, str]], folder: Path) -> dict[tuple[str, str], float]:
    """F1 of distinct pairs (prediction, reference) of texts that hold something."""
    try:
        import bert_score.utils  # type: ignore[import-untyped]
    except ImportError as error:
        raise NotRunError(NOT_INSTALLED.format(package=error.name)) from error
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
