"""What Lizard is to find in a snippet: how many functions there are, and C# as it reads it.

Lizard skips expression bodies and generic constraints of C#, some methods of records, Python
functions of one line; it leaves them out of its sums without a word.
"""

from __future__ import annotations

import ast
import warnings

import tree_sitter

from bench.scoring import members
from bench.scoring.sandbox.edits import Edits

_FUNCTIONS = {
    "compact_constructor_declaration",
    "constructor_declaration",
    "conversion_operator_declaration",
    "destructor_declaration",
    "local_function_statement",
    "method_declaration",
    "operator_declaration",
}
_WITHOUT_VALUE = {"constructor_declaration", "destructor_declaration"}


def count(code: str, language: str) -> int:
    """The functions with a body of a snippet that parses.

    Of C# those in another function do not count: Lizard takes them for a part of it.
    """
    if language == "python":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code.removeprefix("\ufeff"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return sum(isinstance(node, kinds) for node in ast.walk(tree))
    found = 0
    left = [part.node for part in members.parts(code, language).parts]
    while left:
        node = left.pop()
        if node.type in _FUNCTIONS and node.child_by_field_name("body") is not None:
            found += 1
            if language == "csharp":
                continue
        left += node.named_children
    return found


def spelled_out(code: str) -> str:
    """C# with a block in the place of each function's expression, and without constraints.

    Lines stay what they are, and what does not parse stays as it is.
    """
    if "=>" not in code and "where" not in code:
        return code
    found = members.parts(code, "csharp")
    if not found.whole:
        return code
    edits = Edits(found.content)
    for part in found.parts:
        for node in members.walk(part.node):
            if node.type == "type_parameter_constraints_clause":
                edits.drop(node.start_byte - found.shift, node.end_byte - found.shift)
            elif node.type in _FUNCTIONS:
                _spell_out(node, found.shift, edits)
    return edits.text()


def _spell_out(function: tree_sitter.Node, shift: int, edits: Edits) -> None:
    body = function.child_by_field_name("body")
    if body is None or body.type != "arrow_expression_clause" or len(body.children) != 2:
        return
    arrow, value = body.children
    end = function.children[-1]
    given = function.child_by_field_name("type") or function.child_by_field_name("returns")
    silent = function.type in _WITHOUT_VALUE or value.type == "throw_expression"
    silent |= given is not None and members.text(given) == "void"
    opening = "{" if silent else "{ return"
    edits.put(arrow.start_byte - shift, arrow.end_byte - shift, opening)
    if end.type == ";":
        edits.put(end.start_byte - shift, end.end_byte - shift, "; }")
