"""What of a model's text is its answer: the same rules for all methods, sizes and suites.

A code answer is the smallest set of top-level items that defines what was asked for and what
that needs; prose, fences, usage, main guards and repeated prompts go. A summary is its first
paragraph, unwrapped from the wording's markers. ``published`` cuts as the package's scripts
do instead, by the words of its wording. What was cut is kept beside the answer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

from bench.data.prompts import Marks
from bench.records import GENERATION, SUMMARIZATION, Sample
from bench.scoring import members
from bench.scoring.answers import braced, python
from bench.scoring.answers.completion import completion
from bench.scoring.answers.document import LONGEST, Budget, fence, indentation, unfenced
from bench.scoring.answers.items import Item, asked, closure, unnamed
from bench.scoring.answers.readings import ESCAPED, readings

_FENCE = re.compile(r"```[ \t]*[\w+#-]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_QUOTES = re.compile(r'\A("""|\'\'\'|"|`)(.*)\1\Z', re.DOTALL)
#: A text is read with so many margins at the most.
_MARGINS = 3

#: A wording without words of its own around the answer.
UNMARKED = Marks()


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is scored; ``cut`` are the parts of the model's text that are not, in order."""

    text: str
    cut: tuple[str, ...] = ()


Rules = Callable[[Sample, str, Marks], Answer]


def extract(problem: Sample, text: str, marks: Marks = UNMARKED) -> Answer:
    """The answer to a problem in a model's ``text``; an empty one where there is none.

    Args:
        problem: its track decides the language, its check or signature what was asked for.
        text: the decoded output, special tokens removed.
        marks: the words that the wording encloses summaries by (the study does).
    """
    text = plain(text)
    if problem.track.task == SUMMARIZATION:
        return _around(text, _summary(text, marks))
    return _code(problem, text)


def published(problem: Sample, text: str, marks: Marks) -> Answer:
    """The answer as the package's scripts cut it out, artefacts included.

    Summaries stand between the last ``begin`` and the first ``end`` behind it; generated code
    ends where another turn begins; translated code is what follows the last turn's head, and
    of a fence all but its ticks: the language word of any but a Java one stays.
    """
    return _around(text, _published(problem, text, marks))


