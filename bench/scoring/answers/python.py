"""The top-level items of the Python in a text, prose and fences left aside.

Whether some lines are an item is asked of the interpreter's own parser, which also tells a
text that is wrong from one that needs more lines; names and scopes come from ``symtable``.
"""

from __future__ import annotations

import ast
import codeop
import dataclasses
import re
import symtable
import warnings
from collections.abc import Iterator

from bench.scoring.answers.document import Budget, Lines, dedented, fence, indentation
from bench.scoring.answers.items import Item

#: An item takes no more steps than that from one line at the margin to the next.
_STEPS = 200
_FLAGS = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]
_GOES_ON = re.compile(r"(?:elif|else|except|finally)\b")
#: Lines of Markdown that chat templates part a text by.
_HEADING = re.compile(r"#{2,}\s*(?:Response|Answer|Solution|Instruction|Input|Output)\s*:?\s*\Z")
#: What is called to show or end something, and changes nothing that it is given.
_SHOWS = {"print", "pprint", "display", "help", "exit", "quit", "len", "repr", "str"}
#: Calls on modules that change how code runs which does not name them.
_SETTINGS = {
    "setrecursionlimit", "set_int_max_str_digits", "seed", "setcontext", "stack_size", "setlocale",
}  # fmt: skip
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def items(text: str, budget: Budget, margin: int = 0) -> list[Item]:
    """The items of a text in its order."""
    scan = _Scan(text, budget, margin)
    found = list(scan.items())
    changes = scan.changes
    for _ in changes:  # what a function calls changes what it may
        more = {
            name: changed.union(*(changes[one] for one in scan.uses[name] if one in changes))
            for name, changed in changes.items()
        }
        if more == changes:
            break
        changes = more
    return [
        dataclasses.replace(item, stirs=item.stirs.union(*(changes.get(one, ()) for one in called)))
        for item, called in zip(found, scan.called, strict=True)
    ]


class _Scan:
    def __init__(self, text: str, budget: Budget, margin: int) -> None:
        self.lines = Lines(text, margin)
        self.region = 0
        self.budget = budget
        #: The globals that functions alter, those that they use, and what each item calls.
        self.changes: dict[str, frozenset[str]] = {}
        self.uses: dict[str, frozenset[str]] = {}
        self.called: list[set[str]] = []

    def items(self) -> Iterator[Item]:
        number, comment = 0, None
        while number < len(self.lines):
            line = self.lines.lines[number]
            if self.lines.passes(number):
                self.region, comment = self.region + 1, None
            elif not line.strip():
                pass
            elif line.lstrip().startswith("#"):
                heading = self.lines.outside and _HEADING.match(line)
                if "```" in line or heading:
                    self.region, comment = self.region + 1, None
                elif comment is None:
                    comment = number
            else:
                end = self._end(number)
                first = number if comment is None else comment
                comment = None
                if end is not None:
                    made = self._item(first, end)
                    if made is not None:
                        yield made
                    number = end
                    continue
                self.region += 1
            number += 1

    def _code(self, first: int, end: int) -> str:
        margin = self.lines.margin
        return "\n".join(dedented(line, margin) for line in self.lines.lines[first:end])

    def _end(self, first: int) -> int | None:
        """The line behind the item that begins at a line; None where none does."""
        if indentation(self.lines.lines[first]) != self.lines.margin:
            return None
        whole, end = None, first
        for _ in range(_STEPS):
            end, last = self._next(end)
            code = self._code(first, last)
            state = _state(code) if self.budget.allows(code) else "wrong"
            if state == "wrong":
                return whole
            if state == "whole":
                whole = last
                if end == len(self.lines) or not _GOES_ON.match(self.lines.lines[end].strip()):
                    return whole
            if end == len(self.lines):
                return whole
        return whole

    def _next(self, number: int) -> tuple[int, int]:
        """The next line at the margin, and the end of what belongs to the one before it."""
        last = number = number + 1
        while number < len(self.lines):
            line = self.lines.lines[number]
            plain = line.strip()
            deeper = indentation(line) > self.lines.margin
            if plain and not plain.startswith("#") and (not deeper or fence(line)):
                break
            number += 1
            if plain and deeper:
                last = number
        return number, last

    def _item(self, first: int, end: int) -> Item | None:
        code = self._code(first, end)
        names = _names(code)
        if names is None:
            return None
        tree, binds, needs = names
        words = (isinstance(node, ast.Expr) and not _calls(node) for node in tree.body)
        if not binds and all(words):
            self.region += 1  # a word or a text: prose that happens to parse
            return None
        starts = self.lines.starts
        only = tree.body[0] if len(tree.body) == 1 else None
        definition = only if isinstance(only, _Definition) else None
        guard = isinstance(only, ast.If) and "__name__" in needs
        passing = frozenset(_passing(tree))
        called = set() if guard else set(_called(tree))
        self.called.append(called)
        if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
            altered = frozenset(_altered(definition.body, deep=True)) & needs
            self.changes[definition.name] = self.changes.get(definition.name, altered) | altered
            self.uses[definition.name] = self.uses.get(definition.name, needs) | needs
        return Item(
            start=starts[first],
            end=starts[end] - 1,
            code=code,
            region=self.region,
            binds=frozenset() if guard else binds,
            needs=needs - {"__name__"} - passing,
            alters=frozenset() if guard else frozenset(_altered(tree.body)),
            members=frozenset(_methods(only)),
            defines=definition is not None,
            imports=all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body),
            stub=_stub(only),
            always=not guard and any(_sets(node) for node in tree.body),
            foreign=self.lines.language not in ("", "python"),
            key=_key(definition),
            passing=passing,
            stirs=frozenset() if guard else frozenset(_given(tree)),
            leads=isinstance(only, ast.ImportFrom) and only.module == "__future__",
        )


