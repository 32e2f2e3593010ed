"""Code without what silences analysers, so that they judge all code alike.

A comment may switch off Pylint, Flake8, Lizard, PMD, Checkstyle or Roslyn for a line or a file,
and a coding line may keep them from reading it, which is text and decoded already. One
character of such words is changed; lines, columns and tokens stay what they are.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator

from bench.scoring import members
from bench.scoring.quality.syntax import parser

_COMMENTS = {"comment", "line_comment", "block_comment"}
#: Words in comments that analysers obey, each with the character that is changed in it.
_WORDS = re.compile(
    r"pylint(?P<a>:)"
    r"|(?:flake8[:=]\s*)?no(?P<b>q)a"
    r"|#\s*lizard(?P<c> )forgive"
    r"|GENERATED(?P<d> )CODE"
    r"|NO(?P<e>P)MD"
    r"|CHECKSTYLE(?P<f>[:. ])"
    r"|CSO(?P<g>F)F"
    r"|NO(?P<h>S)ONAR"
    r"|<auto(?P<i>-)generated",
    re.IGNORECASE,
)
_CODING = re.compile(r"coding(?P<a>[:=])[ \t]*[-\w.]+")
_PRAGMA = re.compile(r"^([ \t]*#[ \t]*)(?:pragma[ \t]+warning[ \t]+disable)\b[^\n]*", re.MULTILINE)


def unsilenced(code: str, language: str) -> str:
    """The code with nothing in it that silences; itself where it has no such thing.

    ``language`` is ``python``, ``java`` or ``csharp``. Python that does not parse stays as it
    is: it has no value anyway.
    """
    if language == "python":
        places = list(_python_comments(code)) if "#" in code else []
    else:
        places = list(_tree_comments(code, language)) if "/" in code else []
    made = list(code)
    for start, end in places:
        comment = code[start:end]
        found = [*_WORDS.finditer(comment)]
        if language == "python" and code.count("\n", 0, start) < 2:
            found += _CODING.finditer(comment)
        for one in found:
            for place in (one.start(name) for name, what in one.groupdict().items() if what):
                made[start + place] = "_" if comment[place] != "_" else "-"
    whole = "".join(made)
    return _PRAGMA.sub(_blank, whole) if language == "csharp" else whole


def _blank(found: re.Match[str]) -> str:
    return "//".ljust(len(found.group()))


def _python_comments(code: str) -> Iterator[tuple[int, int]]:
    """Where the comments of some Python begin and end."""
    starts = [0]
    for line in io.StringIO(code):
        starts.append(starts[-1] + len(line))
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                start = starts[token.start[0] - 1] + token.start[1]
                yield start, start + len(token.string)
    except (tokenize.TokenError, SyntaxError, IndexError):
        return


def _tree_comments(code: str, language: str) -> Iterator[tuple[int, int]]:
    """Where the comments of some Java or C# begin and end."""
    content = members.encoded(code)
    for node in members.walk(parser(language).parse(content).root_node):
        if node.type in _COMMENTS:
            before = content[: node.start_byte].decode(errors="surrogatepass")
            yield len(before), len(before) + len(members.text(node))
