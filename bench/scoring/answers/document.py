"""A model's text as lines, with the Markdown fences and the thoughts that stand around code.

Fences only say which language a stretch of lines is in and how far it is indented. Where an
item of code ends is decided by its syntax, so a fence inside of a docstring closes nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

#: No more of a text is looked at (characters); no answer that is scored is half as long.
LONGEST = 40_000
_FENCE = re.compile(r"[ \t]*(?:[-*+>]|\d+[.)])?[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)$")
#: A fence that a line of code runs into.
_GLUED = re.compile(r"(?<=[^\s`~])[ \t]*```[ \t]*$", re.MULTILINE)
_THOUGHT = re.compile(
    r"<(think|thinking|thought|reasoning)>(?:.*?</\1>|.*\Z)", re.DOTALL | re.IGNORECASE
)
_THOUGHT_END = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
#: Words that a fence names a language by; without one it may be any.
LANGUAGES = {
    "python": "python", "python3": "python", "py": "python", "py3": "python", "pycon": "other",
    "java": "java", "cs": "csharp", "csharp": "csharp", "c#": "csharp", "c-sharp": "csharp",
    "dotnet": "csharp",
}  # fmt: skip
#: Words of fences that say nothing of a language.
_ANY = {"", "code", "plaintext", "text", "txt", "none", "markdown", "md", "snippet"}


@dataclasses.dataclass(frozen=True, slots=True)
class Fence:
    """A line that opens or closes a block. ``language`` is one of ours, ``other`` or ``""``."""

    mark: str
    info: str

    @property
    def language(self) -> str:
        """What is said of the language: its word, or an attribute such as ``{.python}``."""
        word = re.split(r"[\s,;:({]", self.info.strip().lstrip("{. "), maxsplit=1)[0]
        word = word.strip("}.").lower()
        return "" if word in _ANY else LANGUAGES.get(word, "other")

    def closes(self, opened: Fence) -> bool:
        """Whether it closes the block that ``opened`` opens."""
        same = self.mark[0] == opened.mark[0] and len(self.mark) >= len(opened.mark)
        return same and not self.info.strip()


def fence(line: str) -> Fence | None:
    """The fence that a line is; None where it is none."""
    found = _FENCE.match(line) if "`" in line or "~" in line else None
    return Fence(found[1], found[2]) if found else None


def readings(text: str) -> Iterator[str]:
    """The ways to look at a text, the likeliest first, each of the same length.

    Thoughts are blanked; the whole text may be meant nevertheless, as where a program speaks
    of such marks.
    """
    unthought = _THOUGHT.sub(_ended, text)
    if unthought == text:
        unthought = _THOUGHT_END.sub(_ended, text)
    seen = {unthought}
    yield unthought
    for other in (_GLUED.sub(_blank, unthought), text):
        if other not in seen:
            seen.add(other)
            yield other


def _ended(found: re.Match[str]) -> str:
    """A blank thought; what follows its end begins a line."""
    return _blank(found)[:-1] + "\n"


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found.group())


@dataclasses.dataclass(slots=True)
class Budget:
    """What may still be parsed of a text, however it is read: so often, so many characters."""

    calls: int = 1_500
    characters: int = 500_000

    def allows(self, code: str) -> bool:
        """Take note that some code is parsed; whether that may be."""
        self.calls -= 1
        self.characters -= len(code)
        return self.calls >= 0 and self.characters >= 0


class Lines:
    """The lines of a text with their places; which of them are in a fence is told by ``at``.

    Lines have to be asked for in order, and only those at which no item of code is open.
    """

    def __init__(self, text: str, margin: int | None = 0) -> None:
        """``margin``: the columns by which code outside of any fence is indented."""
        self.text = text
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self._outside = margin or 0
        self.margin = self._outside
        self.language = ""
        self._open: Fence | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def passes(self, number: int) -> bool:
        """Take note of a fence at a line; whether there is one."""
        found = fence(self.lines[number])
        if found is None:
            return False
        if self._open is not None and found.closes(self._open):
            self._open, self.language, self.margin = None, "", self._outside
        else:
            self._open, self.language = found, found.language
            self.margin = self._block_margin(number + 1)
        return True

    def _block_margin(self, first: int) -> int:
        """The least indentation of the lines up to the next fence."""
        least: int | None = None
        for line in self.lines[first:]:
            if fence(line):
                break
            if line.strip():
                own = indentation(line)
                least = own if least is None else min(least, own)
                if not least:
                    break
        return least or 0


def indentation(line: str) -> int:
    """The blanks that a line begins with."""
    return len(line) - len(line.lstrip(" \t"))


def dedented(line: str, margin: int) -> str:
    """A line without its margin; one that is indented less loses what it has."""
    return line[min(margin, indentation(line)) :]