def _state(code: str) -> str:
    """``whole``, ``open`` (more lines are needed) or ``wrong``."""
    try:
        _compiled(code, _FLAGS)
    except SyntaxError as error:
        return "open" if "incomplete input" in str(error) else "wrong"
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return "wrong"
    return "whole"


def _compiled(code: str, flags: int) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = compile(f"{code}\n", "answer", "exec", flags=flags, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def _names(code: str) -> tuple[ast.Module, frozenset[str], frozenset[str]] | None:
    """The tree of an item, the names that it binds at the top and those that it looks up."""
    try:
        tree = _compiled(code, ast.PyCF_ONLY_AST)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = symtable.symtable(f"{code}\n", "answer", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    symbols = top.get_symbols()
    binds = {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}
    needs = {one.get_name() for one in symbols if one.is_referenced()}
    needs |= _quoted(tree)
    binds -= {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value is None
        if isinstance(node.target, ast.Name)
    }
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        inner += scope.get_children()
        needs |= {one.get_name() for one in scope.get_symbols() if one.is_global()}
    starred = any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)
    )
    return tree, frozenset(binds | ({"*"} if starred else set())), frozenset(needs)


def _quoted(tree: ast.Module) -> set[str]:
    """The names in annotations that are written as texts."""
    found: set[str] = set()
    for node in ast.walk(tree):
        given = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for note in filter(None, given):
            for part in ast.walk(note):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found |= set(re.findall(r"[^\W\d]\w*", part.value))
    return found


def _calls(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call | ast.Await) for inner in ast.walk(node))


def _passing(tree: ast.Module) -> Iterator[str]:
    """The names that loops and ``with`` bind at the top, on their way."""
    for node in _outer(tree.body):
        targets: list[ast.expr] = []
        if isinstance(node, ast.For | ast.AsyncFor):
            targets = [node.target]
        elif isinstance(node, ast.With | ast.AsyncWith):
            targets = [one.optional_vars for one in node.items if one.optional_vars is not None]
        for target in targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _called(tree: ast.Module) -> Iterator[str]:
    """The functions that run for their effect alone: called in a line of their own, decorators."""
    for node in _outer(tree.body):
        run: list[ast.expr] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            run = [node.value]
        elif isinstance(node, _Definition):
            run = node.decorator_list
        for one in run:
            made = one.func if isinstance(one, ast.Call) else one
            if isinstance(made, ast.Name):
                yield made.id


def _given(tree: ast.Module) -> Iterator[str]:
    """The names that are given to calls in a line of their own: ``shuffle(table)``."""
    for node in _outer(tree.body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            if getattr(called, "attr", getattr(called, "id", "")) not in _SHOWS:
                yield from (one.id for one in node.value.args if isinstance(one, ast.Name))


def _outer(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes that run at the top: those outside of functions and classes, and these."""
    left: list[ast.AST] = list(body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, _Definition | ast.Lambda):
            left += ast.iter_child_nodes(node)


def _methods(node: ast.AST | None) -> Iterator[str]:
    """The methods of a class that have a body."""
    if isinstance(node, ast.ClassDef):
        functions = (one for one in node.body if not _stub(one))
        yield from (one.name for one in functions if isinstance(one, ast.FunctionDef))


def _key(node: ast.AST | None) -> str | None:
    """What two definitions have in common of which one counts: none where both are kept."""
    if not isinstance(node, _Definition):
        return None
    for one in node.decorator_list:
        made = one.func if isinstance(one, ast.Call) else one
        if getattr(made, "attr", getattr(made, "id", "")) == "overload" or set(_root(made)):
            return None
    return f"def {node.name}"


def _stub(node: ast.AST | None) -> bool:
    """Whether a function's body says nothing but that it is to be written."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    for statement in node.body:
        texts = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        refuses = isinstance(statement, ast.Raise) and "NotImplemented" in ast.dump(statement)
        if not (texts or refuses or isinstance(statement, ast.Pass)):
            return False
    return True


def _altered(body: list[ast.stmt], *, deep: bool = False) -> Iterator[str]:
    """The names whose values statements change: by item, attribute, method or decorator.

    ``deep``: with the functions among them, and with what is said to be ``global``.
    """
    nodes = (one for node in body for one in ast.walk(node)) if deep else _outer(body)
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node.ctx, ast.Store | ast.Del):
                yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)
        elif isinstance(node, _Definition):
            for one in node.decorator_list:
                yield from _root(one.func if isinstance(one, ast.Call) else one)
        elif isinstance(node, ast.Global):
            yield from node.names


def _root(node: ast.AST) -> Iterator[str]:
    """The name that an attribute or item is one of; a plain name is none."""
    part = False
    while isinstance(node, ast.Attribute | ast.Subscript):
        node, part = node.value, True
    if part and isinstance(node, ast.Name):
        yield node.id


def _sets(node: ast.stmt) -> bool:
    """Whether a statement changes how other code runs without naming it."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__" or node.names[0].name == "*"
    if isinstance(node, ast.Assign):
        return any(
            isinstance(target, ast.Attribute) and isinstance(target.value, ast.Call)
            for target in node.targets
        )
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return getattr(called, "attr", getattr(called, "id", "")) in _SETTINGS
    return False
