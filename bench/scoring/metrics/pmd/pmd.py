"""PMD 7.6.0's violations per Java snippet in six categories of its rules.

- ``pmd_bestpractices`` and so on (corrected): no value where the snippet does not parse.
  Not counted is what PMD finds in the class that is put around the snippet; counted is what
  the snippet silences (``NOPMD``, ``@SuppressWarnings``). Imports that the model wrote stand
  where they may, and a constructor names the class.
- the same ``@published``: as the study counts, the class around the snippet included, and
  no violation at all where PMD cannot parse the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import java, syntax


class Pmd(evaluate.Metric):  # type: ignore[misc]
    """Violations per prediction; option ``names``: a class name per instance."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Counts of PMD's violations by category, corrected and as published.",
            citation="PMD, https://pmd.github.io",
            inputs_description="predictions: one Java snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self, predictions: list[str], names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        classes = names or java.default_names(len(predictions))
        pairs = list(zip(predictions, classes, strict=True))
        published = [java.published_unit(*pair) for pair in pairs]
        corrected = [java.corrected_unit(*pair) for pair in pairs]
        found = java.pmd([*published, *corrected])
        columns: dict[str, Column] = {name: [] for name in COLUMNS["pmd"]}
        reasons: list[str | None] = []
        for index, code in enumerate(predictions):
            own, why = java.own(
                found[len(published) + index], corrected[index], syntax.failure(code, "java")
            )
            reported = found[index]
            reasons.append(why or (java.CRASHED if reported is None else None))
            counts = (java.by_category(own), java.by_category(_reported(reported)))
            for name, value in zip(columns, (*counts[0], *counts[1]), strict=True):
                columns[name].append(value)
        return result(Rows(columns, reasons))


def _reported(report: java.Report | None) -> list[java.Violation] | None:
    """What the study counts: all that PMD reports, nothing where it cannot parse."""
    if report is None:
        return None
    return [violation for violation in report.violations if not violation.suppressed]
