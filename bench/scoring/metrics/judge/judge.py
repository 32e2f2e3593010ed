"""Marks of a language model for summaries, 1..5, each the mean over five answers.

The columns are ``judge_adequacy``, ``judge_conciseness`` and ``judge_fluency``; what is
asked, and of whom, say ``bench.scoring.marks`` and ``bench.scoring.judge``.

``judge_parse_failures`` counts the answers that lack a readable mark on some criterion. A
criterion's mean is over the answers that hold its mark; where none does it has no value.
A blank summary is not asked about: it has the lowest mark on all three.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import evaluate

from bench.grid.store import write_atomic, writing
from bench.scoring import judge, marks
from bench.scoring.admission import Column, Rows, code_refusal
from bench.scoring.metrics import result

FAILURES = "judge_parse_failures"
COLUMNS = (*(f"judge_{name}" for name in marks.CRITERIA), FAILURES)
LOWEST = 1.0
AGAIN = "delete the folder of the scores to ask again (what was answered is kept)"
UNREADABLE = "no answer of the judge holds a readable mark"


class LanguageModelJudge(evaluate.Metric):  # type: ignore[misc]
    """Marks of each prediction as a summary of ``codes`` in ``languages``, lists both.

    ``names`` (a list) and ``record`` (a path) are optional: every answer with the marks
    that were read from it goes there, one JSON line per instance under its name.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean marks of a language model for a summary, 1..5.",
            citation="Haque et al., Parameter-Efficient Multi-Task Fine-Tuning, 2026",
            inputs_description="predictions: one summary per instance; codes: what it is of",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _download_and_prepare(self, dl_manager: Any) -> None:
        del dl_manager  # nothing is downloaded
        self._judge = judge.Judge.configured()

    def _compute(
        self,
        predictions: list[str],
        codes: list[str],
        languages: list[str],
        names: list[str] | None = None,
        record: str | None = None,
    ) -> dict[str, Any]:
        refused = [code_refusal(code) for code in codes]
        asked = {
            index: marks.question(codes[index], languages[index], summary)
            for index, summary in enumerate(predictions)
            if refused[index] is None and summary.strip()
        }
        graded = dict(zip(asked, judge.grade(self._judge, list(asked.values())), strict=True))
        if record is not None:
            _keep(Path(record), names or [str(index) for index in range(len(codes))], graded)
        columns: dict[str, Column] = {name: [] for name in COLUMNS}
        reasons: list[str | None] = []
        for index, why in enumerate(refused):
            if index in graded:
                row, why = _row(graded[index])
            elif why is None:
                row = {**dict.fromkeys(COLUMNS, LOWEST), FAILURES: 0.0}
            else:
                row = {}
            reasons.append(why)
            for name in COLUMNS:
                columns[name].append(row.get(name))
        return result(Rows(columns, reasons))


def _row(graded: judge.Graded) -> tuple[dict[str, float], str | None]:
    """The values of one instance, and why some of them are missing."""
    given = [marks.read(answer) for answer in graded.answers if answer is not None]
    if len(given) < judge.RUNS:
        return {}, f"{graded.why or 'the judge gave no answer'}; {AGAIN}"
    row = {FAILURES: float(sum(len(one) < len(marks.CRITERIA) for one in given))}
    for name in marks.CRITERIA:
        found = [one[name] for one in given if name in one]
        if found:
            row[f"judge_{name}"] = statistics.fmean(found)
    return row, None if len(row) == len(COLUMNS) else UNREADABLE


def _keep(path: Path, names: Sequence[str], graded: dict[int, judge.Graded]) -> None:
    lines = []
    for index, one in graded.items():
        answers = [
            {"answer": text, "marks": None if text is None else marks.read(text)}
            for text in one.answers
        ]
        lines.append(json.dumps({"name": names[index], "answers": answers, "why": one.why}) + "\n")
    with writing(path):
        write_atomic(path, "".join(lines).encode())
