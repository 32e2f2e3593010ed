"""Sonar's analysers per snippet of Python or Java, not SonarCloud: rules as SonarLint has them.

- ``sonar_loc``: lines of code. ``sonar_reliability``: bugs. ``sonar_maintainability``: code
  smells. ``sonar_hotspots``: security hotspots. ``sonar_ccn`` and ``sonar_cognitive``:
  cyclomatic and cognitive complexity, summed over the functions.

Corrected reading only: no value where the snippet does not parse, nothing is counted of the
class that is put around a Java snippet, and comments and annotations silence nothing. C#
needs another analyser and is not run. The versions are in ``remark``; SonarCloud's own rules
change with time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from bench.scoring.admission import Column, NotRunError, Rows
from bench.scoring.metrics import COLUMNS, result
from bench.scoring.quality import java, silencing, sonar, sonartools, syntax

NO_CSHARP = (
    "not run: Sonar's analyser of C# needs a build by MSBuild; use the metrics roslyn and"
    " cognitive for C#"
)


class Sonar(evaluate.Metric):  # type: ignore[misc]
    """Issues and measures; options ``language``, and for Java ``names``: a class name each."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Bugs, code smells, hotspots, size and complexity by Sonar's analysers.",
            citation="SonarLint, https://www.sonarsource.com",
            inputs_description="predictions: one snippet per instance",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self, predictions: list[str], language: str, names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        if language == "csharp":
            raise NotRunError(NO_CSHARP)
        failures = [syntax.failure(code, language) for code in predictions]
        plain = [silencing.unsilenced(code, language) for code in predictions]
        if language == "java":
            classes = names or java.default_names(len(predictions))
            units = list(map(java.corrected_unit, plain, classes))
        else:
            units = list(map(sonar.python_unit, plain))
        reports = sonar.analyse([unit.text for unit in units], language)
        columns: dict[str, Column] = {name: [] for name in COLUMNS["sonar"]}
        reasons: list[str | None] = []
        for code, unit, report, why in zip(predictions, units, reports, failures, strict=True):
            lines = sonar.code_lines(code) if language == "python" and why is None else None
            if language == "python" and lines is None:
                why = why or syntax.UNPARSABLE
            values, reason = sonar.values(report, why, unit, lines)
            reasons.append(reason)
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
        return result(Rows(columns, reasons, f"{sonartools.jars().name}, not SonarCloud"))
