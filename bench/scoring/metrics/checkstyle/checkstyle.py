"""Checkstyle's violations of Sun's conventions (its own ``sun_checks.xml``) per Java snippet.

A snippet that does not parse has no value. Not counted is what Checkstyle finds in the class
that is put around the snippet or says of the whole file. The count depends on Checkstyle's
version, which ``remark`` names; the study used 10.21.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, Rows
from bench.scoring.metrics import result
from bench.scoring.quality import java, javatools, silencing, syntax


class Checkstyle(evaluate.Metric):  # type: ignore[misc]
    """``checkstyle_violations``; option ``names``: a class name per instance."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Count of Checkstyle's violations of Sun's conventions.",
            citation="Checkstyle, https://checkstyle.org",
            inputs_description="predictions: one Java snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self, predictions: list[str], names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        classes = names or java.default_names(len(predictions))
        units = [
            java.corrected_unit(silencing.unsilenced(code, "java"), name, indent="")
            for code, name in zip(predictions, classes, strict=True)
        ]
        violations: Column = []
        reasons: list[str | None] = []
        for code, unit, report in zip(predictions, units, java.checkstyle(units), strict=True):
            own, why = java.own(report, unit, syntax.failure(code, "java"))
            violations.append(None if own is None else len(own))
            reasons.append(why)
        remark = f"{javatools.checkstyle().name}; the study used {javatools.STUDY_CHECKSTYLE}"
        return result(Rows({"checkstyle_violations": violations}, reasons, remark))
