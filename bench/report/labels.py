"""How metrics, tracks and quantities are called and printed, the same in every rendering."""

from __future__ import annotations

import dataclasses
import re
from typing import Self

from bench.naming import SERIES_LABELS
from bench.records import Track

BASE = "base"
LABELS = {BASE: "zero-shot", **SERIES_LABELS}
LANGUAGES = {"python": "Python", "java": "Java", "java_cs": "Java → C#", "cs_java": "C# → Java"}
NULL = "–"
MINUS = "−"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_KEY = re.compile(
    r"(?P<task>\w+)/(?P<language>\w+)/(?P<name>pass@\d+|[^:@]+)(?::(?P<part>[^@]+))?(?:@(?P<variant>.+))?"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """``better``: 1 if higher values are, -1 if lower ones are, 0 if neither is.

    ``quality`` metrics describe the code that a model writes, not whether it is right.
    """

    label: str
    better: int = 1
    scale: float = 100
    decimals: int = 2
    quality: bool = False

    def show(self, value: float, *, signed: bool = False) -> str:
        """A value (or with a sign a difference) as printed."""
        return number(value * self.scale, self.decimals, signed=signed)


METRICS = {
    "pass@1": Metric("pass@1"),
    "similarity": Metric("similarity"),
    "codebleu": Metric("CodeBLEU"),
    "bleu": Metric("BLEU"),
    "chrf": Metric("chrF"),
    "rouge_l": Metric("ROUGE-L"),
    "meteor": Metric("METEOR"),
    "embedding_similarity": Metric("embedding similarity"),
    "bertscore": Metric("BERTScore"),
    "side": Metric("SIDE"),
    "judge_adequacy": Metric("content adequacy (judge, 1–5)", 1, 1),
    "judge_conciseness": Metric("conciseness (judge, 1–5)", 1, 1),
    "judge_fluency": Metric("fluency (judge, 1–5)", 1, 1),
    "judge_parse_failures": Metric("unreadable judgments", -1, 1, 0, quality=True),
    "parse_failures": Metric("unparsable outputs", -1, 1, 0, quality=True),
    "empty_outputs": Metric("empty outputs", -1, 1, 0, quality=True),
    "truncated_share": Metric("outputs cut at the limit, %", -1, decimals=1, quality=True),
    "lizard_detection": Metric("functions found (Lizard)", quality=True),
    "lizard_ccn": Metric("cyclomatic complexity (Lizard)", -1, 1, quality=True),
    "lizard_nloc": Metric("lines of code (Lizard)", 0, 1, quality=True),
    "lizard_tokens": Metric("tokens (Lizard)", 0, 1, quality=True),
    "pylint_errors": Metric("Pylint errors", -1, 1, quality=True),
    "pylint_warnings": Metric("Pylint warnings", -1, 1, quality=True),
    "pylint_conventions": Metric("Pylint conventions", -1, 1, quality=True),
    "pylint_refactors": Metric("Pylint refactors", -1, 1, quality=True),
    "flake8_violations": Metric("Flake8 violations", -1, 1, quality=True),
    "cognitive_complexity": Metric("cognitive complexity", -1, 1, quality=True),
    "pmd_bestpractices": Metric("PMD best practices", -1, 1, quality=True),
    "pmd_codestyle": Metric("PMD code style", -1, 1, quality=True),
    "pmd_design": Metric("PMD design", -1, 1, quality=True),
    "pmd_errorprone": Metric("PMD error prone", -1, 1, quality=True),
    "pmd_multithreading": Metric("PMD multithreading", -1, 1, quality=True),
    "pmd_performance": Metric("PMD performance", -1, 1, quality=True),
    "checkstyle_violations": Metric("Checkstyle violations", -1, 1, quality=True),
    "roslyn_syntax_errors": Metric("C# syntax errors (Roslyn)", -1, 1, quality=True),
    "roslyn_maintainability": Metric("C# parser's warnings (Roslyn)", -1, 1, quality=True),
    "sonar_loc": Metric("lines of code (Sonar analyzers)", 0, 1, quality=True),
    "sonar_reliability": Metric("bugs (Sonar analyzers)", -1, 1, quality=True),
    "sonar_maintainability": Metric("code smells (Sonar analyzers)", -1, 1, quality=True),
    "sonar_hotspots": Metric("security hotspots (Sonar analyzers)", -1, 1, quality=True),
    "sonar_ccn": Metric("cyclomatic complexity (Sonar analyzers)", -1, 1, quality=True),
    "sonar_cognitive": Metric("cognitive complexity (Sonar analyzers)", -1, 1, quality=True),
}
_ORDER = {name: index for index, name in enumerate(METRICS)}


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A metric key taken apart: ``<task>/<language>/<metric>[:<part or suite>][@variant]``."""

    track: Track
    name: str
    part: str = ""
    variant: str = ""

    @classmethod
    def parse(cls, key: str) -> Self:
        """Take a key of results.json apart.

        Raises:
            ValueError: not a metric key.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise ValueError(f"not a metric key: {key!r}")
        track = Track(found["task"], found["language"])
        return cls(track, found["name"], found["part"] or "", found["variant"] or "")

    def __str__(self) -> str:
        part, variant = (self.part and f":{self.part}"), (self.variant and f"@{self.variant}")
        return f"{self.track}/{self.name}{part}{variant}"

    @property
    def metric(self) -> Metric:
        """How the metric is printed; one that is not listed as it comes."""
        unlisted = Metric(self.name, better=0, scale=1, decimals=3, quality=True)
        return METRICS.get(self.name, unlisted)

    @property
    def label(self) -> str:
        """For example ``pass@1 · near``."""
        return " · ".join(filter(None, (self.metric.label, self.part, self.variant)))

    @property
    def order(self) -> tuple[int, str]:
        """Listed metrics come first, in the list's order."""
        return (_ORDER.get(self.name, len(_ORDER)), self.name)


def track_title(track: Track) -> str:
    """For example ``Translation, Java → C#``."""
    return f"{track.task.capitalize()}, {LANGUAGES.get(track.language, track.language)}"


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with a true minus sign; what rounds to zero has no sign."""
    text = f"{abs(value):,.{decimals}f}".replace(",", "\u2009")
    if not any(digit in text for digit in "123456789"):
        return text
    return f"{MINUS if value < 0 else '+' if signed else ''}{text}"


def points(share: float) -> str:
    """A difference of scores from 0 to 1 in points."""
    return number(100 * share, 2, signed=True)


def superscript(value: int) -> str:
    """A footnote's number as superscript digits."""
    return str(value).translate(_SUPERSCRIPTS)


def p_value(p: float | None) -> str:
    """A p-value to three decimals."""
    if p is None:
        return NULL
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def stars(p: float | None) -> str:
    """The significance mark of an adjusted p-value."""
    return "" if p is None else "*" * sum(p < limit for limit in (0.05, 0.01, 0.001))


def count(value: float) -> str:
    """A count to three significant digits: 950, 12.3k, 4.56M."""
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            digits = 0 if not unit or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f}{unit}"
        value /= 1000
    raise AssertionError("unreachable")


def mebibytes(value: float) -> str:
    """Bytes as MiB with three significant digits or whole: 0.51, 23.4, 415, 13 312."""
    shown = value / 2**20
    return number(shown, 0 if shown >= 99.95 else 1 if shown >= 9.995 else 2)


def seconds(value: float) -> str:
    """Seconds to a tenth below 100, else whole."""
    return number(value, 1 if value < 99.95 else 0)
