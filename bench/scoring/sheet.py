"""Scores as the study's own tables name them: one row per id, one column per value.

The columns of ``pylint.Error``, ``pmd.design`` and so on are those of the published
per-instance files; a metric that the study has no column for is named in the same way
(``flake8.violations``). Both variants have the same names.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import MachineError
from bench.grid.store import write_atomic
from bench.records import TRANSLATION
from bench.scoring import metrics
from bench.scoring.score import NO_TESTS
from bench.scoring.tables import ScoreTables

PUBLISHED, CORRECTED = "published", "corrected"
VARIANTS = (PUBLISHED, CORRECTED)
PASS_AT_1 = "pass@1"  # noqa: S105

#: The study's columns in its order, and ours.
NAMES: Mapping[str, str] = {
    "lizard.Detection_Rate": "lizard_detection",
    "lizard.Cyclomatic_Complexity": "lizard_ccn",
    "lizard.Lines_of_Code": "lizard_nloc",
    "lizard.Token_Count": "lizard_tokens",
    "pylint.Error": "pylint_errors",
    "pylint.Warning": "pylint_warnings",
    "pylint.Convention": "pylint_conventions",
    "pylint.Refactor": "pylint_refactors",
    "pmd.bestpractices": "pmd_bestpractices",
    "pmd.codestyle": "pmd_codestyle",
    "pmd.design": "pmd_design",
    "pmd.errorprone": "pmd_errorprone",
    "pmd.multithreading": "pmd_multithreading",
    "pmd.performance": "pmd_performance",
    "roslyn.Syntax_Errors": "roslyn_syntax_errors",
    "roslyn.Maintainability": "roslyn_maintainability",
    "sonar.LoC": "sonar_loc",
    "sonar.Reliability": "sonar_reliability",
    "sonar.Maintainability": "sonar_maintainability",
    "sonar.Security_Hotspots": "sonar_hotspots",
    "sonar.CyC": "sonar_ccn",
    "sonar.CoC": "sonar_cognitive",
    "pass1.pass@1": PASS_AT_1,
    "codebleu": "codebleu",
    "similarity.BLEU": "bleu",
    "similarity.METEOR": "meteor",
    "similarity.Rouge-L": "rouge_l",
    "similarity.chrF": "chrf",
    "similarity.BERTScore": "bertscore",
    "similarity.SIDE": "side",
    "llm_judge.CA": "judge_adequacy",
    "llm_judge.Conciseness": "judge_conciseness",
    "llm_judge.Fluency": "judge_fluency",
}


#: Readings that the study's scripts have and a careful person would not use.
_PUBLISHED = {column for columns in metrics.COLUMNS.values() for column in columns if "@" in column}


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """Values that are missing for one reason: in these columns, of these ids of all rows."""

    columns: tuple[str, ...]
    reason: str
    ids: tuple[str, ...]
    rows: int


@dataclasses.dataclass(frozen=True, slots=True)
class Sheet:
    """``table``: ``id`` and a column per value, empty where it has none; ``gaps``: why.

    ``remarks``: what is to be known of columns' values, each with the columns.
    """

    table: pd.DataFrame
    gaps: tuple[Gap, ...]
    remarks: Mapping[str, tuple[str, ...]]


def make(ids: Sequence[str], scores: ScoreTables, variant: str, chosen: Collection[str]) -> Sheet:
    """The sheet of one suite and track: a row per id, in their order.

    An id that was not scored has an empty row. A metric with one reading only has it in both
    variants. ``chosen``: the metrics that were asked for.
    """
    ((place, scored),) = scores.tables.items()
    reasons = dict(zip(scored["id"], scores.reasons[place], strict=True))
    values = scored.set_index("id").reindex(list(ids)).reset_index(drop=True)
    columns: dict[str, Any] = {"id": list(ids)}
    missing: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    remarks: dict[str, tuple[str, ...]] = {}
    for name, source in _sources(scored.columns, variant).items():
        without: dict[str, list[str]] = {}
        for identifier, found in reasons.items():
            if source in found:
                without.setdefault(found[source], []).append(identifier)
        untested = place[1].task == TRANSLATION and NO_TESTS in without
        if source == PASS_AT_1 and (untested or PASS_AT_1 not in chosen):
            continue  # the study has no tests of translations, hence no such column
        columns[name] = _whole(values[source])
        if remark := scores.remarks.get((*place, source)):
            remarks[remark] = (*remarks.get(remark, ()), name)
        for reason, named in without.items():
            missing.setdefault((reason, tuple(named)), []).append(name)
    gaps = [Gap(tuple(names), why, of, len(scored)) for (why, of), names in missing.items()]
    return Sheet(pd.DataFrame(columns), tuple(gaps), remarks)


def _sources(present: Iterable[str], variant: str) -> dict[str, str]:
    """The sheet's columns in order, each with the column of the scores that it shows."""
    named = dict(NAMES)
    for metric, columns in metrics.COLUMNS.items():
        for column in columns:
            base = column.partition("@")[0]
            if base not in named.values():
                named[base.replace(f"{metric}_", f"{metric}.", 1)] = base
    sources = {}
    for name, base in named.items():
        other = f"{base}@published"
        sources[name] = other if variant == PUBLISHED and other in _PUBLISHED else base
    there = set(present)
    return {name: source for name, source in sources.items() if source in there}


def _whole(values: pd.Series[float]) -> pd.Series[Any]:
    """Counts as whole numbers, anything else as it is."""
    present = values.dropna()
    return values.astype("Int64") if (present == present.round()).all() else values


def writable(path: Path) -> None:
    """Make sure that a sheet can be written, before minutes are spent on it.

    Raises:
        MachineError: it is no file, or its folder cannot be written.
    """
    if path.exists() and not path.is_file():
        raise MachineError(f"{path}: not a file", hint="name the CSV file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise MachineError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder of yours"
        ) from None


def write(sheet: Sheet, path: Path) -> None:
    """Write a sheet as CSV, whole or not at all.

    Raises:
        MachineError: the disk is full, or its folder has become unwritable.
    """
    content = sheet.table.to_csv(index=False, lineterminator="\n").encode()
    try:
        write_atomic(path, content)
    except OSError as error:
        raise MachineError(
            f"cannot write {path}: {error.strerror}", hint="free some space, or name another file"
        ) from None
