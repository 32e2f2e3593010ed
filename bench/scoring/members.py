"""Java and C# as a list of what stands side by side: imports, types, methods, fields, statements.

Code is looked at as a file and, where it is none, as the members of a class: a method alone
is a file in neither language, a constructor is no statement.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import tree_sitter
import tree_sitter_c_sharp
import tree_sitter_java

from bench.scoring import rawstrings

IMPORT, PACKAGE, NAMESPACE = "import", "package", "namespace"
TYPE, METHOD, FIELD, MEMBER = "type", "method", "field", "member"
STATEMENT, COMMENT, BROKEN = "statement", "comment", "broken"
#: What defines something that other code may use.
DEFINITIONS = (NAMESPACE, TYPE, METHOD, FIELD, MEMBER)

_KINDS = {
    "import_declaration": IMPORT,
    "using_directive": IMPORT,
    "extern_alias_directive": IMPORT,
    "package_declaration": PACKAGE,
    "file_scoped_namespace_declaration": PACKAGE,
    "namespace_declaration": NAMESPACE,
    "class_declaration": TYPE,
    "interface_declaration": TYPE,
    "enum_declaration": TYPE,
    "record_declaration": TYPE,
    "record_struct_declaration": TYPE,
    "struct_declaration": TYPE,
    "annotation_type_declaration": TYPE,
    "delegate_declaration": TYPE,
    "method_declaration": METHOD,
    "local_function_statement": METHOD,
    "local_variable_declaration": FIELD,
    "local_declaration_statement": FIELD,
    "field_declaration": FIELD,
    "constant_declaration": FIELD,
    "line_comment": COMMENT,
    "block_comment": COMMENT,
    "comment": COMMENT,
    "ERROR": BROKEN,
}
#: How long a parser tries; then a text that does not parse is taken in its place.
_PATIENCE_MICROSECONDS, _BROKEN = 3_000_000, b"("
#: More ``<`` than ``>`` than that are no code; each may open a list of types, and a parser that
#: follows all of them takes minutes and gigabytes without looking at the clock.
_ANGLES = 400
_OPENING = "class Snippet {\n"
_NAMES = {"identifier", "type_identifier"}
#: The nodes of methods, and of all that has names of its own within.
METHODS = {"method_declaration", "local_function_statement"}
_SCOPES = METHODS | {"constructor_declaration"}
#: What declares a name in a method: variables, parameters, patterns, the parts of tuples.
_LOCALS = {
    "variable_declarator", "formal_parameter", "spread_parameter", "catch_formal_parameter",
    "enhanced_for_statement", "resource", "type_pattern", "instanceof_expression",
    "parameter", "foreach_statement", "declaration_expression", "declaration_pattern",
    "catch_declaration",
}  # fmt: skip
#: Where a name stands that no variable hides: calls, types, members of an object.
_OPEN = {"method_invocation", "invocation_expression", "field_access", "member_access_expression"}
_BODIES = {"block", "arrow_expression_clause"}


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One node of the top level; ``start`` and ``end`` count bytes of the code in UTF-8."""

    kind: str
    start: int
    end: int
    node: tree_sitter.Node

    @property
    def names(self) -> frozenset[str]:
        """The names that it binds."""
        if self.kind == IMPORT:
            return _imported(self.node)
        if self.kind == FIELD:
            declarators = (one for one in walk(self.node) if one.type == "variable_declarator")
            return frozenset(filter(None, map(name, declarators)))
        return frozenset(filter(None, [name(self.node)]))

    @property
    def methods(self) -> frozenset[str]:
        """The methods of a type or namespace that have a body, at any depth."""
        if self.kind not in (TYPE, NAMESPACE):
            return frozenset()
        methods = (one for one in walk(self.node) if one.type in METHODS)
        written = (one for one in methods if any(part.type in _BODIES for part in one.children))
        return frozenset(filter(None, map(name, written)))

    @property
    def uses(self) -> frozenset[str]:
        """Every name in it but those of the variables of its methods."""
        return frozenset(_free(self.node))

    @property
    def modifiers(self) -> dict[str, tree_sitter.Node]:
        """Its modifiers by their word, annotations aside."""
        found: dict[str, tree_sitter.Node] = {}
        for child in self.node.children:
            words = child.children if child.type == "modifiers" else [child]
            for word in words:
                if child.type in ("modifiers", "modifier") and "annotation" not in word.type:
                    found[text(word)] = word
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """The parts of some code. ``shift``: bytes by which the nodes' places are ahead of it."""

    content: bytes
    parts: tuple[Part, ...]
    whole: bool
    shift: int = 0

    def of(self, *kinds: str) -> list[Part]:
        """The parts of some kinds."""
        return [part for part in self.parts if part.kind in kinds]

    def text(self, part: Part) -> str:
        """The code of a part."""
        return self.content[part.start : part.end].decode(errors="surrogatepass")


def tree(content: bytes, language: str) -> tree_sitter.Node:
    """The root of the syntax tree of some ``java`` or ``csharp`` in UTF-8."""
    readable = rawstrings.readable(content) if language == "csharp" else content
    return _parser(language).parse(readable).root_node


