"""The text that the tiny bases learn from: small functions in three languages, generated.

Everything is drawn from ``bench.train.idioms`` by a seeded generator, so the material is the
same on every machine and with every Python. A document is raw text: a summary as a comment
above a function, a function with its summary below, or the same function in two languages.
It teaches the languages, names and pieces; the chat format and the tasks are left to
training. No function shares its name or its normalised code with the embedded corpus.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Sequence

from bench.data.leakage import normalized
from bench.train import mirror
from bench.train.idioms import NOUNS, TABLES, Row
from bench.train.shapes import SHAPES

#: How many of the six documents of a function are used: variety teaches more than repetition.
_FORMS = 3
_ENTRY = re.compile(r"(\w+)\s*\(")
_SLOT = re.compile(r"<(\w)\.(\w+)(?: ([^<>]+))?>")
LANGUAGES: dict[str, Callable[[str], str]] = {
    "python": mirror.python,
    "java": mirror.java,
    "csharp": mirror.csharp,
}
_COMMENT = {"python": "#", "java": "//", "csharp": "//"}
_TITLE = {"python": "Python", "java": "Java", "csharp": "C#"}


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """One generated function: its name in Python's style, summary, and code by language."""

    name: str
    summary: str
    code: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Excluded:
    """What the material must not hold: names (lower case, no underscores) and codes."""

    names: frozenset[str]
    codes: frozenset[str]

    @classmethod
    def of(cls, functions: Sequence[tuple[str, dict[str, str]]]) -> Excluded:
        """From (name in Python's style, code by language) of every function of a corpus."""
        return cls(
            frozenset(_flat(name) for name, _ in functions),
            frozenset(
                _normal(code, lang) for _, codes in functions for lang, code in codes.items()
            ),
        )

    def holds(self, piece: Piece) -> bool:
        """Whether a piece is one of the excluded functions, or a renamed copy of one."""
        if _flat(piece.name) in self.names:
            return True
        return any(_normal(code, lang) in self.codes for lang, code in piece.code.items())


def _normal(code: str, language: str) -> str:
    """The normalised code, its function's name (the first before a parenthesis) replaced too."""
    entry = _ENTRY.search(code)
    return normalized(code, language, entry.group(1) if entry else "")


def _flat(name: str) -> str:
    return name.replace("_", "").lower()


def blocks() -> list[tuple[tuple[tuple[str, str], ...], str]]:
    """The shapes as ((summary, name) alternatives, source)."""
    found = []
    for block in SHAPES.strip().split("\n\n"):
        head, source = block.split("\ndef NAME", 1)
        lines = [line.split(" | ", 1) for line in head.split("\n")]
        found.append((tuple((summary, name) for summary, name in lines), "def NAME" + source))
    return found


def _filled(template: str, rows: dict[str, Row]) -> str:
    def value(match: re.Match[str]) -> str:
        table, field, argument = match.groups()
        text = rows[table][field]
        return text.replace("@", argument) if argument else text

    while _SLOT.search(template):
        template = _SLOT.sub(value, template)
    return template


def draw(random_: random.Random, shape: tuple[tuple[tuple[str, str], ...], str]) -> Piece:
    """One function of a shape, its slots and wording drawn."""
    rows = {table: random_.choice(choices) for table, choices in TABLES.items()}
    heads, source = shape
    summary, name = (_filled(part, rows) for part in random_.choice(heads))
    name = re.sub(r"\W+", "_", name.lower()).strip("_")
    source = _filled(source, rows).replace("NAME", name)
    summary = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", summary)
    for noun, others in NOUNS.items():
        if random_.random() < 0.5 and re.search(rf"\b{noun}: ", source):
            other = random_.choice(others)
            pairs = {noun: other, noun.removesuffix("s"): other.removesuffix("s")}
            if noun == "text":
                pairs = {noun: other}
            for old, new in pairs.items():
                source = re.sub(rf"(?<![a-z\"]){old}(?![a-z\"])", new, source)
                summary = re.sub(rf"\b{old}\b", new, summary)
            name = source.split("(", 1)[0].removeprefix("def ")
    code = {language: write(source) for language, write in LANGUAGES.items()}
    code["python"] = code["python"].rstrip()
    return Piece(name, summary, code)


def pieces(seed: int, count: int, excluded: Excluded) -> Iterator[Piece]:
    """``count`` different functions, none of them excluded, the shapes in turn."""
    random_ = random.Random(f"material {seed}")  # noqa: S311
    shapes = blocks()
    seen: set[str] = set()
    made = 0
    while made < count:
        random_.shuffle(shapes)
        for shape in shapes:
            piece = draw(random_, shape)
            if piece.code["python"] in seen or excluded.holds(piece):
                continue
            seen.add(piece.code["python"])
            made += 1
            yield piece
            if made == count:
                return


def documents(piece: Piece) -> list[str]:
    """The raw texts of a piece: read both ways, in each language and between languages."""
    texts = []
    for language, code in piece.code.items():
        sign = _COMMENT[language]
        if language != "csharp":
            texts.append(f"{sign} {piece.summary}\n{code}\n")
            texts.append(f"{code}\n{sign} {piece.summary}\n")
    java, csharp = (f"// {_TITLE[one]}\n{piece.code[one]}\n" for one in ("java", "csharp"))
    return [*texts, java + csharp, csharp + java]


def material(seed: int, count: int, excluded: Excluded) -> list[str]:
    """Documents of ``count`` functions, three forms of each, shuffled."""
    random_ = random.Random(f"order {seed}")  # noqa: S311
    texts = [
        text
        for piece in pieces(seed, count, excluded)
        for text in random_.sample(documents(piece), _FORMS)
    ]
    random_.shuffle(texts)
    return texts
