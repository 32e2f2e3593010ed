"""Taking back the layout of the study's public files of translations.

Models that learned from CodeXGLUE's one-line functions write one line; CodeBLEU, which parts
tokens by white space, was computed on that. The files were laid out afterwards: a line ends
behind every ``{``, ``}`` and ``;``, even in the header of a loop or within a string, and the
spaces there are lost. What stood there is put back as CodeXGLUE has it: a space in such a
header or string and before ``else``, ``catch``, ``finally`` and the ``while`` of a ``do``,
nothing elsewhere.
"""

from __future__ import annotations

import re

_CONTINUES = re.compile(r"(else|catch|finally)\b|while\b.*;$")
_LOOP = re.compile(r"\bfor *\(")
#: No header of a loop is longer; a text without an end is not searched again and again.
_LONGEST_HEADER = 1000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def one_line(code: str) -> str:
    """A snippet on one line; one that is on one line already stays as it is."""
    first, *others = [line.strip() for line in code.split("\n")]
    joined, statement = first, first
    for line in others:
        gap = " " if _inside(statement) or (joined.endswith("}") and _CONTINUES.match(line)) else ""
        statement = f"{statement}{gap}{line}" if _inside(statement) else line
        joined += gap + line
    return joined


def _inside(statement: str) -> bool:
    """Whether the text ends within the header of a ``for`` loop or within a string."""
    if len(statement) > _LONGEST_HEADER:
        return False
    bare = _STRING.sub("", statement)
    if bare.count('"') % 2:
        return True
    headers = list(_LOOP.finditer(bare))
    header = bare[headers[-1].start() :] if headers else ""
    return bare.endswith(";") and header.count("(") > header.count(")")
