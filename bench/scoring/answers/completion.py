"""Answers that go on where a signature ends: a body, alone or with what it needs behind it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from bench.records import Sample
from bench.scoring.answers import braced, python
from bench.scoring.answers.document import Budget, unfenced
from bench.scoring.answers.items import Item, closure

_HEAD = "def completed():\n"
_ENDS = re.compile(r"^[ \t]*(?:return|yield|raise)\b", re.MULTILINE)
_DEFINES = re.compile(r"^(?:async|def|class|import|from|@)", re.MULTILINE)
#: Blocks of lines that are indented behind prose; so many are tried.
_BLOCK = re.compile(r"^[ \t]*\n((?:[ \t]+\S[^\n]*(?:\n|\Z)|[ \t]*\n)+)", re.MULTILINE)
_BLOCKS = 3


def completion(problem: Sample, text: str) -> str | None:
    """What goes on where a signature ends: the body alone, or behind the signature."""
    signature = str(problem.inputs.get("signature", "")).rstrip()
    if problem.track.target_language != "python":
        return _braced(signature, unfenced(text), problem) if signature else None
    lines = next(filter(None, map(_body, _indented(unfenced(text)))), None)
    if lines is None:
        return None
    prompted = bool((problem.check or {}).get("prompt"))
    return lines if prompted or not signature else f"{signature}\n{lines}"


def _braced(signature: str, text: str, problem: Sample) -> str | None:
    """The method of a signature with the body that a text begins with, and what that needs."""
    language = problem.track.target_language
    inner = braced.body(text, language)
    if inner is None:
        return None
    method = f"{signature} {{\n{inner}\n}}"
    rest = text[text.find(inner) + len(inner) :].lstrip().removeprefix("}")
    behind = braced.items(f"{'-' * len(method)}\n{rest}", language, Budget())
    own = Item(0, len(method), method, 0, needs=braced.uses(method, language))
    kept = closure([own, *behind], [own], anywhere=False)
    return _joined(kept)


def _joined(kept: Sequence[Item]) -> str:
    return "\n\n".join(item.code for item in kept)


def _indented(text: str) -> Iterator[str]:
    """The ways in which a text may be the indented lines of a body."""
    if text[:1].isspace():
        yield text
        return
    if not _DEFINES.search(text):
        yield textwrap.indent(text, "    ")
        yield f"    {text}"
    for number, found in enumerate(_BLOCK.finditer(text)):
        if number < _BLOCKS:
            yield found[1]


def _body(text: str) -> str | None:
    """The lines of a function's body that a text begins with, and what they need behind it."""
    items = python.items(_HEAD + text, Budget())
    if not items or "completed" not in items[0].binds or items[0].stub:
        return None
    if not _ENDS.search(items[0].code):
        return None
    kept = closure(items, [items[0]], anywhere=False)
    first, *others = [item.code for item in kept if item.start >= items[0].start]
    return "\n\n\n".join([first.removeprefix(_HEAD), *others])
