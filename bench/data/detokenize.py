"""Java and C# that was stored as tokens parted by spaces, as people write it, on one line.

``List < Integer > f ( int [ ] a ) { return - a [ 0 ] ; }`` becomes
``List<Integer> f(int[] a) { return -a[0]; }``. No token is changed: only spaces go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: String and character literals keep their spaces; everything else is parted by them.
TOKEN = re.compile(r"""[$@]*"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']+""")
_NAME = re.compile(r"[A-Za-z_]\w*")
_CONTROL = frozenset(
    ("if", "for", "foreach", "while", "switch", "catch", "return", "using", "in", "throw", "else")
)
#: What may stand between the brackets of type parameters, and no comparison has after "<".
_IN_GENERIC = re.compile(r"[A-Za-z_]\w*|[,?.<>\[\]]|extends|super")
_AFTER_GENERIC = frozenset("(){},;>.[]&") | {"::", "=", "?", ">>"}
_OPERAND_END = re.compile(r"\w|[)\]\"']")


def detokenize(line: str) -> str:
    """Join the tokens of one line."""
    tokens = TOKEN.findall(line)
    opening, closing = _generics(tokens)
    parts: list[str] = []
    for index, token in enumerate(tokens):
        if index and _spaced(tokens, index, opening, closing):
            parts.append(" ")
        parts.append(token)
    return "".join(parts)


def _generics(tokens: Sequence[str]) -> tuple[set[int], set[int]]:
    """The indices of the ``<`` and ``>`` that enclose type parameters."""
    opening: set[int] = set()
    closing: set[int] = set()
    for index, text in enumerate(tokens):
        if text != "<" or index in opening or not index:
            continue
        if not _NAME.fullmatch(tokens[index - 1]) and tokens[index - 1] != ".":
            continue
        depth, inner_open, inner_close = 0, set(), set()
        for place in range(index, len(tokens)):
            if not _IN_GENERIC.fullmatch(tokens[place]):
                break
            if tokens[place] == "<":
                depth += 1
                inner_open.add(place)
            elif tokens[place] == ">":
                depth -= 1
                inner_close.add(place)
            if depth == 0:
                after = tokens[place + 1] if place + 1 < len(tokens) else ";"
                named = _NAME.fullmatch(after) and tokens[index - 1][0].isupper()
                if after in _AFTER_GENERIC or named:
                    opening |= inner_open
                    closing |= inner_close
                break
    return opening, closing


def _spaced(tokens: Sequence[str], index: int, opening: set[int], closing: set[int]) -> bool:
    """Whether a space stands before the token at ``index``."""
    before, text = tokens[index - 1], tokens[index]
    if index in opening or index in closing or index - 1 in opening:
        return False
    if index - 1 in closing:
        return bool(_NAME.fullmatch(text)) or text in ("{", "=", "?", "&")
    if text in (";", ",", ")", "]", ".", "::") or before in ("(", "[", ".", "::", "!", "~"):
        return False
    if text == "(":
        return not _NAME.fullmatch(before) or before in _CONTROL
    if text == "[":
        return not _OPERAND_END.search(before[-1])
    if text in ("++", "--"):
        return not _OPERAND_END.search(before[-1])
    if before in ("++", "--"):
        return index >= 2 and bool(_OPERAND_END.search(tokens[index - 2][-1]))
    if before in ("-", "+"):  # a sign when no operand stands before it
        left = tokens[index - 2] if index >= 2 else "("
        return bool(_OPERAND_END.search(left[-1])) and left not in _CONTROL
    return True
