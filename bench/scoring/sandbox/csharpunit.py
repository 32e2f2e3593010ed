"""C# files made of what a model wrote: methods, whole classes, namespaces, or several of these.

C# wants usings first and methods in a class. What stands where it may not is moved there; an
output that does not parse goes into the class as it is, for the compiler to say why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.scoring import members
from bench.scoring.members import Part, Parts
from bench.scoring.sandbox.batch import Unit
from bench.scoring.sandbox.edits import Edits

_USING = re.compile(r"^\s*(?:global\s+)?using\s+(?:static\s+)?[\w.=<>, ]+;", re.MULTILINE)
_USINGS = "".join(
    f"using {name};\n"
    for name in (
        "System",
        "System.Collections.Generic",
        "System.Globalization",
        "System.Linq",
        "System.Text",
        "System.Text.RegularExpressions",
    )
)
#: Modifiers that a type has in another type alone.
_INNER = ("private", "protected", "new")
_THIS = re.compile(r"\(\s*this\b")


def cases_unit(check: Mapping[str, Any], output: str) -> Unit:
    """The unit of an output whose methods are called one by one: any class may have them."""
    code = members.parts(output, "csharp")
    preamble = str(check.get("preamble", ""))
    if not code.whole:
        usings, body = _split(output)
        text = f"{_USINGS}{usings}class Candidate {{\n{preamble}\n{body}\n}}\n"
    elif not preamble and not _bare(code) and code.of(members.TYPE, members.NAMESPACE):
        text = f"{_USINGS}{_as_file(code)}\n"
    else:
        text = f"{_USINGS}{_around(code, preamble)}\n"
    return Unit((("Candidate.cs", text),))


def _split(output: str) -> tuple[str, str]:
    """The usings that an output begins with, and the rest, by their look."""
    top, body = [], output
    while (match := _USING.match(body)) is not None:
        top.append(match.group().strip() + "\n")
        body = body[match.end() :]
    return "".join(top), body


def _bare(code: Parts) -> list[Part]:
    """What needs a class around it."""
    kinds = (members.METHOD, members.FIELD, members.MEMBER, members.STATEMENT)
    return [part for part in code.of(*kinds) if part.node.type != "empty_statement"]


def _as_file(code: Parts) -> str:
    """Types and namespaces as they stand; a file has no private types and is not global."""
    edits = Edits(code.content)
    for part in code.of(members.TYPE):
        for word, node in part.modifiers.items():
            if word in _INNER:
                edits.drop(node.start_byte - code.shift, node.end_byte - code.shift)
    for part in code.of(members.IMPORT):
        for node in part.node.children:
            if node.type == "global":
                edits.drop(node.start_byte - code.shift, node.end_byte - code.shift)
    return edits.text()


def _around(code: Parts, preamble: str) -> str:
    """Usings, then a class with all members and types, then types that may be in none."""
    edits = Edits(code.content)
    usings, beside = [], []
    for part in code.of(members.IMPORT, members.PACKAGE):
        edits.drop(part.start, part.end)
        if part.kind == members.IMPORT:
            usings.append(re.sub(r"^global\s+", "", code.text(part)) + "\n")
    for part in code.of(members.NAMESPACE, members.TYPE):
        if part.kind == members.NAMESPACE or _THIS.search(code.text(part)):
            edits.drop(part.start, part.end)
            beside.append(code.text(part) + "\n")
        if part.kind == members.NAMESPACE:
            usings += [f"using {name};\n" for name in part.names]
    methods = code.of(members.METHOD)
    extends = any(_THIS.search(code.text(part)) for part in methods)
    static = "static " if extends else ""
    _lift(edits, code, static)
    body = f"{static}class Candidate {{\n{preamble}\n{edits.text()}\n}}\n"
    return f"{''.join(usings)}{body}{''.join(beside)}"


def _lift(edits: Edits, code: Parts, static: str) -> None:
    """Statements beside methods go into a method that nobody calls, with their variables."""
    statements = [part for part in _bare(code) if part.kind == members.STATEMENT]
    if not statements:
        return
    defining = code.of(members.METHOD, members.TYPE, members.MEMBER)
    used = {name for part in defining for name in part.uses}
    lifted = [
        part
        for part in code.of(members.FIELD, members.STATEMENT)
        if part in statements or not (part.names & used or part.modifiers)
    ]
    for part in lifted:
        edits.drop(part.start, part.end)
    moved = "\n".join(code.text(part) for part in lifted)
    end = len(code.content)
    edits.put(end, end, f"\n{static}void Statements() {{\n{moved}\n}}\n")
