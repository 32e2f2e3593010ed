"""PMD and Checkstyle over a batch of Java snippets: one JVM each.

A snippet is mostly a method without a class, which is no Java file: it gets a class around
it. What a tool finds in the lines of that class is not the model's.
"""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import MachineError
from bench.records import GENERATION
from bench.scoring import members
from bench.scoring.admission import NotRunError
from bench.scoring.quality import javatools
from bench.scoring.quality.jvm import Analyser, Sunk, sunk
from bench.scoring.sandbox.limits import JailResult

#: PMD's categories by the name that it gives them in its report.
CATEGORIES = {
    "bestpractices": "Best Practices",
    "codestyle": "Code Style",
    "design": "Design",
    "errorprone": "Error Prone",
    "multithreading": "Multithreading",
    "performance": "Performance",
}
CRASHED = "the analyser did not finish"
UNPARSABLE = "does not parse ({tool})"
INCOMPLETE = "{tool} could not apply all its rules"

_STUDY_IMPORT = "import java.util.*;\n"
_PROBE = ("Probe.java", "class Probe {\n}\n")
#: How PMD's report begins the message of a file that it cannot parse.
_PARSING = ("ParseException", "LexException")
_PMD_EXITS = (0, 4, 5)  # nothing found, violations found, errors met


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A Java file made of a snippet. Lines ``added`` hold what the snippet does not."""

    text: str
    added: range

    def holds(self, line: int) -> bool:
        """Whether a line (from 1; 0 is the whole file) is the snippet's."""
        return line > 0 and line not in self.added


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """One finding: its rule, PMD's category, its line, and whether the code silences it."""

    rule: str
    category: str
    line: int
    suppressed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a tool says of a file; ``failure`` is why that is not all there is to say."""

    violations: tuple[Violation, ...] = ()
    failure: str | None = None


def class_name(task: str, id_: str, index: int) -> str:
    """The name of the class that the study puts around an output."""
    return f"Generated_{_identifier(id_)}" if task == GENERATION else f"Translation{index}"


def _identifier(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]", "_", text)


def default_names(instances: int) -> list[str]:
    """Class names where the caller has none."""
    return [f"Output{index}" for index in range(instances)]


def published_unit(code: str, name: str, indent: str = "    ") -> Unit:
    """The file that the study's scripts make: an import, a class, the snippet indented."""
    body = "\n".join(indent + line for line in code.split("\n"))
    return Unit(f"{_STUDY_IMPORT}\npublic class {name} {{\n{body}\n}}\n", range(1, 4))


def corrected_unit(code: str, name: str, indent: str = "    ") -> Unit:
    """The same with the snippet's own imports where imports may stand, in place of the study's.

    A constructor names the class; a package declaration is left out. A snippet that has
    none of these gives the study's file.
    """
    content = code.encode()
    root = members.tree(content, "java")
    misplaced = [
        node for node in root.children if node.type in ("import_declaration", "package_declaration")
    ]
    for node in misplaced:
        lines = b"\n" * node.text.count(b"\n") if node.text else b""
        blank = lines.rjust(node.end_byte - node.start_byte)
        content = content[: node.start_byte] + blank + content[node.end_byte :]
    body = content.decode()
    imports = [
        node.text.decode() + "\n"
        for node in misplaced
        if node.type == "import_declaration" and node.text
    ]
    unit = published_unit(body, _constructor(body) or name, indent)
    if not imports:
        return unit
    above = "".join(imports)
    first = above.count("\n") + 1
    text = above + unit.text.removeprefix(_STUDY_IMPORT)
    return Unit(text, range(first, first + 2))


def _constructor(code: str) -> str | None:
    """The name of the first constructor among a snippet's members."""
    root = members.tree(f"class Snippet {{\n{code}\n}}".encode(), "java")
    for type_ in root.named_children:
        body = type_.child_by_field_name("body")
        for member in body.named_children if body is not None else ():
            name = member.child_by_field_name("name")
            if member.type == "constructor_declaration" and name is not None and name.text:
                return name.text.decode()
    return None


def own(
    report: Report | None, unit: Unit, failure: str | None
) -> tuple[list[Violation] | None, str | None]:
    """The violations in the snippet's own lines, or why there is no telling.

    ``failure`` says why the snippet does not parse.
    """
    if report is None or failure or report.failure:
        return None, failure or (report.failure if report else CRASHED)
    return [found for found in report.violations if unit.holds(found.line)], None


def by_category(violations: Sequence[Violation] | None) -> list[float | None]:
    """How many there are of each of PMD's categories; None where that is not known."""
    if violations is None:
        return [None] * len(CATEGORIES)
    counts = Counter(violation.category for violation in violations)
    return [counts[category] for category in CATEGORIES.values()]


