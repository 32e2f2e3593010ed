"""SIDE, the alignment of a summary with the code that it describes, in -1..1; Java only.

The cosine of the embeddings of code and summary by an MPNet encoder that was trained with
a triplet loss (mean of the token vectors, at most 512 tokens); no reference is needed.

- ``side``: the checkpoint trained with hard negatives, which is SIDE as its authors report
  it. A blank summary scores 0.
- ``side@published``: the checkpoint that the study's script names, ``baseline`` (trained
  with random negatives); a blank summary is embedded like any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import evaluate

from bench.scoring import hubmodels, sentences
from bench.scoring.admission import Column, NotRunError, Rows, code_refusal
from bench.scoring.metrics import result

#: Column to the kind of checkpoint behind it.
CHECKPOINTS = {"side": "hard-negatives", "side@published": "baseline"}
MAX_TOKENS = 512


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
        self._folders: dict[str, Path] = {}
        self._absent: dict[str, str] = {}
        for column, kind in CHECKPOINTS.items():
            try:
                self._folders[column] = hubmodels.side_folder(kind)
            except NotRunError as error:
                self._absent[column] = str(error)
        if not self._folders:
            raise NotRunError(self._absent["side"])

    def _compute(self, predictions: list[str], codes: list[str]) -> dict[str, Any]:
        refused = [code_refusal(code) for code in codes]
        kept = [index for index, why in enumerate(refused) if why is None]
        columns: dict[str, Column] = {name: [None] * len(predictions) for name in CHECKPOINTS}
        absent = dict(self._absent)
        for column, folder in self._folders.items():
            texts = {text for index in kept for text in (predictions[index], codes[index])}
            try:
                vectors = sentences.encode(texts, folder, MAX_TOKENS)
            except NotRunError as error:
                absent[column] = str(error)
                continue
            for index in kept:
                blank = column == "side" and not predictions[index].strip()
                pair = vectors[predictions[index]], vectors[codes[index]]
                columns[column][index] = 0.0 if blank else sentences.cosine(*pair)
        if len(absent) == len(CHECKPOINTS):
            raise NotRunError(absent["side"])
        # Where one checkpoint of the two is here, each row says why the other has no value.
        missing = next(iter(absent.values()), None)
        return result(Rows(columns, [why or missing for why in refused]))
