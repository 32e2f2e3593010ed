"""Sonar's analysers over a batch of snippets: one JVM, rules as SonarLint activates them.

They are the analysers that SonarCloud runs, in one of their versions. Its measures are taken
from rules that tell them in their messages: S1541 and S3776 per function, S104 per file.
"""

from __future__ import annotations

import ast
import dataclasses
import io
import re
import tokenize
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import MachineError
from bench.scoring.admission import NotRunError
from bench.scoring.quality import sonartools
from bench.scoring.quality.java import CRASHED, UNPARSABLE, Unit
from bench.scoring.quality.jvm import Analyser, Sunk, sunk
from bench.scoring.sandbox.limits import JailResult

BUG, SMELL, HOTSPOT = "BUG", "CODE_SMELL", "SECURITY_HOTSPOT"
_KINDS = (BUG, SMELL, HOTSPOT)
#: The rules whose messages tell a measure, by their keys in both languages.
CYCLOMATIC = ("java:S1541", "python:FunctionComplexity")
COGNITIVE = ("java:S3776", "python:S3776")
LINES = ("java:S104",)
_MEASURE = re.compile(r"(?:from|is|of|has) ([0-9][0-9,]*) (?=to the|which|lines)")
_NAMES = {"java": "F{:06d}.java", "python": "F{:06d}.py"}
_PROBES = {"java": ("Probe.java", "class Probe {\n}\n"), "python": ("probe.py", "x = 1\n")}
#: Tokens that are no code.
_LAYOUT = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclasses.dataclass(frozen=True, slots=True)
class Issue:
    """One finding: its rule, its type, its line (0: the whole file).

    ``measure`` is what a measuring rule tells; it is ``told`` as a finding where the rule's
    usual threshold would have let it be told.
    """

    rule: str
    kind: str
    line: int
    measure: int | None = None
    told: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What the analyser says of a file; ``failure`` is why that is nothing."""

    issues: tuple[Issue, ...] = ()
    failure: str | None = None


def analyse(texts: Sequence[str], language: str) -> list[Report | None]:
    """The issues of each file of ``java`` or ``python``; None where the analyser crashed.

    Raises:
        NotRunError: there are no analysers or no JDK here, or they do not work.
    """
    try:
        analyser = _analyser(language)
        names = {text: _NAMES[language].format(at) for at, text in enumerate(dict.fromkeys(texts))}
        found = analyser.analyse({name: text for text, name in names.items()})
    except MachineError as error:
        raise NotRunError(f"not run: {error}") from None
    return [found[names[text]] for text in texts]


def _analyser(language: str) -> Analyser[Report]:
    tool = sonartools.sonar()
    jar = sonartools.jars().analysers[language]

    def options(folder: Path, names: Sequence[str]) -> list[str]:
        listed = folder / "files.txt"
        listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        return [str(jar), language, str(listed)]

    return Analyser(tool, options, read, _PROBES[language])


def read(end: JailResult, names: Sequence[str]) -> Mapping[str, Report] | Sunk:
    """The driver's answer (``inside/sonar/Analyze.java``) taken apart, by file."""
    lines = end.channel.decode(errors="replace").split("\n")
    if end.outcome != "exited" or lines[-2:] != [f"done\t{len(names)}", ""]:
        return sunk(end)
    thresholds: dict[str, int] = {}
    issues: dict[str, list[Issue]] = {name: [] for name in names}
    failed = set()
    for line in lines[:-2]:
        what, *fields = line.split("\t")
        if what == "threshold":
            thresholds[fields[0]] = int(fields[1])
        elif what == "failed":
            failed.add(fields[0])
        else:
            name, place, rule, kind, message = fields
            issues[name].append(_issue(rule, kind, int(place), message, thresholds))
    failure = UNPARSABLE.format(tool="Sonar")
    return {
        name: Report(tuple(found), failure if name in failed else None)
        for name, found in issues.items()
    }


def _issue(rule: str, kind: str, line: int, message: str, thresholds: Mapping[str, int]) -> Issue:
    if rule not in (*CYCLOMATIC, *COGNITIVE, *LINES):
        return Issue(rule, kind, line)
    found = _MEASURE.search(message)
    if found is None:
        raise MachineError(
            f"Sonar's rule {rule} tells no measure: {message}",
            hint=f"the analyzers are to be those of {sonartools.PACKAGE}",
        )
    measure = int(found[1].replace(",", ""))
    usual = thresholds.get(rule)  # none: the rule is not active but for its measure
    return Issue(rule, kind, line, measure, usual is not None and measure > usual)


def values(
    report: Report | None, failure: str | None, unit: Unit, lines: int | None
) -> tuple[list[float | None], str | None]:
    """Lines, bugs, smells, hotspots, both complexities of a snippet; or why there is no telling.

    ``failure`` says why the snippet does not parse. ``lines`` of code where no rule tells them
    (``code_lines``). Vulnerabilities have no column in the study.
    """
    failure = failure or (report.failure if report else CRASHED)
    if report is None or failure:
        return [None] * 6, failure
    measured = sum(issue.measure or 0 for issue in report.issues if issue.rule in LINES)
    own = [issue for issue in report.issues if unit.holds(issue.line)]
    counts = [sum(issue.kind == kind and issue.told for issue in own) for kind in _KINDS]
    complexities = [
        sum(issue.measure or 0 for issue in own if issue.rule in rules)
        for rules in (CYCLOMATIC, COGNITIVE)
    ]
    loc = lines if lines is not None else measured - _added(unit)
    return [loc, *counts, *complexities], None


def _added(unit: Unit) -> int:
    """The lines of code in the class around a Java snippet: its head, and its last brace."""
    text = unit.text.split("\n")
    return sum(bool(text[line - 1].strip()) for line in unit.added) + 1


def python_unit(code: str) -> Unit:
    """A Python snippet is a file as it is."""
    return Unit(code, range(0))


def code_lines(code: str) -> int | None:
    """The lines of a parsable Python snippet that hold code, as Sonar counts them.

    Docstrings are comments; a string over several lines is as many lines of code. None where
    the snippet, though it parses, is not taken by Python's own tokenizer.
    """
    code = code.removeprefix("\ufeff")
    held: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type not in _LAYOUT:
                held.update(range(token.start[0], token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            held.difference_update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(held)
