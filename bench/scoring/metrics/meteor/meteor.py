"""METEOR (nltk: alpha 0.9, beta 3, gamma 0.5) in 0..1, with or without WordNet's synonyms.

- configuration ``default``, column ``meteor``: exact and stem matches. It needs no data
  beyond pip's packages and is the same on every machine, so the summaries' similarity is
  built on it. A text whose words all match in order has no penalty, as in METEOR's own
  program (nltk takes half from one equal word); a character is a word where a script has no
  blanks between words (``bench.scoring.words``).
- configuration ``wordnet``, column ``meteor@published``: synonyms of WordNet 3.0 match too,
  as in the study; only where WordNet's files are installed.

Words are those of nltk's Treebank tokenizer without its sentence splitter (whose model
would have to be downloaded).
"""

from __future__ import annotations

import functools
from typing import Any

import datasets
import evaluate
import nltk.stem.porter
import nltk.tokenize.destructive
import nltk.translate.meteor_score

from bench.scoring import wordnet
from bench.scoring.admission import each
from bench.scoring.metrics import result
from bench.scoring.words import NOTHING_SEEN, spaced


class _NoSynonyms:
    """A WordNet that knows no word."""

    def synsets(self, word: str) -> list[Any]:
        del word
        return []


class Meteor(evaluate.Metric):  # type: ignore[misc]
    """``meteor`` or, in configuration ``wordnet``, ``meteor@published`` of each prediction."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="METEOR in 0..1.",
            citation="Lavie and Agarwal, METEOR, WMT 2007",
            inputs_description="predictions, references: one text per instance",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _download_and_prepare(self, dl_manager: Any) -> None:
        del dl_manager  # nothing is downloaded
        full = self.config_name == "wordnet"
        self._column = "meteor@published" if full else "meteor"
        self._synonyms = wordnet.installed() if full else _NoSynonyms()

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        tokenize = nltk.tokenize.destructive.NLTKWordTokenizer().tokenize
        corrected = self._column == "meteor"
        stem = functools.lru_cache(maxsize=None)(nltk.stem.porter.PorterStemmer().stem)

        @functools.cache
        def words(text: str) -> list[str]:
            found: list[str] = tokenize(spaced(text) if corrected else text)
            return found

        def score_one(index: int) -> list[float | None] | str:
            reference, prediction = words(references[index]), words(predictions[index])
            if corrected and not reference:
                return NOTHING_SEEN.format(metric="METEOR")
            if corrected and list(map(stem, reference)) == list(map(stem, prediction)):
                return [1.0]
            score = nltk.translate.meteor_score.single_meteor_score(
                reference, prediction, wordnet=self._synonyms
            )
            return [float(score)]

        return result(each([self._column], len(predictions), score_one))