def plain(text: str) -> str:
    """A text as all tools are to read it: no byte order mark, line feeds as line ends."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def fenced(problem: Sample, code: str) -> bool:
    """Whether stored code still holds the fences of the text that it was taken from."""
    if problem.track.task == SUMMARIZATION or ("```" not in code and "~~~" not in code):
        return False
    cut = extract(problem, code).cut
    return any(fence(line) for part in cut for line in part.split("\n"))


def _published(problem: Sample, text: str, marks: Marks) -> str:
    if problem.track.task == SUMMARIZATION:
        return text.split(marks.begin)[-1].split(marks.end)[0].strip()
    if problem.track.task == GENERATION:
        return text.strip().split(marks.asked)[0].strip().removeprefix(marks.answered).strip()
    code = text.split(marks.answered)[-1].strip()
    for mark in ("```java", "```"):
        if mark in code:
            return code.split(mark)[1].split("```")[0].strip()
    return code


def _around(text: str, kept: str) -> Answer:
    """An answer that stands in a text in one piece, or that was written anew from it."""
    place = text.find(kept) if kept else -1
    parts = [text] if place < 0 else [text[:place], text[place + len(kept) :]]
    if place < 0 and " ".join(text.split()) == kept:
        parts = []
    return Answer(kept, tuple(part.strip() for part in parts if part.strip()))


def _summary(text: str, marks: Marks) -> str:
    """The first paragraph as one line, without markers, fences and quotes."""
    marked = marks.begin and text.lstrip().startswith(marks.begin)
    if marked:
        text = text.lstrip().removeprefix(marks.begin)
        text = re.split(rf"\b{re.escape(marks.end)}\b", text, maxsplit=1)[0]
    else:
        found = _FENCE.search(text)
        text = (found.group(1) if found else text).strip("\n")
    paragraph = text.strip().split("\n\n", 1)[0]
    line = " ".join(paragraph.split())
    quoted = _QUOTES.search(line)
    return quoted.group(2).strip() if quoted else line


def entry(problem: Sample) -> str | None:
    """The name of the function or method that was asked for, where that is known."""
    check = problem.check or {}
    if check.get("entry"):
        return str(check["entry"])
    signature = str(problem.inputs.get("signature", ""))
    if problem.track.target_language == "python":
        names = re.findall(r"^\s*(?:async\s+)?def\s+(\w+)", signature, flags=re.MULTILINE)
        return names[-1] if names else None
    return _last_method(f"{signature} {{ }}", problem.track.target_language)


def _last_method(code: str, language: str) -> str | None:
    """The last method of some code; None where there is none, or it does not parse."""
    if not code.strip("{} \n"):
        return None
    found = members.parts(code, language).of(members.METHOD)
    names = [name for part in found for name in part.names]
    return names[-1] if names else None


def _alike(problem: Sample, items: Sequence[Item]) -> str | None:
    """The method that is called as that of the code to translate, but for case and ``_``."""
    source = _last_method(str(problem.inputs.get("code", "")), problem.track.source_language)
    if source is None or problem.track.source_language == "python":
        return None
    wanted = _bare(source)
    names = sorted(name for item in items for name in (item.binds | item.members))
    return next((name for name in names if _bare(name) == wanted), None)


def _bare(name: str) -> str:
    return name.replace("_", "").casefold()


def _code(problem: Sample, text: str) -> Answer:
    """The smallest set of items that defines what was asked for, or the next best."""
    looked_at, budget = text[:LONGEST], Budget()
    name = entry(problem)
    python_asked = problem.track.target_language == "python"
    least: Answer | None = None
    for reading in readings(looked_at, name):
        whole = text if len(reading) == len(looked_at) else reading + text[LONGEST:]
        for margin in _margins(reading, name):
            items = _items(problem, reading, budget, margin)
            wanted = name or _alike(problem, items)
            roots = asked(items, wanted, methods=not python_asked) if wanted else unnamed(items)
            if not roots:
                continue
            kept = closure(items, roots, anywhere=not python_asked)
            if _good(roots, kept):
                return _answer(whole, kept)
            least = least or _answer(whole, kept)
    if least is None and (completed := completion(problem, looked_at)) is not None:
        return _around(text, completed)
    if least is None:
        items = _items(problem, looked_at, budget)
        kept = closure(items, unnamed(items), anywhere=not python_asked)
        least = _answer(text, kept) if kept else _around(text, unfenced(text))
    return least


def _good(roots: Sequence[Item], kept: Sequence[Item]) -> bool:
    """Whether something is written that was asked for, and nothing of it is an escape of HTML."""
    if all(item.stub or item.foreign or item.imports for item in roots):
        return False
    bound = {name for item in kept for name in item.binds}
    escapes = any((item.needs & ESCAPED) - bound and "&" in item.code for item in kept)
    return not escapes


def _items(problem: Sample, text: str, budget: Budget, margin: int = 0) -> list[Item]:
    language = problem.track.target_language
    if language == "python":
        return python.items(text, budget, margin)
    return braced.items(text, language, budget, margin)


def _margins(text: str, name: str | None) -> Iterator[int]:
    """The columns at which code may begin outside of a fence: none, else where the name is."""
    yield 0
    if name is not None:
        named = (indentation(line) for line in text.split("\n") if name in line)
        yield from list(dict.fromkeys(column for column in named if column))[:_MARGINS]


def _answer(text: str, kept: Sequence[Item]) -> Answer:
    """Some items of a text as an answer."""
    pieces: list[tuple[Item, str]] = []
    cut, end = [], 0
    for item in kept:
        between = text[end : item.start]
        if between.strip():
            cut.append(between.strip())
        pieces.append((item, "\n\n" if between.strip() else between.rstrip(" \t") or " "))
        end = item.end
    cut += [rest] if (rest := text[end:].strip()) else []
    pieces.sort(key=lambda piece: not piece[0].leads)
    code = "".join(gap + item.code for item, gap in pieces)
    gap = pieces[0][1] if pieces else ""
    return Answer(code.removeprefix(gap).rstrip(), tuple(cut))