def pmd(units: Sequence[Unit]) -> list[Report | None]:
    """PMD's violations of the study's six categories per file; None where it crashed.

    Violations that the code silences (``NOPMD``, ``@SuppressWarnings``) are marked so.

    Raises:
        NotRunError: PMD cannot be had here, or does not work.
    """
    try:
        tool = javatools.pmd()
    except MachineError as error:
        raise NotRunError(f"not run: {error}") from None
    rules = ",".join(f"category/java/{category}.xml" for category in CATEGORIES)

    def options(folder: Path, names: Sequence[str]) -> list[str]:
        listed = folder / "files.txt"
        listed.write_text("".join(f"{folder / name}\n" for name in names), encoding="utf-8")
        switches = ["--format=json", "--show-suppressed", "--no-cache", "--no-progress"]
        return ["check", f"--file-list={listed}", f"--rulesets={rules}", "--threads=1", *switches]

    return _analyse(Analyser(tool, options, _read_pmd, _PROBE), units)


def checkstyle(units: Sequence[Unit]) -> list[Report | None]:
    """Checkstyle's violations of Sun's conventions per file; None where it crashed.

    Raises:
        NotRunError: there is no Checkstyle here, or it does not work.
    """
    try:
        tool = javatools.checkstyle()
        configuration = javatools.checkstyle_configuration()
    except MachineError as error:
        raise NotRunError(f"not run: {error}") from None

    def options(folder: Path, names: Sequence[str]) -> list[str]:
        written = folder / "checks.xml"
        written.write_text(configuration, encoding="utf-8")
        return ["-c", str(written), "-f", "xml", *(str(folder / name) for name in names)]

    return _analyse(Analyser(tool, options, _read_checkstyle, _PROBE), units)


def _analyse(analyser: Analyser[Report], units: Sequence[Unit]) -> list[Report | None]:
    """Each file once, whichever snippets it is made of."""
    texts = dict.fromkeys(unit.text for unit in units)
    names = {text: f"F{number:06d}.java" for number, text in enumerate(texts)}
    try:
        found = analyser.analyse({name: text for text, name in names.items()})
    except MachineError as error:
        raise NotRunError(f"not run: {error}") from None
    return [found[names[unit.text]] for unit in units]


def _read_pmd(end: JailResult, names: Sequence[str]) -> Mapping[str, Report] | Sunk:
    if end.exit_code not in _PMD_EXITS:
        return sunk(end)
    try:
        report = json.loads(end.channel)
    except ValueError:
        return sunk(end)
    violations: dict[str, list[Violation]] = {name: [] for name in names}
    for suppressed, files in ((False, report["files"]), (True, report["suppressedViolations"])):
        for file in files:
            violations[Path(file["filename"]).name] += [
                Violation(found["rule"], found["ruleset"], found["beginline"], suppressed)
                for found in file["violations"]
            ]
    failures: dict[str, str] = {}
    for error in report["processingErrors"]:
        why = UNPARSABLE if error["message"].startswith(_PARSING) else INCOMPLETE
        failures[Path(error["filename"]).name] = why.format(tool="PMD")
    return {name: Report(tuple(found), failures.get(name)) for name, found in violations.items()}


#: Checkstyle's last words before an error that it does not survive.
_CULPRIT = re.compile(rb"Error was thrown while processing \S*?(F\d{6}\.java)\s")
#: The check that a failure to read a file is told as.
_CHECKER = "com.puppycrawl.tools.checkstyle.Checker"


def _read_checkstyle(end: JailResult, names: Sequence[str]) -> Mapping[str, Report] | Sunk:
    document, closed, _ = end.channel.partition(b"</checkstyle>")
    culprit = _CULPRIT.search(end.printed)
    if not closed or culprit is not None:
        return sunk(end, culprit[1].decode() if culprit else None)
    try:
        root = ElementTree.fromstring(document + closed)  # noqa: S314  Checkstyle wrote it
    except ElementTree.ParseError:
        return sunk(end)
    reports = {name: Report() for name in names}
    for file in root.iter("file"):
        errors = [(error.get("source", ""), int(error.get("line", 0))) for error in file]
        violations = tuple(Violation(rule.rpartition(".")[2], "", line) for rule, line in errors)
        unread = any(rule == _CHECKER for rule, _ in errors)
        failure = UNPARSABLE.format(tool="Checkstyle") if unread else None
        reports[Path(file.get("name", "")).name] = Report(violations, failure)
    return reports
