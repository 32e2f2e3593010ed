"""Which source files a stage uses: a static closure over the imports of its function.

The stage's own module counts by definition (only what its function reaches), every
module below it as a whole. Code that is named by a string counts too, so that what is
started as ``python -m`` or loaded by path is not missed: a string that equals a module of
the package, or a file or folder beside the module. Data files beside a module count with
it. Imports for type checking only do not.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Modules that word, measure, plan or transport; none of them decides a result.
IGNORED = (
    "bench.errors",
    "bench.places",
    "bench.cgroups",
    "bench.measure",
    "bench.nvml",
    "bench.grid",
    "bench.run.job",
)

#: Nodes without any below them, which neither import nor name anything: half of a tree.
_LEAVES = (ast.Name, ast.expr_context, ast.operator, ast.unaryop, ast.boolop)


class Code:
    """The source tree of the package below ``root`` (the folder that holds ``bench/``)."""

    def __init__(self, root: Path, ignored: Iterable[str] = IGNORED) -> None:
        self._root = root
        self._ignored = tuple(ignored)
        self._used: dict[Path, frozenset[Path]] = {}
        self._listed: dict[Path, frozenset[str]] = {}
        self._located: dict[str, Path | None] = {}

    def files(self, entry: str) -> dict[str, str]:
        """SHA-256 of every file that ``entry`` (``module:function``) uses, by its path.

        The entry's own module stands as ``path:function``, with the hash of the
        definitions that the function reaches.

        Raises:
            ValueError: no such module or function.
        """
        module, _, function = entry.partition(":")
        path = self._locate(module)
        if path is None:
            raise ValueError(f"no module {module} below {self._root}")
        nodes = _reached(ast.parse(path.read_bytes()), function)
        source = "\n".join(ast.unparse(node) for node in nodes)
        found = {f"{self._name(path)}:{function}": hashlib.sha256(source.encode()).hexdigest()}
        waiting = list(self._uses(path, nodes))
        seen = {path}
        while waiting:
            file = waiting.pop()
            if file not in seen:
                seen.add(file)
                found[self._name(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
                waiting += self._used_by(file)
        return dict(sorted(found.items()))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _names_in(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            self._listed[folder] = frozenset(path.name for path in folder.iterdir())
        return self._listed[folder]

    def _locate(self, module: str) -> Path | None:
        if module not in self._located:
            base = self._root.joinpath(*module.split("."))
            paths = (base.with_suffix(".py"), base / "__init__.py")
            self._located[module] = next((path for path in paths if path.is_file()), None)
        return self._located[module]

    def _used_by(self, file: Path) -> frozenset[Path]:
        if file.suffix != ".py":
            return frozenset()
        if file not in self._used:
            nodes = [ast.parse(file.read_bytes())]
            self._used[file] = frozenset(self._uses(file, nodes)) | frozenset(_data_beside(file))
        return self._used[file]

    def _uses(self, file: Path, nodes: Iterable[ast.AST]) -> Iterator[Path]:
        """The files of the package that some code of ``file`` imports or names."""
        parts = file.relative_to(self._root).with_suffix("").parts
        package = parts[:-1]
        for node in _executed(nodes):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(alias.name, parts[0])
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else ()
                base = ".".join((*above, *(node.module or "").split("."))).strip(".")
                yield from self._module(base, parts[0])
                for alias in node.names:
                    yield from self._module(f"{base}.{alias.name}", parts[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self._named(file, node.value, parts[0])

    def _module(self, name: str, package: str) -> Iterator[Path]:
        """A module of the package and the packages around it, save the root package.

        Beside an installed package lie others, which the locks name.
        """
        if any(name == ignored or name.startswith(ignored + ".") for ignored in self._ignored):
            return
        parts = name.split(".")
        path = self._locate(name) if parts[0] == package else None
        if path is None or len(parts) == 1:
            return
        yield path
        for depth in range(2, len(parts)):
            around = self._locate(".".join(parts[:depth]))
            if around is not None:
                yield around

    def _named(self, file: Path, text: str, package: str) -> Iterator[Path]:
        if text.startswith(package + ".") and text.replace(".", "").isidentifier():
            yield from self._module(text, package)
        elif text in self._names_in(file.parent):
            beside = file.parent / text
            if beside.is_dir():
                yield from _all_below(beside)
            elif beside.is_file() and beside != file:
                yield beside


def _all_below(folder: Path) -> list[Path]:
    return [
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]


def _data_beside(file: Path) -> list[Path]:
    return [path for path in file.parent.iterdir() if path.is_file() and path.suffix != ".py"]


def _executed(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below some, without docstrings and imports for type checking only."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        yield node
        # What ast.iter_child_nodes gives, but for the leaves: in half of the time.
        for field in node._fields:
            child = getattr(node, field, None)
            if isinstance(child, list):
                waiting += [one for one in child if isinstance(one, ast.AST)]
            elif isinstance(child, ast.AST) and not isinstance(child, _LEAVES):
                waiting.append(child)


def _reached(tree: ast.Module, function: str) -> list[ast.stmt]:
    """The top-level statements of a module that a function needs, in their order.

    Definitions, assignments and imports count where a reached statement speaks of what
    they bind; any other statement has effects of its own and always counts.
    """
    statements = [node for node in tree.body if not _is_docstring(node)]
    bound = [frozenset(_binds(node)) for node in statements]
    if not any(function in names for names in bound):
        raise ValueError(f"no function {function}")
    reached = {index for index, names in enumerate(bound) if not names or function in names}
    waiting = list(reached)
    while waiting:
        spoken = {
            node.id for node in ast.walk(statements[waiting.pop()]) if isinstance(node, ast.Name)
        }
        for index, names in enumerate(bound):
            if index not in reached and names & spoken:
                reached.add(index)
                waiting.append(index)
    return [statements[index] for index in sorted(reached)]


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _binds(node: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement binds; none for one that only has effects."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in ast.walk(target):
                if isinstance(part, ast.Name):
                    yield part.id