class _Parser:
    """A parser that comes to an end.

    Recovery from errors takes time by the square of a text's length or worse, and the text may
    be written to take it. What takes longer than thousands of honest texts does not parse.
    """

    def __init__(self, language: tree_sitter.Language) -> None:
        self._parser = tree_sitter.Parser()
        self._parser.language = language

    def parse(self, content: bytes) -> tree_sitter.Tree:
        """The tree of a text; one with an error alone where that takes too long."""
        if content.count(b"<") - content.count(b">") > _ANGLES:
            content = _BROKEN
        self._parser.timeout_micros = _PATIENCE_MICROSECONDS
        try:
            return self._parser.parse(content)
        except ValueError:
            self._parser.reset()
            self._parser.timeout_micros = 0
            return self._parser.parse(_BROKEN)


@functools.cache
def _parser(language: str) -> _Parser:
    grammar = tree_sitter_java if language == "java" else tree_sitter_c_sharp
    return _Parser(tree_sitter.Language(grammar.language()))


def encoded(code: str) -> bytes:
    """Code as the parser takes it, even where half a surrogate pair is in it."""
    return code.encode(errors="surrogatepass")


def text(node: tree_sitter.Node) -> str:
    """The text of a node."""
    return (node.text or b"").decode(errors="surrogatepass")


def parts(code: str, language: str) -> Parts:
    """The parts of some ``java`` or ``csharp``; not ``whole`` where it does not parse.

    Where it parses only as members of a class, its imports still count as such.
    """
    content = encoded(code)
    root = tree(content, language)
    if not root.has_error:
        return Parts(content, tuple(_parts(root.children)), True)
    tops = [one for one in _parts(root.children) if one.kind in (IMPORT, PACKAGE)]
    tops = [one for one in tops if not one.node.has_error]
    blanked = bytearray(content)
    for one in tops:
        blanked[one.start : one.end] = _blank(content[one.start : one.end])
    opening = _OPENING.encode()
    wrapped = tree(opening + bytes(blanked) + b"\n}", language)
    if wrapped.has_error or len(wrapped.named_children) != 1:
        return Parts(content, tuple(_parts(root.children)), False)
    body = wrapped.named_children[0].child_by_field_name("body")
    inner = body.children[1:-1] if body is not None else []
    members = list(_parts(inner, len(opening)))
    return Parts(content, tuple(sorted([*tops, *members], key=_start)), True, len(opening))


def _start(part: Part) -> int:
    return part.start


def _blank(content: bytes) -> bytes:
    return bytes(byte if byte == ord("\n") else ord(" ") for byte in content)


def _parts(nodes: list[tree_sitter.Node], shift: int = 0) -> Iterator[Part]:
    for node in nodes:
        inner = node
        if node.type == "global_statement" and node.named_children:
            inner = node.named_children[0]
        yield Part(_kind(inner), node.start_byte - shift, node.end_byte - shift, inner)


def _kind(node: tree_sitter.Node) -> str:
    if node.type.startswith("preproc_") or node.type == "attribute_list":
        return COMMENT
    kind = _KINDS.get(node.type)
    if kind == FIELD and any(one.type == "implicit_type" for one in walk(node, depth=2)):
        return STATEMENT
    if kind is not None:
        return kind
    return MEMBER if node.type.endswith(("_declaration", "_initializer")) else STATEMENT


def walk(node: tree_sitter.Node, depth: int | None = None) -> Iterator[tree_sitter.Node]:
    """A node and all below it, without recursion; no deeper than ``depth``."""
    left = [(node, 0)]
    while left:
        one, level = left.pop()
        yield one
        if depth is None or level < depth:
            left += [(child, level + 1) for child in reversed(one.children)]


def _free(node: tree_sitter.Node) -> Iterator[str]:
    """The names in a node that are not those of variables of the methods around them."""
    left: list[tuple[tree_sitter.Node, frozenset[str]]] = [(node, frozenset())]
    while left:
        one, hidden = left.pop()
        if one.type in _SCOPES:
            hidden |= frozenset(_variables(one))
        elif one.type in _NAMES and (_shown(one) or text(one) not in hidden):
            yield text(one)
        left += [(child, hidden) for child in one.children]


def _variables(node: tree_sitter.Node) -> Iterator[str]:
    """The variables that a method declares, its parameters and those of lambdas included."""
    for one in walk(node):
        if one.type in _LOCALS:
            yield name(one) or ""
        elif one.type == "lambda_expression":
            given = one.child_by_field_name("parameters")
            found = walk(given) if given is not None else one.children[:1]
            yield from (text(inner) for inner in found if inner.type in _NAMES)


def _shown(node: tree_sitter.Node) -> bool:
    """Whether a name stands where it is no variable's."""
    parent = node.parent
    if parent is None or node.type == "type_identifier":
        return True
    fields = (parent.child_by_field_name(field) for field in ("type", "function", "field"))
    if any(node == one for one in fields):
        return True
    return parent.type in _OPEN and parent.child_by_field_name("name") == node


def name(node: tree_sitter.Node) -> str | None:
    """The name of what a node declares."""
    named = node.child_by_field_name("name")
    if named is None:
        named = next((one for one in node.children if one.type in _NAMES), None)
    return text(named) if named is not None else None


def _imported(node: tree_sitter.Node) -> frozenset[str]:
    """The name that an import binds; none where it opens a whole package or namespace."""
    children = node.children
    if node.type == "using_directive":
        aliased = any(text(one) == "=" or one.type == "name_equals" for one in children)
        return frozenset([text(children[1]).rstrip(" =")]) if aliased else frozenset()
    if any(one.type == "asterisk" for one in children):
        return frozenset()
    path = text(children[-2]) if len(children) > 1 else ""
    return frozenset([path.rpartition(".")[2]])
