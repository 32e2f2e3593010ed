"""What of a model's text is its answer: the stop and clean-up rules of every suite.

One function, so that all methods, sizes and suites are treated alike. Code answers lose
a Markdown fence, prose before the first function and everything after the answer's
functions; summaries keep their first paragraph, unwrapped from the wording's markers.
``published`` cuts as the package's scripts do instead, by the words of its wording.
"""

from __future__ import annotations

import re

from bench.data.prompts import Marks
from bench.records import GENERATION, SUMMARIZATION, Track

_FENCE = re.compile(r"```[ \t]*[\w+#-]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_QUOTES = re.compile(r'\A("""|\'\'\'|"|`)(.*)\1\Z', re.DOTALL)

#: A line of Python that belongs to an answer although it stands at the margin.
_PYTHON_START = re.compile(r"(?:async[ ]+def|def|class|@|from|import)\b|@")
_PYTHON_TOP = re.compile(r"(?:async[ ]+def|def|class|from|import|@|[A-Z_][A-Z0-9_]*\s*[:=])")
#: The head of a method or type in Java or C#.
_BRACED_START = re.compile(
    r"^[ \t]*(?:@\w+.*|\[\w+.*\]|import\b.*|using\b.*|package\b.*|namespace\b.*"
    r"|(?:(?:public|private|protected|internal|static|final|abstract|override|virtual|sealed"
    r"|async|unsafe|synchronized|partial|readonly|class|interface|enum|record|struct)\b.*)"
    r"|[\w<>\[\],.? ]+\s+\w+\s*\(.*)$"
)
_STRINGS_AND_COMMENTS = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL
)


#: A wording without words of its own around the answer.
UNMARKED = Marks()


def extract(track: Track, text: str, marks: Marks = UNMARKED) -> str:
    """The answer in a model's ``text``; an empty string where there is none.

    Args:
        track: decides by its target language: ``english``, ``python``, ``java``, ``csharp``.
        text: the decoded output, special tokens removed.
        marks: the words that the wording encloses summaries by (the study does).
    """
    text = text.replace("\r\n", "\n")
    if track.task == SUMMARIZATION:
        return _summary(text, marks)
    code = _unfenced(text)
    return _python(code) if track.target_language == "python" else _braced(code)


def published(track: Track, text: str, marks: Marks) -> str:
    """The answer as the package's scripts cut it out, artefacts included.

    Summaries stand between the last ``begin`` and the first ``end`` behind it; generated code
    ends where another turn begins; translated code is what follows the last turn's head, and
    of a fence all but its ticks: the language word of any but a Java one stays.
    """
    if track.task == SUMMARIZATION:
        return text.split(marks.begin)[-1].split(marks.end)[0].strip()
    if track.task == GENERATION:
        return text.strip().split(marks.asked)[0].strip().removeprefix(marks.answered).strip()
    code = text.split(marks.answered)[-1].strip()
    for fence in ("```java", "```"):
        if fence in code:
            return code.split(fence)[1].split("```")[0].strip()
    return code


def _unfenced(text: str) -> str:
    """The content of the first Markdown fence (an open one runs to the end), else all."""
    found = _FENCE.search(text)
    return (found.group(1) if found else text).strip("\n")


def _summary(text: str, marks: Marks) -> str:
    """The first paragraph as one line, without markers, fences and quotes."""
    marked = marks.begin and text.lstrip().startswith(marks.begin)
    if marked:
        text = text.lstrip().removeprefix(marks.begin)
        text = re.split(rf"\b{re.escape(marks.end)}\b", text, maxsplit=1)[0]
    else:
        text = _unfenced(text)
    paragraph = text.strip().split("\n\n", 1)[0]
    line = " ".join(paragraph.split())
    quoted = _QUOTES.search(line)
    return quoted.group(2).strip() if quoted else line


def _python(code: str) -> str:
    """From the first definition or import to the last line of its first function.

    Decorators, imports and constants before the function stay, and so do helper functions
    that follow directly; the answer ends at the first line at the margin that is prose,
    a call or a comment. Code that begins inside a function's body (a completion) is kept
    up to the first such line.
    """
    lines = code.split("\n")
    if lines[0][:1].isspace() and lines[0].strip():
        start = 0
    else:
        starts = (n for n, line in enumerate(lines) if _PYTHON_START.match(line))
        start = next(starts, 0)
    kept: list[str] = []
    for number, line in enumerate(lines[start:]):
        closes = line[:1] in {")", "]", "}"}
        margin = bool(line.strip()) and not line[0].isspace() and not closes
        if number and margin and not _PYTHON_TOP.match(line):
            break
        kept.append(line)
    return "\n".join(kept).rstrip()


def _braced(code: str) -> str:
    """From the first method, type or import to the brace that closes the last method.

    Methods may follow one another; text after a closing brace at depth 0 that begins
    neither a method nor a type ends the answer. Unbalanced code is kept to its end.
    """
    lines = code.split("\n")
    starts = (n for n, line in enumerate(lines) if _BRACED_START.match(line))
    code = "\n".join(lines[next(starts, 0) :])
    blanked = _STRINGS_AND_COMMENTS.sub(lambda found: " " * len(found.group()), code)
    depth, end = 0, 0
    for place, character in enumerate(blanked):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth <= 0:
                end = place if depth < 0 else place + 1
                rest = code[end:].lstrip()
                if depth < 0 or not _BRACED_START.match(rest.split("\n", 1)[0]):
                    return code[:end].rstrip()
    return code.rstrip()
