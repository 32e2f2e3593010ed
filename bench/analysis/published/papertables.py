"""The paper's tables: which rows each has, as printed where they are, else as they must be.

A table is what was adjusted together in one file: the metrics of a track, or pass@1 of both
languages. Where a printed file is absent its rows follow from what the files of the
per-instance values hold, so that they are recomputed all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.analysis.comparisons import QUESTIONS
from bench.analysis.published.instances import Package
from bench.analysis.published.printed import Printed, Result, Side, sides
from bench.naming import METHOD_LABELS
from bench.records import GENERATION, SUMMARIZATION, TRANSLATION, Track

#: The printed names of the metrics, and the tool and column that each is of.
METRICS: Mapping[str, tuple[str, str]] = {
    "pass@1": ("pass1", "pass@1"),
    "CodeBLEU": ("codebleu", "codebleu"),
    "BLEU": ("similarity", "bleu"),
    "METEOR": ("similarity", "meteor"),
    "Rouge-L": ("similarity", "rouge_l"),
    "chrF": ("similarity", "chrf"),
    "BERTScore": ("similarity", "bertscore"),
    "SIDE": ("similarity", "side"),
    "CA": ("judge", "judge_adequacy"),
    "Conciseness": ("judge", "judge_conciseness"),
    "Fluency": ("judge", "judge_fluency"),
    "Lizard_LoC": ("lizard", "lizard_nloc"),
    "Lizard_ToK": ("lizard", "lizard_tokens"),
    "Lizard_DR": ("lizard", "lizard_detection"),
    "Lizard_CyC": ("lizard", "lizard_ccn"),
    "PMD_BestPrac": ("pmd", "pmd_bestpractices"),
    "PMD_CS": ("pmd", "pmd_codestyle"),
    "PMD_Design": ("pmd", "pmd_design"),
    "PMD_EP": ("pmd", "pmd_errorprone"),
    "PMD_MT": ("pmd", "pmd_multithreading"),
    "PMD_Perf": ("pmd", "pmd_performance"),
    "Pylint_Err": ("pylint", "pylint_errors"),
    "Pylint_War": ("pylint", "pylint_warnings"),
    "Pylint_Conv": ("pylint", "pylint_conventions"),
    "Pylint_Ref": ("pylint", "pylint_refactors"),
    "Roslyn_SynErr": ("roslyn", "roslyn_syntax_errors"),
    "Roslyn_Main": ("roslyn", "roslyn_maintainability"),
    "Sonar_Sec": ("sonar", "sonar_hotspots"),
    "Sonar_SecHot": ("sonar", "sonar_hotspots"),
    "Sonar_LoC": ("sonar", "sonar_loc"),
    "Sonar_Rel": ("sonar", "sonar_reliability"),
    "Sonar_Main": ("sonar", "sonar_maintainability"),
    "Sonar_CyC": ("sonar", "sonar_ccn"),
    "Sonar_CoC": ("sonar", "sonar_cognitive"),
}

_LIZARD = ("Lizard_LoC", "Lizard_ToK", "Lizard_DR", "Lizard_CyC")
_PMD = ("PMD_BestPrac", "PMD_CS", "PMD_Design", "PMD_EP", "PMD_MT", "PMD_Perf")
_SONAR = ("Sonar_Rel", "Sonar_Main", "Sonar_CyC", "Sonar_CoC")
_TEXT = ("BLEU", "METEOR", "Rouge-L", "chrF", "BERTScore")
_JUDGE = ("CA", "Conciseness", "Fluency")
#: The rows of the paper's Wilcoxon tables: summaries have a second one, of the judge.
TABLES: tuple[tuple[Track, tuple[str, ...]], ...] = (
    (Track(GENERATION, "java"), (*_LIZARD, *_PMD, "Sonar_Sec", *_SONAR)),
    (
        Track(GENERATION, "python"),
        (
            *_LIZARD,
            "Pylint_Err",
            "Pylint_War",
            "Pylint_Conv",
            "Pylint_Ref",
            "Sonar_SecHot",
            *_SONAR,
        ),
    ),
    (Track(SUMMARIZATION, "java"), (*_TEXT, "SIDE")),
    (Track(SUMMARIZATION, "python"), _TEXT),
    (Track(SUMMARIZATION, "java"), _JUDGE),
    (Track(SUMMARIZATION, "python"), _JUDGE),
    (Track(TRANSLATION, "cs_java"), ("CodeBLEU", *_LIZARD, *_PMD, "Sonar_Sec", *_SONAR)),
    (Track(TRANSLATION, "java_cs"), ("CodeBLEU", *_LIZARD, "Roslyn_SynErr", "Roslyn_Main")),
)

#: The abbreviations in a mixture's name, by task.
_ABBREVIATIONS = {GENERATION: "CG", SUMMARIZATION: "CS", TRANSLATION: "CT"}
#: What most of the printed files apply, also where their note says otherwise.
DEFAULT_ADJUSTMENT = "holm"


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One row to recompute: what is compared, and the printed row if there is one."""

    track: Track
    size: str
    comparison: str
    metric: str
    printed: Printed | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """The two models."""
        return sides(self.comparison)

    @property
    def column(self) -> tuple[str, str] | None:
        """The tool and its column; None for a metric that no tool here measures."""
        return METRICS.get(self.metric)


