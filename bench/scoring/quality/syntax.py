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


@functools.cache
def parser(language: str) -> tree_sitter.Parser:
    """The tree-sitter parser of ``java`` or ``csharp``."""
    grammar = tree_sitter_java if language == "java" else tree_sitter_c_sharp
    made = tree_sitter.Parser()
    made.language = tree_sitter.Language(grammar.language())
    return made


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
