"""Does a snippet parse? The question that comes before every quality metric.

Analysers skip what they cannot parse, so that broken code looks clean; here an output
that does not parse has no quality values and is counted in ``parse_failures``.
"""

from __future__ import annotations

import ast
import functools
import warnings

import tree_sitter
import tree_sitter_c_sharp
import tree_sitter_java

#: A method on its own is not a compilation unit in either language, a class is.
CLASS = "class Snippet {{\n{code}\n}}"

_PATIENCE_MICROSECONDS = 3_000_000
_BROKEN = b"("

NO_CODE = "holds no code"
UNPARSABLE = "does not parse"
UNPARSABLE_TREE = "does not parse (tree-sitter)"


def failure(code: str, language: str) -> str | None:
    """Why a snippet of ``python``, ``java`` or ``csharp`` does not parse; None where it does.

    Python is parsed by the running interpreter. Java and C# are parsed by tree-sitter's
    grammars, as they are and as members of a class, which accept some programs that a
    compiler rejects but reject none that it accepts.
    """
    return _python_failure(code) if language == "python" else _tree_failure(code, language)


def _python_failure(code: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Text, as it is executed: a coding line is a comment.
            tree = ast.parse(code.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return UNPARSABLE
    return None if tree.body else NO_CODE


class Parser:
    """A parser that comes to an end.

    Recovery from errors takes time by the square of a text's length or worse, and the text may
    be written to take it. What takes longer than thousands of honest texts does not parse.
    """

    def __init__(self, language: tree_sitter.Language) -> None:
        self._parser = tree_sitter.Parser()
        self._parser.language = language

    def parse(self, content: bytes) -> tree_sitter.Tree:
        """The tree of a text; one with an error alone where that takes too long."""
        self._parser.timeout_micros = _PATIENCE_MICROSECONDS
        try:
            return self._parser.parse(content)
        except ValueError:
            self._parser.reset()
            self._parser.timeout_micros = 0
            return self._parser.parse(_BROKEN)


@functools.cache
def parser(language: str) -> Parser:
    """The tree-sitter parser of ``java`` or ``csharp``."""
    grammar = tree_sitter_java if language == "java" else tree_sitter_c_sharp
    return Parser(tree_sitter.Language(grammar.language()))


def _tree_failure(code: str, language: str) -> str | None:
    if not code.strip():
        return NO_CODE
    parse = parser(language).parse
    root = parse(code.encode()).root_node
    if root.has_error:
        root = parse(CLASS.format(code=code).encode()).root_node
        return UNPARSABLE_TREE if root.has_error else None
    named = root.named_children
    return None if any("comment" not in node.type for node in named) else NO_CODE