@dataclasses.dataclass(frozen=True, slots=True)
class PaperTable:
    """One file's rows. ``result`` is the printed file, None where the package lacks it."""

    rq: str
    test: str
    rows: tuple[Asked, ...]
    result: Result | None = None

    def families(self) -> list[tuple[Asked, ...]]:
        """What is adjusted together: all of McNemar's tests, else a size's comparison."""
        if self.test == "mcnemar":
            return [self.rows]
        found: dict[tuple[str, str], list[Asked]] = {}
        for row in self.rows:
            found.setdefault((row.size, row.comparison), []).append(row)
        return [tuple(members) for members in found.values()]


def tables(package: Package, results: Iterable[Result]) -> list[PaperTable]:
    """Every table of the study: the printed ones, and those whose printed file is absent."""
    found = [
        PaperTable(
            result.rq,
            result.test,
            tuple(
                Asked(Track(result.task, row.language), row.size, row.comparison, row.metric, row)
                for row in result.rows
            ),
            result,
        )
        for result in results
    ]
    printed = {
        (table.rq, row.track, row.metric.partition("_")[0]) for table in found for row in table.rows
    }
    for table in _expected(package):
        # One row of a track is enough: Sonar's are part of the same table as Lizard's.
        rows = {(table.rq, row.track, row.metric.partition("_")[0]) for row in table.rows}
        if not rows & printed:
            found.append(table)
    return sorted(found, key=lambda table: table.rq)


def _expected(package: Package) -> Iterator[PaperTable]:
    """The tables that the package's per-instance values call for."""
    for rq, pair in QUESTIONS.items():
        versus = " vs ".join(METHOD_LABELS[method] for method in pair)
        wanted = [(f"{size[:-1]}B", versus) for size in package.sizes]
        for track, metrics in TABLES:
            yield PaperTable(rq, "wilcoxon", _rows(track, wanted, metrics))
        yield PaperTable(rq, "mcnemar", _passes(wanted))
    mixtures = sorted({(one.size, one.mixture) for one in package.instances if one.mixture})
    for track, metrics in TABLES:
        if metrics == _JUDGE:  # the package prints no judgment of a two-task model
            continue
        wanted = [
            (f"{size[:-1]}B", f"MT-QLoRA (3-task) vs MT-QLoRA ({mixture})")
            for size, mixture in mixtures
            if _ABBREVIATIONS[track.task] in mixture
        ]
        if wanted:
            yield PaperTable("RQ3", "wilcoxon", _rows(track, wanted, metrics))
    generating = [
        (f"{size[:-1]}B", f"3-task vs {mixture}") for size, mixture in mixtures if "CG" in mixture
    ]
    if generating:
        yield PaperTable("RQ3", "mcnemar", _passes(generating))


def _rows(
    track: Track, wanted: Sequence[tuple[str, str]], metrics: Sequence[str]
) -> tuple[Asked, ...]:
    return tuple(
        Asked(track, size, comparison, metric) for size, comparison in wanted for metric in metrics
    )


def _passes(wanted: Sequence[tuple[str, str]]) -> tuple[Asked, ...]:
    tracks = (Track(GENERATION, "python"), Track(GENERATION, "java"))
    return tuple(
        Asked(track, size, comparison, "pass@1") for track in tracks for size, comparison in wanted
    )
