"""The top-level items of the Java or C# in a text, prose and fences left aside.

Brackets tell where an item may end, the grammar (tree-sitter) whether what stands up to there
is one.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

import tree_sitter

from bench.scoring import members
from bench.scoring.answers.document import Budget, Lines, dedented, indentation
from bench.scoring.answers.items import Item
from bench.scoring.members import Part, Parts

#: A string within the hole of another, and such a hole.
_WITHIN = r'\$?@?"(?:\\.|[^"\\\n])*+"'
_HOLE = rf'\{{(?:{_WITHIN}|[^{{}}"]|\{{[^{{}}]*+\}})*+\}}'
_TOKEN = {
    language: re.compile(
        r"//[^\n]*|/\*.*?\*/"
        rf"|{text}"
        r'|\$?@\$?"(?:[^"]|"")*"|"(?:\\.|[^"\\\n])*"'
        r"|'(?:\\.[0-9A-Fa-f]{0,8}|[^'\\\n])'"
        r"|^[ \t]*(?:```|~~~)[^\n]*$"
        r"|[{}()\[\];]",
        re.DOTALL | re.MULTILINE,
    )
    for language, text in (
        ("java", r'"""(?:\\.|[^\\])*?"""'),
        (
            "csharp",
            r'(?P<quotes>"{3,}).*?(?P=quotes)(?!")'
            rf'|\$"(?!"")(?:\\.|\{{\{{|{_HOLE}|[^"\\\n{{])*+"',
        ),
    )
}
_OPENS, _CLOSES = "{([", "})]"
#: A longer text before the first brace is no head of a method or type (characters), with its
#: comments and without.
_LONGEST_START, _LONGEST_HEAD = 8000, 2000
#: So many places are tried as the end of an item.
_ENDS = 6
#: What a head is completed by to see whether it is one.
_BODIES = ("}", "};", "get;}")
#: How often a text is taken apart anew from within what looked like a comment or string.
_RESTARTS = 50
#: Statements that prose in front of a method makes of it: "Answer: static int f() …".
_HOLDERS = {"labeled_statement", "block"}
#: What gives fields their values, and so alters what uses these.
_INITIALIZERS = {"static_initializer", "block"}
#: Packages and namespaces that tests alone need; they are not at hand.
_TESTS = re.compile(
    r"(?:import(?:\s+static)?|using)\s+"
    r"(?:org\.(?:junit|testng|mockito|hamcrest|assertj)|junit|Xunit|NUnit|Moq|FluentAssertions"
    r"|Microsoft\.VisualStudio\.TestTools|BenchmarkDotNet)\b"
)
_UNWRITTEN = re.compile(
    r"(?:=>\s*)?throw\s+new\s+[\w.]*(?:NotImplemented|UnsupportedOperation|NotSupported)\w*"
)
#: What follows the accessors of a property that has a value from the start.
_SET = re.compile(r"\s*=[^=>]")
_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_REGION = re.compile(r"^[ \t]*#[ \t]*(?:end)?region\b[^\n]*\n?", re.MULTILINE)


def items(text: str, language: str, budget: Budget, margin: int = 0) -> list[Item]:
    """The items of a text in its order; ``language`` is ``java`` or ``csharp``."""
    return list(_Scan(text, language, budget, margin).items())


def body(text: str, language: str) -> str | None:
    """The statements that a text consists of, up to a surplus brace; None where it has none."""
    tokens = [found for found in _TOKEN[language].finditer(text) if found.group() in "{}"]
    depth, end = 0, len(text)
    for found in tokens:
        depth += 1 if found.group() == "{" else -1
        if depth < 0:
            end = found.start()
            break
    inner = text[:end].strip("\n").rstrip()
    made = members.parts(f"void f() {{\n{inner}\n}}", language)
    if not made.whole or [part.kind for part in made.parts] != [members.METHOD]:
        return None
    return None if _hollow(made.parts[0].node) else inner


def uses(code: str, language: str) -> frozenset[str]:
    """Every name in some code."""
    return frozenset().union(*(part.uses for part in members.parts(code, language).parts))


class _Scan:
    def __init__(self, text: str, language: str, budget: Budget, margin: int) -> None:
        self.text, self.language = text, language
        self.lines = Lines(text, margin)
        self.region = 0
        self.budget = budget
        self.restarts = _RESTARTS
        self.tokens = list(_TOKEN[language].finditer(text))
        self.places = [token.start() for token in self.tokens]
        self.unclosed = _unclosed(self.tokens)

    def items(self) -> Iterator[Item]:
        number, starts = 0, self.lines.starts
        while number < len(self.lines):
            line = self.lines.lines[number]
            if self.lines.passes(number):
                self.region += 1
            elif line.strip() and indentation(line) >= self.lines.margin:
                place = starts[number] + self.lines.margin
                end = place
                for item in self._items_from(place):
                    yield item
                    end = item.end
                if end == place and not self._passed_over(number):
                    self.region += 1
                number = max(number, bisect.bisect_right(starts, max(end - 1, place)) - 1)
            number += 1

    def _passed_over(self, number: int) -> bool:
        """Whether a line that begins no item parts no code either: a stray semicolon."""
        return not self.lines.lines[number].strip("; \t")

    def _items_from(self, place: int) -> Iterator[Item]:
        """The items that follow one another from a place to the end of its line."""
        while True:
            found = self._item(place)
            if found is None:
                return
            yield found
            place = found.end
            rest = self.text[place : self.text.find("\n", place) % (len(self.text) + 1)]
            place += len(rest) - len(rest.lstrip())
            if not rest.strip() or rest.lstrip().startswith(("//", "}")):
                return

    def _item(self, place: int) -> Item | None:
        """The item that begins at a place; None where none does."""
        ends = self._ends(place)
        head = next(ends, None)
        if head is None or not self._is_head(place, head):
            return None
        for end in ends:
            made = self._parsed(self._code(place, end))
            if made is not None:
                return self._made(place, end, made)
        return None

    def _ends(self, place: int) -> Iterator[int]:
        """First where the head ends that begins at a place, then where the item may end.

        Last where a value is set behind a brace: a property's, or what prose begins with.
        """
        set_behind: list[int] = []
        yield from self._closed(place, set_behind)
        yield from set_behind

    def _closed(self, place: int, set_behind: list[int]) -> Iterator[int]:
        """The ends that a place has but for those ``set_behind``, which are noted there."""
        depth, headed, left = 0, False, _ENDS
        for token in self._from(place):
            word = token.group()
            if not headed and token.start() - place > _LONGEST_START:
                return
            if word in _OPENS:
                if depth == 0 and token.start() in self.unclosed:
                    return
                if word == "{" and depth == 0 and not headed:
                    headed = True
                    yield token.end()
                depth += 1
            elif word in _CLOSES:
                depth -= 1
                if depth < 0:
                    return
            elif word.lstrip().startswith(("```", "~~~")):
                return
            if depth == 0 and word in ("}", ";"):
                if headed and _SET.match(self.text, token.end()):
                    set_behind.append(token.end())
                    continue
                if not headed:
                    headed = True
                    yield token.end()
                yield token.end()
                left -= 1
                if not left:
                    return

    def _from(self, place: int) -> Iterator[re.Match[str]]:
        """The tokens from a place on, read anew where it lies within one."""
        index = bisect.bisect_left(self.places, place)
        within = index > 0 and self.tokens[index - 1].end() > place
        if within and self.restarts > 0:
            self.restarts -= 1
            self.tokens[index:] = list(_TOKEN[self.language].finditer(self.text, place))
            self.places[index:] = [token.start() for token in self.tokens[index:]]
            self.unclosed = _unclosed(self.tokens)
        for number in range(index, len(self.tokens)):
            yield self.tokens[number]

    def _is_head(self, place: int, end: int) -> bool:
        """Whether what stands from a place to the first brace or semicolon may begin an item."""
        head = self.text[place:end]
        bare = _COMMENTS.sub("", head).strip()
        if len(bare) > _LONGEST_HEAD:
            return False
        if _PARAGRAPHS.search(bare) and bare[:1] not in ("@", "[", "#"):
            return False
        if head.endswith(";"):
            return True
        return any(self._parsed(f"{bare}{rest}") is not None for rest in _BODIES)

    def _parsed(self, code: str) -> Parts | None:
        """The parts of some code where it is one item (its comments aside)."""
        if not self.budget.allows(code):
            return None
        made = members.parts(code, self.language)
        solid = [part for part in made.parts if part.kind != members.COMMENT]
        if not made.whole or len(solid) != 1:
            return None
        begun = self.language == "java" and code.startswith("{")  # an initializer of fields
        return made if begun or solid[0].node.type not in _HOLDERS else None

    def _code(self, place: int, end: int) -> str:
        lines = self.text[place:end].split("\n")
        margin = self.lines.margin
        code = "\n".join([lines[0], *(dedented(line, margin) for line in lines[1:])])
        return _REGION.sub("", code) if self.language == "csharp" else code

    def _made(self, place: int, end: int, made: Parts) -> Item:
        part = next(one for one in made.parts if one.kind != members.COMMENT)
        defines = part.kind in members.DEFINITIONS
        names, initializes = part.names, part.node.type in _INITIALIZERS
        return Item(
            start=place,
            end=end,
            code=self._code(place, end),
            region=self.region,
            binds=names if defines or part.kind == members.IMPORT else frozenset(),
            needs=part.uses - names if defines or initializes else frozenset(),
            alters=part.uses if initializes else frozenset(),
            members=frozenset(_written(part)),
            defines=defines and part.kind not in (members.FIELD, members.MEMBER),
            imports=part.kind == members.IMPORT,
            stub=part.kind == members.METHOD and _hollow(part.node),
            always=part.kind == members.IMPORT and not names and not _TESTS.search(made.text(part)),
            foreign=self.lines.language not in ("", self.language),
            key=_key(part),
        )


def _unclosed(tokens: Iterable[re.Match[str]]) -> frozenset[int]:
    """Where the brackets open that nothing closes: no item begins before one and ends behind it."""
    opened: list[int] = []
    for token in tokens:
        if token.group() in _OPENS:
            opened.append(token.start())
        elif token.group() in _CLOSES and opened:
            opened.pop()
    return frozenset(opened)


def _written(part: Part) -> Iterator[str]:
    """The methods of a type that say more than that they are to be written."""
    if part.methods:
        methods = (one for one in members.walk(part.node) if one.type in members.METHODS)
        yield from (members.name(one) or "" for one in methods if not _hollow(one))


def _hollow(node: tree_sitter.Node) -> bool:
    """Whether a method has no body, or one that says no more than that it is to be written."""
    inner = node.child_by_field_name("body")
    if inner is None:
        arrows = [one for one in node.children if one.type == "arrow_expression_clause"]
        return not arrows or bool(_UNWRITTEN.match(members.text(arrows[0])))
    said = [child for child in inner.named_children if "comment" not in child.type]
    return not said or (len(said) == 1 and bool(_UNWRITTEN.match(members.text(said[0]))))


def _key(part: Part) -> str | None:
    """What no two members of a class may have in common."""
    name = next(iter(part.names), "")
    if part.kind == members.TYPE:
        return None if "partial" in part.modifiers else f"type {name}"
    if part.kind != members.METHOD:
        return None
    given = part.node.child_by_field_name("parameters")
    types = [
        "".join(members.text(child.child_by_field_name("type") or child).split())
        for child in (given.named_children if given is not None else [])
    ]
    return f"{name}({','.join(types)})"
