"""Cognitive complexity: how hard a snippet's control flow is to follow.

Python is measured by complexipy. No pinned library measures Java and C# both, so these two
are walked here by the same rules, those of G. Ann Campbell's "Cognitive Complexity"
(SonarSource, 2018): one point for every break of the linear flow and one more for each
level that it is nested in, one for ``else``, for each run of like logical operators and for
a jump to a label. The point for recursion is left out, as by Sonar in Java: without types a
call of an overload looks the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import complexipy
import tree_sitter

from bench.scoring import members
from bench.scoring.quality import silencing

#: Breaks of the linear flow, which weigh more the deeper they are nested.
_BREAKS = {
    "catch_clause",
    "conditional_expression",
    "do_statement",
    "enhanced_for_statement",
    "for_each_statement",
    "for_statement",
    "foreach_statement",
    "switch_expression",
    "switch_statement",
    "ternary_expression",
    "while_statement",
}
#: What nests its content without being a break itself.
_CLOSURES = {"anonymous_method_expression", "lambda_expression"}
#: Members of a type, and functions: they nest their content where they stand in a function.
_MEMBERS = {
    "class_body",
    "declaration_list",
    "enum_body",
    "interface_body",
    "local_function_statement",
}
_FUNCTIONS = {
    "accessor_declaration",
    "constructor_declaration",
    "local_function_statement",
    "method_declaration",
}
_JUMPS = {"break_statement", "continue_statement"}
_LOGICAL = {"&&", "||"}

#: A node, how deep it is nested, and whether it stands in a function.
Place = tuple[tree_sitter.Node, int, bool]


def measure(code: str, language: str) -> int | None:
    """The sum over a snippet of ``python``, ``java`` or ``csharp``; None where it is too deep.

    The snippet must parse (``syntax.failure``).
    """
    if language == "python":
        try:
            plain = silencing.unsilenced(code, "python")
            return int(complexipy.code_complexity(plain).complexity)
        except ValueError:  # it parses for Python, but nests deeper than complexipy follows
            return None
    return sum(itertools.chain.from_iterable(map(_points, _nodes(code, language))))


def _nodes(code: str, language: str) -> Iterator[tree_sitter.Node]:
    return (part.node for part in members.parts(code, language).parts)


def _points(root: tree_sitter.Node) -> Iterator[int]:
    """The points of a tree, one after the other (a walk without recursion: trees are deep)."""
    left: list[Place] = [(root, 0, False)]
    while left:
        node, nesting, inside = left.pop()
        if node.type == "if_statement":
            yield from _points_of_if(node, nesting)
            left += _parts_of_if(node, nesting, inside)
            continue
        if node.type in _BREAKS:
            yield 1 + nesting
            nesting += 1
        elif node.type in _CLOSURES or (node.type in _MEMBERS and inside):
            nesting += 1
        elif node.type in _JUMPS:
            yield int(node.named_child_count > 0)
        elif node.type == "goto_statement":
            yield 1
        elif _operator(node) is not None and not _continues(node):
            yield _runs(node)
        inside |= node.type in _FUNCTIONS
        left += [(child, nesting, inside) for child in node.named_children]


def _points_of_if(node: tree_sitter.Node, nesting: int) -> Iterator[int]:
    """One and the nesting, but one alone for ``else if``; and one for a last ``else``."""
    yield 1 if _is_else(node) else 1 + nesting
    alternative = node.child_by_field_name("alternative")
    if alternative is not None and alternative.type != "if_statement":
        yield 1


def _is_else(node: tree_sitter.Node) -> bool:
    parent = node.parent
    if parent is None or parent.type != "if_statement":
        return False
    alternative = parent.child_by_field_name("alternative")
    return alternative is not None and alternative.id == node.id


def _parts_of_if(node: tree_sitter.Node, nesting: int, inside: bool) -> Iterator[Place]:
    """The parts of an ``if``: its branches are nested, its condition and an ``else if`` not."""
    condition = node.child_by_field_name("condition")
    for child in node.named_children:
        level = child.type == "if_statement" and _is_else(child)
        level |= condition is not None and child.id == condition.id
        yield child, nesting if level else nesting + 1, inside


def _operator(node: tree_sitter.Node) -> str | None:
    """``&&`` or ``||`` where the node is such an operation."""
    operator = node.child_by_field_name("operator")
    found = operator.type if operator is not None else ""
    return found if node.type == "binary_expression" and found in _LOGICAL else None


def _continues(node: tree_sitter.Node) -> bool:
    """Whether a logical operation is an operand of another, which counts it."""
    parent = node.parent
    while parent is not None and parent.type == "parenthesized_expression":
        parent = parent.parent
    return parent is not None and _operator(parent) is not None


def _runs(node: tree_sitter.Node) -> int:
    """How often the operator changes, read from left to right through parentheses, plus one."""
    operators: list[str] = []
    left: list[tree_sitter.Node | str] = [node]
    while left:
        item = left.pop()
        if isinstance(item, str):
            operators.append(item)
            continue
        while item.type == "parenthesized_expression" and item.named_child_count == 1:
            item = item.named_children[0]
        operator = _operator(item)
        if operator is not None:
            left += [item.children[-1], operator, item.children[0]]
    changes = sum(first != second for first, second in itertools.pairwise(operators))
    return changes + 1
