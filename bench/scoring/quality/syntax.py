"""Does a snippet parse? The question that comes before every quality metric.

Analysers skip what they cannot parse, so that broken code looks clean; here an output
that does not parse has no quality values and is counted in ``parse_failures``.
"""

from __future__ import annotations

import ast
import warnings

from bench.scoring import members

NO_CODE = "holds no code"
UNPARSABLE = "does not parse"
UNPARSABLE_TREE = "does not parse (tree-sitter)"


def failure(code: str, language: str) -> str | None:
    """Why a snippet of ``python``, ``java`` or ``csharp`` does not parse; None where it does.

    Python is parsed by the running interpreter. Java and C# are parsed by tree-sitter's
    grammars, as they are and as members of a class below their imports, which is how the
    sandbox compiles them.
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


def _tree_failure(code: str, language: str) -> str | None:
    if not code.strip():
        return NO_CODE
    found = members.parts(code, language)
    if not found.whole:
        return UNPARSABLE_TREE
    return None if any("comment" not in part.node.type for part in found.parts) else NO_CODE
