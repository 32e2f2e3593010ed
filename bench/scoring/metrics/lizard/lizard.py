"""Size, complexity and detection rate by Lizard, with the parse failures beside them.

- ``lizard_ccn``, ``lizard_nloc``, ``lizard_tokens``: sums over the functions found; no
  value where the output does not parse, holds no function, or holds others than Lizard finds.
  An expression body of C# counts as the block that it stands for.
- the same ``@published``: functions with a complexity above 15 count twice, and an output
  without any function counts as 0. Published with Lizard 1.17.31; later versions count
  the lines of Python docstrings differently.
- ``lizard_detection``: 1 where any function is found, else 0. Comments that hide functions
  from Lizard do so in the published values alone.
- ``parse_failures``: 1 where the output does not parse, else 0.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from bench.scoring.admission import each
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import complexity, functions, silencing, syntax


class Lizard(evaluate.Metric):  # type: ignore[misc]
    """Lizard's figures of each prediction; option ``language``: python, java or csharp."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Lines, tokens and cyclomatic complexity of snippets, by Lizard.",
            citation="Yin, Lizard: an extensible cyclomatic complexity analyser",
            inputs_description="predictions: one snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str], language: str) -> dict[str, Any]:
        reasons: dict[int, str] = {}

        def score_one(index: int) -> list[float | None]:
            code = predictions[index]
            plain = silencing.unsilenced(code, language)
            if language == "csharp":
                plain = functions.spelled_out(plain)
            found = complexity.measure(plain, language)
            listed = found if plain == code else complexity.measure(code, language)
            why = syntax.failure(code, language)
            sums: list[float | None] = [found.ccn, found.nloc, found.tokens]
            missing = why or _missing(found.functions, code, language)
            if missing:
                reasons[index] = missing
                sums = [None, None, None]
            published = [listed.published_ccn, listed.published_nloc, listed.published_tokens]
            return [*sums, min(found.functions, 1), *published, int(why is not None)]

        rows = each(COLUMNS["lizard"], len(predictions), score_one)
        for index, why in reasons.items():
            rows.reasons[index] = why
        return result(rows)


def _missing(found: int, code: str, language: str) -> str | None:
    """Why Lizard's sums are not those of some code that parses."""
    if not found:
        return "holds no function that Lizard finds"
    there = functions.count(code, language)
    if found == there:
        return None
    return f"Lizard finds {found} functions where there are {there}"
