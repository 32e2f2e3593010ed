"""A Python function taken apart: signature, docstring, and the code without the docstring."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import warnings


@dataclasses.dataclass(frozen=True, slots=True)
class PythonFunction:
    """``preamble`` is what stands before the function: imports and helpers.

    ``signature`` is its ``def`` line or lines, ``code`` the function without ``docstring``.
    """

    preamble: str
    signature: str
    docstring: str
    code: str


def take_apart(source: str, name: str | None = None) -> PythonFunction:
    """The function called ``name`` (None: the first one) of some source.

    A text that stands first among the body's expressions is the docstring even where an
    import precedes it, as in some HumanEval prompts.

    Raises:
        ValueError: the source does not parse, or has no such function.
    """
    try:
        with warnings.catch_warnings():  # public code is full of "\d" in plain texts
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"not valid Python: {error.msg} in line {error.lineno}") from None
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    chosen = [node for node in functions if name in (None, node.name)]
    if not chosen:
        raise ValueError(f"no function {name or ''}".rstrip())
    function = chosen[0] if name is None else chosen[-1]
    lines = source.split("\n")
    first = min([function.lineno, *(node.lineno for node in function.decorator_list)]) - 1
    end = function.end_lineno or len(lines)
    body_start = function.body[0].lineno - 1
    if body_start == function.lineno - 1:  # def f(x): return x
        signature = lines[body_start][: function.body[0].col_offset]
    else:
        signature = "\n".join(lines[function.lineno - 1 : body_start])
    texts = [
        node
        for node in function.body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    kept = list(range(first, end))
    docstring = ""
    if texts and texts[0].lineno - 1 > function.lineno - 1:
        documented = range(texts[0].lineno - 1, texts[0].end_lineno or texts[0].lineno)
        kept = [number for number in kept if number not in documented]
        docstring = inspect.cleandoc(str(texts[0].value.value))  # type: ignore[attr-defined]
    return PythonFunction(
        preamble="\n".join(lines[:first]).strip("\n"),
        signature=_uncommented(signature),
        docstring=docstring,
        code="\n".join(lines[number] for number in kept).strip("\n"),
    )


def _uncommented(signature: str) -> str:
    """A signature up to its colon: comment lines between it and the body fall away."""
    lines = signature.rstrip().split("\n")
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return "\n".join(lines).rstrip()
