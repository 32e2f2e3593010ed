"""Java files made of what a model wrote: methods, whole classes, or both.

Java wants imports first and methods in a class. What stands where it may not is moved there;
an output that does not parse goes into the class as it is, for the compiler to say why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.scoring import members
from bench.scoring.members import Part, Parts
from bench.scoring.sandbox.batch import Unit
from bench.scoring.sandbox.edits import Edits

_IMPORTS = "import java.util.*;\nimport java.util.function.*;\nimport java.util.stream.*;\n"
_IMPORT = re.compile(r"^\s*(?:package\s+[\w.]+|import\s+(?:static\s+)?[\w.*]+)\s*;", re.MULTILINE)
#: Modifiers that a type has in another type alone, and ``public``, which names the file.
_INNER = ("public", "private", "protected", "static")
#: Types that are never bound to an object of the type around them.
_STATIC = {"interface_declaration", "enum_declaration", "record_declaration"}
_CLASS = "class_declaration"


def cases_unit(check: Mapping[str, Any], output: str) -> Unit:
    """The unit of an output whose methods are called one by one: any class may have them."""
    code = members.parts(output, "java")
    imports = _imports(code, output)
    preamble = str(check.get("preamble", ""))
    if code.whole and not preamble and not _bare(code) and code.of(members.TYPE):
        text = f"{_IMPORTS}{imports}{_as_types(code)}\n"
    else:
        name = "Candidate" if not _typed(code, "Candidate") else "CandidateOutput"
        body = f"{preamble}\n{_as_members(code, output)}"
        text = f"{_IMPORTS}{imports}class {name} {{\n{body}\n}}\n"
    return Unit((("Candidate.java", text),))


def main_unit(check: Mapping[str, Any], output: str) -> Unit:
    """A HumanEval-X program: the output as ``class Solution``, and the suite's own Main.

    The second file is compiled against a facade of the first (``inside/java/Facade.java``),
    so the test sees neither the model's classes nor objects of them.
    """
    prelude = str(check["prelude"])
    above = "".join(match.group() + "\n" for match in _IMPORT.finditer(prelude))
    code = members.parts(output, "java")
    imports = _imports(code, output)
    entry = str(check.get("entry", ""))
    owner = _owner(code, entry)
    helpers = _helpers(check, code)
    if owner is not None and not _bare(code):
        text = f"{above}{imports}{_as_types(code, owner, helpers)}\n"
    else:
        head, opening, rest = prelude.partition("class Solution {")
        body = f"{helpers}{_as_members(code, output, owner)}"
        text = f"{head}{imports}{opening}{rest}{body}{check.get('epilogue', '')}"
    return Unit((("Solution.java", text), ("Main.java", above + str(check["test"]))))


def _imports(code: Parts, output: str) -> str:
    """The imports of an output, one a line; found by their look where it does not parse."""
    if code.whole:
        return "".join(f"{code.text(part)}\n" for part in code.of(members.IMPORT))
    found = (match.group().strip() for match in _IMPORT.finditer(output))
    return "".join(f"{line}\n" for line in found if line.startswith("import"))


def _bare(code: Parts) -> list[Part]:
    """What needs a class around it."""
    return [
        part
        for part in code.parts
        if part.kind in (members.METHOD, members.FIELD, members.MEMBER, members.STATEMENT)
        and part.node.type != ";"
    ]


def _typed(code: Parts, name: str) -> bool:
    return any(name in part.names for part in code.of(members.TYPE))


def _owner(code: Parts, entry: str) -> Part | None:
    """The class that defines the method that is asked for."""
    if not code.whole:
        return None
    owners = [part for part in code.of(members.TYPE) if part.node.type == _CLASS]
    return next((part for part in owners if entry in part.methods), None)


def _as_types(code: Parts, solution: Part | None = None, helpers: str = "") -> str:
    """Types beside one another; ``solution`` becomes the class of that name, with ``helpers``."""
    edits = Edits(code.content)
    for part in code.of(members.IMPORT, members.PACKAGE):
        edits.drop(part.start, part.end)
    for part in code.of(members.TYPE):
        for word, node in part.modifiers.items():
            if word in _INNER:
                edits.drop(node.start_byte - code.shift, node.end_byte - code.shift)
    body = solution.node.child_by_field_name("body") if solution is not None else None
    if helpers and body is not None:
        start = body.start_byte + 1 - code.shift
        edits.put(start, start, f" {helpers}")
    own = next(iter(solution.names), "") if solution is not None else ""
    if own and own != "Solution" and not _typed(code, "Solution"):
        for part in code.of(members.TYPE):
            _rename(edits, part, own, code.shift)
    return edits.text()


def _rename(edits: Edits, part: Part, name: str, shift: int) -> None:
    """Call a type ``Solution`` wherever its name is used; a method may have that name, too."""
    for node in members.walk(part.node):
        parent = node.parent
        called = parent is not None and parent.type in ("method_invocation", "method_declaration")
        if called and parent is not None and parent.child_by_field_name("name") == node:
            continue
        if node.type in ("identifier", "type_identifier") and members.text(node) == name:
            edits.put(node.start_byte - shift, node.end_byte - shift, "Solution")


def _as_members(code: Parts, output: str, merged: Part | None = None) -> str:
    """The members of a class; ``merged`` is a class whose own members are among them."""
    if not code.whole:
        return _IMPORT.sub("", output)
    edits = Edits(code.content)
    for part in code.of(members.IMPORT, members.PACKAGE):
        edits.drop(part.start, part.end)
    bound = {name for part in _bare(code) if "static" not in part.modifiers for name in part.names}
    for part in code.of(members.TYPE):
        body = part.node.child_by_field_name("body")
        if merged is not None and part.start == merged.start and body is not None:
            edits.drop(part.start, body.start_byte + 1 - code.shift)
            edits.drop(body.end_byte - 1 - code.shift, part.end)
        elif part.node.type == _CLASS and "static" not in part.modifiers and not part.uses & bound:
            edits.put(part.start, part.start, "static ")
    _lift(edits, code.of(members.STATEMENT))
    return edits.text()


def _lift(edits: Edits, statements: Iterable[Part]) -> None:
    """Statements beside methods get a method of their own each; nobody calls it."""
    for number, part in enumerate(statements):
        if part.node.type != ";":
            result = "Object" if part.node.type == "return_statement" else "void"
            edits.put(part.start, part.start, f"{result} statement{number}() throws Throwable {{ ")
            edits.put(part.end, part.end, " }")


def _helpers(check: Mapping[str, Any], code: Parts) -> str:
    """The methods that the prompt gives beside the one that is asked for, where they lack."""
    given = members.parts(f"{check.get('signature', '')} {{ }}", "java")
    if not given.whole or not code.whole:
        return ""
    present = {name for part in code.parts for name in part.names | part.methods}
    lacking = [part for part in given.of(members.METHOD)[:-1] if not part.names & present]
    return "".join(f"{given.text(part)}\n" for part in lacking)
