"""Code without what silences analysers, so that they judge all code alike.

A comment may switch off Pylint, Flake8, Lizard, complexipy, PMD, Checkstyle, Sonar or Roslyn for
a line or a file, an annotation some of them for what it stands at, and a coding line may keep
them from reading what is text and decoded already. One character of such words is changed;
lines, columns and tokens stay what they are.
"""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from collections.abc import Iterator

from bench.scoring import members

_COMMENTS = {"comment", "line_comment", "block_comment"}
#: Words in comments that analysers obey, each with the character that is changed in it.
_WORDS = re.compile(
    r"pylint(?P<a>:)"
    r"|(?:flake8[:=]\s*)?no(?P<b>q)a"
    r"|complexip(?P<c>y)"
    r"|NO(?P<d>P)MD"
    r"|CHECKSTYLE(?P<e>[:. ])"
    r"|CSO(?P<f>F)F"
    r"|NO(?P<g>S)ONAR"
    r"|<auto(?P<h>-)generated",
    re.IGNORECASE,
)
#: Lizard's words, changed anywhere: it may take for a comment what is a text in truth.
_LIZARD = re.compile(r"#\s*lizard(?P<a>\s)forgive|GENERATED(?P<b> )CODE")
_CODING = re.compile(r"coding(?P<a>[:=])[ \t]*[-\w.]+")
_PRAGMA = re.compile(r"^([ \t]*)#[ \t]*pragma[ \t]+warning[ \t]+disable\b[^\n]*", re.MULTILINE)
#: Annotations of Java that hide what they stand at; of any package.
_ANNOTATION = re.compile(r"(?:.*\.\s*)?(?:SuppressWarning(?P<a>s)|Generate(?P<b>d))", re.DOTALL)
_ANNOTATIONS = {"annotation", "marker_annotation"}


def unsilenced(code: str, language: str) -> str:
    """The code with nothing in it that silences; itself where it has no such thing.

    ``language`` is ``python``, ``java`` or ``csharp``. Python that does not parse stays as it
    is but for Lizard's words: it has no value anyway.
    """
    inside = _in_python(code) if language == "python" else _in_tree(code, language)
    made = list(code)
    for place in itertools.chain(_places(_LIZARD, code), inside):
        made[place] = "_"
    whole = "".join(made)
    return _PRAGMA.sub(_blank, whole) if language == "csharp" else whole


def _blank(found: re.Match[str]) -> str:
    """A comment in a directive's place, as far from the margin."""
    return f"{found[1]}//".ljust(len(found.group()))


def _places(words: re.Pattern[str], text: str, start: int = 0) -> Iterator[int]:
    """Where the characters are that make words another; the text begins at ``start``."""
    for found in words.finditer(text):
        yield from (start + found.start(name) for name, what in found.groupdict().items() if what)


def _in_python(code: str) -> Iterator[int]:
    """The places in the comments of some Python."""
    if "#" not in code:
        return
    starts = [0]
    for line in io.StringIO(code):
        starts.append(starts[-1] + len(line))
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                start = starts[token.start[0] - 1] + token.start[1]
                yield from _places(_WORDS, token.string, start)
                if token.start[0] <= 2:
                    yield from _places(_CODING, token.string, start)
    except (tokenize.TokenError, SyntaxError, IndexError):
        return


def _in_tree(code: str, language: str) -> Iterator[int]:
    """The places in the comments and annotations of some Java or C#."""
    if "/" not in code and "@" not in code:
        return
    content = members.encoded(code)
    for node in members.walk(members.tree(content, language)):
        words, part = _WORDS, node
        if node.type in _ANNOTATIONS:
            words, part = _ANNOTATION, node.child_by_field_name("name") or node
        elif node.type not in _COMMENTS:
            continue
        before = content[: part.start_byte].decode(errors="surrogatepass")
        yield from _places(words, members.text(part), len(before))
