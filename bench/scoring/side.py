"""SIDE, the alignment of a summary with the code that it describes, in -1..1; Java only.

The cosine of the embeddings of code and summary by an MPNet encoder that was trained with
a triplet loss (mean of the token vectors, at most 512 tokens); no reference is needed.

- ``side``: the checkpoint trained with hard negatives, which is SIDE as its authors report
  it. A blank summary scores 0.
- ``side@published``: the checkpoint that the study's script names, ``baseline`` (trained
  with random negatives); a blank summary is embedded like any other.

``side`` has no value where its encoder knows less than half of a text's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.scoring import hubmodels, sentences
from bench.scoring.admission import Column, NotRunError, Rows, code_refusal

#: Column to the kind of checkpoint behind it.
CHECKPOINTS = {"side": "hard-negatives", "side@published": "baseline"}
MAX_TOKENS = 512


def checkpoints() -> tuple[dict[str, Path], dict[str, str]]:
    """The folder of each column's checkpoint, and why a column has none.

    Raises:
        NotRunError: none is on this machine.
    """
    folders: dict[str, Path] = {}
    absent: dict[str, str] = {}
    for column, kind in CHECKPOINTS.items():
        try:
            folders[column] = hubmodels.side_folder(kind)
        except NotRunError as error:
            absent[column] = str(error)
    if not folders:
        raise NotRunError(absent["side"])
    return folders, absent


def rows(
    predictions: Sequence[str],
    codes: Sequence[str],
    folders: Mapping[str, Path],
    absent: Mapping[str, str],
) -> Rows:
    """SIDE of each prediction to its code, with the ``checkpoints`` that are here.

    Raises:
        NotRunError: none of them can be loaded.
    """
    refused = [code_refusal(code) for code in codes]
    kept = [index for index, why in enumerate(refused) if why is None]
    columns: dict[str, Column] = {name: [None] * len(predictions) for name in CHECKPOINTS}
    lacking = dict(absent)
    for column, folder in folders.items():
        texts = {text for index in kept for text in (predictions[index], codes[index])}
        try:
            vectors = sentences.encode(texts, folder, MAX_TOKENS)
        except NotRunError as error:
            lacking[column] = str(error)
            continue
        corrected = column == "side"
        unseen = sentences.unseen(filter(str.strip, texts), folder) if corrected else {}
        for index in kept:
            written, code = predictions[index], codes[index]
            blank = corrected and (not written.strip() or unseen.get(written) == 0)
            blind = sentences.blindness(written, code, unseen, other_is="code")
            refused[index] = blind or refused[index]
            if blind is None:
                alike = sentences.cosine(vectors[written], vectors[code])
                columns[column][index] = 0.0 if blank else alike
    if len(lacking) == len(CHECKPOINTS):
        raise NotRunError(lacking["side"])
    # Where one checkpoint of the two is here, each row says why the other has no value.
    missing = next(iter(lacking.values()), None)
    return Rows(columns, [why or missing for why in refused])
