"""A model's text as lines, with the Markdown fences that stand around code.

Fences only say which language a stretch of lines is in and how far it is indented. Where an
item of code ends is decided by its syntax, so a fence inside of a docstring closes nothing.
"""

from __future__ import annotations

import dataclasses
import re

#: No more of a text is looked at (characters); no answer that is scored is half as long.
LONGEST = 40_000
_FENCE = re.compile(r"[ \t]*(?:[-*+>]|\d+[.)])?[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)$")
#: Words that a fence names a language by, its version aside, and the ends of a file's name.
LANGUAGES = {
    "python": "python", "py": "python", "ipython": "python", "cpython": "python", "pyw": "python",
    "java": "java", "jav": "java", "openjdk": "java", "jdk": "java",
    "cs": "csharp", "csharp": "csharp", "c#": "csharp", "c-sharp": "csharp", "c_sharp": "csharp",
    "csx": "csharp", "dotnet": "csharp", "cs-script": "csharp",
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
        """What is said of the language: its word, a file's name, an attribute (``{.python}``)."""
        info = self.info.strip().lower().replace("c sharp", "c#").lstrip("{. ")
        word = re.split(r"[\s,;:({=]", info, maxsplit=1)[0].strip("}.")
        if word in _ANY:
            return ""
        for name in (word, word.rpartition(".")[2]):
            found = LANGUAGES.get(re.sub(r"[-_]?[\d.]+\Z", "", name))
            if found:
                return found
        return "other"

    def closes(self, opened: Fence) -> bool:
        """Whether it closes the block that ``opened`` opens."""
        same = self.mark[0] == opened.mark[0] and len(self.mark) >= len(opened.mark)
        return same and not self.info.strip()


def fence(line: str) -> Fence | None:
    """The fence that a line is; None where it is none."""
    found = _FENCE.match(line) if "`" in line or "~" in line else None
    return Fence(found[1], found[2]) if found else None


def unfenced(text: str) -> str:
    """The first block between fences (an open one runs to the end), else the whole text."""
    kept: list[str] = []
    opened = None
    for line in text.split("\n"):
        found = fence(line)
        if found is not None and opened is not None and found.closes(opened):
            break
        if found is not None and opened is None:
            if not found.info.strip() and any(map(str.strip, kept)):
                break  # it closes what the turn's opening had begun
            opened, kept = found, []
        else:
            kept.append(line)
    return "\n".join(kept).strip("\n").rstrip()


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

    @property
    def outside(self) -> bool:
        """Whether no fence is open."""
        return self._open is None

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
