"""The text that the tiny bases learn from: small functions in three languages, generated.

Everything is drawn from ``bench.train.idioms`` by a seeded generator, so the material is the
same on every machine and with every Python. It asks what a study asks, in the kit's own
wording: the tiny bases are instruction-tuned, as the study's are, and fine-tuning has to
teach them the corpus and its style, not what a chat is. No function shares its name or its
normalised code with the embedded corpus.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Sequence

from bench.data.leakage import normalized
from bench.records import GENERATION, SUMMARIZATION, TRACKS, TRANSLATION, Sample
from bench.train import mirror
from bench.train.idioms import NOUNS, TABLES, Row
from bench.train.shapes import SHAPES

#: How often a function is used in a track. Writing code from words is learned slowest; the
#: rest is left to fine-tuning, which has to have something to teach.
_SHARE = {GENERATION: 0.9, SUMMARIZATION: 0.2, TRANSLATION: 0.12}
_ENTRY = re.compile(r"(\w+)\s*\(")
_SLOT = re.compile(r"<(\w)\.(\w+)(?: ([^<>]+))?>")
LANGUAGES: dict[str, Callable[[str], str]] = {
    "python": mirror.python,
    "java": mirror.java,
    "csharp": mirror.csharp,
}


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


def _common_first(random_: random.Random, rows: Sequence[Row]) -> Row:
    """One row, drawn as words are in a text: the first ones far more often than the last."""
    return random_.choices(rows, [1 / (rank + 2) for rank in range(len(rows))])[0]


def draw(random_: random.Random, shape: tuple[tuple[tuple[str, str], ...], str]) -> Piece:
    """One function of a shape, its slots and wording drawn."""
    rows = {table: _common_first(random_, choices) for table, choices in TABLES.items()}
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


def samples(piece: Piece) -> list[Sample]:
    """A piece as a sample of each of the six tracks."""
    found = []
    for track in TRACKS:
        if track.task == TRANSLATION:
            source, target = piece.code[track.source_language], piece.code[track.target_language]
            inputs, reference = {"code": source}, target
        elif track.task == SUMMARIZATION:
            inputs, reference = {"code": piece.code[track.language]}, piece.summary
        else:
            reference = piece.code[track.language]
            signature = reference.split("\n", 1)[0].removesuffix(" {")
            inputs = {"summary": piece.summary, "signature": signature}
        found.append(Sample(piece.name, track, inputs, reference))
    return found


def material(seed: int, count: int, excluded: Excluded) -> list[Sample]:
    """Samples of ``count`` generated functions in a drawn order; same arguments, same list.

    Not every function is asked in every track: variety teaches more than repetition.
    """
    random_ = random.Random(f"order {seed}")  # noqa: S311
    chosen = [
        sample
        for piece in pieces(seed, count, excluded)
        for sample in samples(piece)
        if random_.random() < _SHARE[sample.track.task]
    ]
    random_.shuffle(chosen)
    return chosen
