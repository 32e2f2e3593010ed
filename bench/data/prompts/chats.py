"""Chats in a Python script: lists of dict literals with ``role`` and ``content``, by ``ast``.

A content is a text, an f-string, or a name that is assigned one; what only the data say stands
in it as ``{name}``. The script is never run.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence

#: By role, the texts that a chat may have.
Chat = Mapping[str, tuple[str, ...]]
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = ("body", "orelse", "finalbody")


def chats(tree: ast.Module) -> Iterator[Chat]:
    """Every chat of a script, function by function."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            yield from _chats_in(scope.body, ())


def _chats_in(block: Sequence[ast.stmt], before: tuple[Sequence[ast.stmt], ...]) -> Iterator[Chat]:
    """The chats of a block; ``before``: what stands before it, in each block around it."""
    for place, statement in enumerate(block):
        if isinstance(statement, _SCOPES):
            continue
        known = (*before, block[:place])
        inner = [part for name in _BLOCKS for part in [getattr(statement, name, None)] if part]
        inner += [handler.body for handler in getattr(statement, "handlers", ())]
        for part in inner:
            yield from _chats_in(part, known)
        if not inner:
            yield from (chat for node in ast.walk(statement) for chat in _chat(node, known))


def _chat(node: ast.AST, known: Sequence[Sequence[ast.stmt]]) -> Iterator[Chat]:
    turns = [_turn(one) for one in node.elts] if isinstance(node, ast.List) else []
    if len(turns) >= 2 and all(turns):
        yield {
            role: tuple(dict.fromkeys(_texts(content, known)))
            for role, content in (turn for turn in turns if turn)
        }


def _values(name: str, known: Sequence[Sequence[ast.stmt]]) -> list[ast.expr]:
    """What a name may have been assigned, by the nearest block that assigns it."""
    for block in reversed(known):
        values = [
            node.value
            for statement in block
            if not isinstance(statement, _SCOPES)
            for node in ast.walk(statement)
            if isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
        ]
        if values:
            return values
    return []


def _turn(node: ast.expr) -> tuple[str, ast.expr] | None:
    """Role and content of a dict literal with just these keys."""
    if not isinstance(node, ast.Dict):
        return None
    entries = {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    }
    role = entries.get("role")
    if set(entries) != {"role", "content"} or not isinstance(role, ast.Constant):
        return None
    return str(role.value), entries["content"]


def _texts(node: ast.expr, known: Sequence[Sequence[ast.stmt]]) -> list[str]:
    """What an expression may say; what only the data say stands as ``{name}``."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            choices = [_texts(part, known) for part in parts]
            return ["".join(chosen) for chosen in itertools.product(*choices)]
        case ast.FormattedValue(value=value):
            return _texts(value, known)
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body, known), *_texts(other, known)]
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return [f"{{{key}}}"]
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=" "), attr="join"),
            args=[ast.Subscript(slice=ast.Constant(value=str(key)))],
        ):
            return [f"{{{key}}}"]
        case ast.Name(id=name):
            said = [text for value in _values(name, known) for text in _texts(value, ())]
            told = [text for text in said if not _is_code(text)]
            return told or [f"{{{name}}}"]
    return [f"{{={ast.unparse(node)}}}"]


def _is_code(text: str) -> bool:
    """Whether a text stands for an expression that has no name of its own."""
    return text.startswith("{=")
