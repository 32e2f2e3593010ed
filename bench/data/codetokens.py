"""Code as tokens joined by one space, as CodeSearchNet's records have it.

Summarization was trained on such text; evaluation code has none of its own, so a corrected
protocol makes it by CodeSearchNet's rule: the leaves of tree-sitter's syntax tree, a string
being one. The grammars of that time had quirks, which are repeated. Of the mirror's CodeXGLUE
records ``tests/test_data_codetokens.py`` asserts how many come out the same.
"""

from __future__ import annotations

import functools
import importlib
import textwrap
from collections.abc import Iterator
from typing import Any

from bench.errors import MachineError

_GRAMMARS = {"python": "tree_sitter_python", "java": "tree_sitter_java"}
#: Leaves that are one token although newer grammars look into them.
_WHOLE = frozenset({"string", "string_literal"})
_SPLATS = frozenset({"dictionary_splat", "dictionary_splat_pattern"})


def joined_tokens(code: str, language: str) -> str:
    """The tokens of some code (``python`` or ``java``) joined by one space.

    Comments are tokens; a Python docstring is one too, so remove it before.

    Raises:
        MachineError: tree-sitter or the language's grammar is not installed.
    """
    source = textwrap.dedent(code).encode()
    tree = _parser(language).parse(source)
    return " ".join(text for text in _tokens(tree.root_node, source) if text.strip())


def _tokens(node: Any, source: bytes) -> Iterator[str]:
    text = source[node.start_byte : node.end_byte].decode()
    match node.type:
        case kind if kind in _WHOLE:
            yield text
        case "character_literal":  # its character was no leaf
            yield from ("'", "'")
        case "hex_integer_literal" if text[-1] in "lL":
            yield from (text[:-1], text[-1])
        case "type_arguments" if text == "<>":
            yield text
        case "**" if node.parent.type in _SPLATS:
            yield from ("*", "*")
        case "line_continuation":
            return
        case _ if not node.children:
            yield text
        case _:
            for child in node.children:
                yield from _tokens(child, source)


@functools.cache
def _parser(language: str) -> Any:
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = importlib.import_module(_GRAMMARS[language])
    except ModuleNotFoundError as error:
        raise MachineError(
            f"code cannot be cut into tokens: {error.name} is not installed",
            hint="install containers/locks/venv.txt, as `nox` does",
        ) from None
    return tree_sitter.Parser(tree_sitter.Language(grammar.language()))
