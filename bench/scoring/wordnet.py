"""WordNet's synonyms straight from its files, for METEOR: nothing is loaded up front.

nltk's own reader parses all 30 MB on its first look-up (3.5 s of CPU in each process) and
wants a file that Debian's package leaves out. METEOR asks for a few hundred words, so
this reader finds each in the sorted index by bisection.
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
from collections.abc import Iterator
from pathlib import Path

import nltk.data
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from bench.scoring.admission import NotRunError

#: Parts of speech as nltk orders them, and the suffix of their files.
FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

MISSING = (
    "not run: WordNet 3.0 is not installed; apt-get install wordnet-base, "
    "or python -m nltk.downloader wordnet"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Lemma:
    """A word of a synset."""

    word: str

    def name(self) -> str:
        """The word as it is written; several words are joined by underscores."""
        return self.word


@dataclasses.dataclass(frozen=True, slots=True)
class Synset:
    """A set of synonyms."""

    words: tuple[Lemma, ...]

    def lemmas(self) -> tuple[Lemma, ...]:
        """The synonyms."""
        return self.words


class WordNet:
    """The part of nltk's WordNet interface that METEOR uses, over a folder of its files."""

    def __init__(self, folder: Path) -> None:
        self._index = {pos: _mapped(folder / f"index.{name}") for pos, name in FILES.items()}
        self._data = {pos: _mapped(folder / f"data.{name}") for pos, name in FILES.items()}
        self._exceptions = {pos: _exceptions(folder / f"{n}.exc") for pos, n in FILES.items()}
        self.synsets = functools.cache(self._synsets)

    def _synsets(self, word: str) -> tuple[Synset, ...]:
        """The synsets of a word and of its base forms, over all parts of speech."""
        return tuple(
            self._synset(pos, offset)
            for pos in FILES
            for form in self._forms(word.lower(), pos)
            for offset in self._offsets(pos, form)
        )

    def _forms(self, word: str, pos: str) -> Iterator[str]:
        """The word and what its exceptions, or else the detachment rules, make of it."""
        rules = WordNetCorpusReader.MORPHOLOGICAL_SUBSTITUTIONS[pos]
        bases = self._exceptions[pos].get(word)
        if bases is None:
            bases = [word[: -len(old)] + new for old, new in rules if word.endswith(old)]
        return iter(dict.fromkeys([word, *bases]))

    def _offsets(self, pos: str, form: str) -> list[int]:
        """Where the synsets of a form stand in the data file; empty if it is unknown."""
        index, key = self._index[pos], form.encode()
        if not key or b" " in key:
            return []
        low, high = 0, len(index)
        while low < high:
            start = index.rfind(b"\n", 0, (low + high) // 2) + 1
            line = index[start : index.find(b"\n", start)]
            found = line.split(b" ", 1)[0]
            if found == key:
                fields = line.split()
                return [int(field) for field in fields[-int(fields[2]) :]]
            if found < key:
                low = start + len(line) + 1
            else:
                high = start
        return []

    def _synset(self, pos: str, offset: int) -> Synset:
        data = self._data[pos]
        fields = data[offset : data.find(b"\n", offset)].decode().split()
        count = int(fields[3], 16)
        # An adjective's place in the sentence stands behind it in brackets: alive(p).
        words = [field.partition("(")[0] for field in fields[4 : 4 + 2 * count : 2]]
        return Synset(tuple(Lemma(word) for word in words))


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _exceptions(path: Path) -> dict[str, list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word: bases for word, *bases in (line.split() for line in lines) if bases}


@functools.cache
def installed() -> WordNet:
    """WordNet where Debian's package or nltk's downloader put it.

    Raises:
        NotRunError: it is in neither place.
    """
    folders = ["/usr/share/wordnet", *(f"{path}/corpora/wordnet" for path in nltk.data.path)]
    for folder in map(Path, folders):
        if (folder / "index.noun").is_file() and (folder / "noun.exc").is_file():
            return WordNet(folder)
    raise NotRunError(MISSING)
