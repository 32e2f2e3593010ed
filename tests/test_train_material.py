"""The pretraining material: the same everywhere, in three languages, and none of the corpus."""

from __future__ import annotations

import ast
import collections
import hashlib
import itertools
import os
import re
import subprocess
import sys

import pytest

from bench.data import embedded
from bench.data.leakage import normalized
from bench.data.prompts import Prompts
from bench.records import TRACKS
from bench.train import mirror
from bench.train.material import (
    LANGUAGES,
    Excluded,
    Piece,
    blocks,
    material,
    pieces,
    samples,
)
from tests.conftest import ROOT

NOTHING = Excluded(frozenset(), frozenset())
#: As many as the smoke study's bases learn from.
COUNT = 744


@pytest.fixture(scope="module")
def corpus():
    return embedded.load()


@pytest.fixture(scope="module")
def excluded(corpus):
    return Excluded.of([(one.id, one.code.model_dump()) for one in corpus])


@pytest.fixture(scope="module")
def drawn(excluded):
    return list(pieces(42, COUNT, excluded))


def keys(found):
    return [(one.id, str(one.track), one.reference) for one in found]


def test_a_seed_gives_the_same_samples_and_another_one_others():
    assert material(1, 60, NOTHING) == material(1, 60, NOTHING)
    assert not set(keys(material(1, 60, NOTHING))) <= set(keys(material(2, 60, NOTHING)))


def test_the_samples_do_not_depend_on_the_process():
    """Strings hash differently in every process: nothing may follow a set's order."""
    script = (
        "import hashlib; from bench.train.material import Excluded, material;"
        "found = material(7, 40, Excluded(frozenset(), frozenset()));"
        "print(hashlib.sha256(repr(found).encode()).hexdigest())"
    )
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        here = hashlib.sha256(repr(material(7, 40, NOTHING)).encode()).hexdigest()
        assert found.stdout.strip() == here


def test_code_from_words_is_asked_most(excluded):
    found = material(3, 200, excluded)
    possible = {key for piece in pieces(3, 200, excluded) for key in keys(samples(piece))}
    assert set(keys(found)) <= possible
    assert len(set(keys(found))) == len(found)
    counts = collections.Counter(one.track.task for one in found)
    assert counts["generation"] > 3 * counts["summarization"]
    assert min(counts.values()) > 30


def test_common_idioms_are_drawn_more_often(excluded):
    found = [piece.summary for piece in pieces(3, 600, excluded)]
    assert sum("even numbers" in one for one in found) > 3 * sum(
        "above nine" in one for one in found
    )


def test_all_functions_differ(drawn):
    assert len(drawn) == COUNT
    assert len({piece.code["python"] for piece in drawn}) == COUNT


def test_no_name_and_no_code_of_the_corpus(corpus, drawn):
    """Compared anew: names without case and underscores, codes by their normal form."""
    names = {
        name.replace("_", "").lower()
        for one in corpus
        for name in (one.id, *one.entry.model_dump().values())
    }
    found = {
        name.replace("_", "").lower()
        for piece in drawn
        for name in (piece.name, *re.findall(r"static \S+ (\w+)\(", piece.code["java"]))
    }
    assert not names & found
    for language in embedded.LANGUAGES:
        codes = {normalized(one.code[language], language, one.entry[language]) for one in corpus}
        entry = re.compile(r"(\w+)\(")
        mine = {
            normalized(piece.code[language], language, entry.search(piece.code[language])[1])
            for piece in drawn
        }
        assert not codes & mine


def test_a_planted_function_is_filtered_by_its_name():
    planted = next(pieces(5, 1, NOTHING))
    name = "".join(word.title() for word in planted.name.split("_"))
    without = list(pieces(5, 200, Excluded.of([(name, {})])))
    assert planted.name in {piece.name for piece in pieces(5, 200, NOTHING)}
    assert planted.name not in {piece.name for piece in without}


@pytest.mark.parametrize("language", embedded.LANGUAGES)
def test_a_planted_function_is_filtered_by_its_code_whatever_its_names(language):
    planted = next(pieces(5, 1, NOTHING))
    code = planted.code[language]
    own = {word for word in re.findall(r"\b[a-z]\w*\b", code) if word in {"text", "numbers", "i"}}
    for word in own:
        code = re.sub(rf"\b{word}\b", f"{word}_renamed", code)
    outlaw = Excluded.of([("some_other_name", {language: "\n".join(code.split("\n"))})])
    assert planted in list(pieces(5, 200, NOTHING))
    assert planted not in list(pieces(5, 200, outlaw))


def test_a_copy_under_another_name_is_held():
    piece = next(pieces(5, 1, NOTHING))
    code = {
        language: re.sub(r"(\w+)\(", "another(", text, count=1)
        for language, text in piece.code.items()
    }
    for language, text in code.items():
        held = Excluded.of([("another", {language: text})])
        assert held.holds(Piece("else", piece.summary, piece.code)), language


def test_every_piece_is_whole_in_every_language(drawn):
    for piece in drawn:
        assert set(piece.code) == set(LANGUAGES)
        assert not re.search(r"<\w\.|NAME", piece.summary)
        assert re.fullmatch(r"[A-Z].*\.", piece.summary)
        (function,) = ast.parse(piece.code["python"]).body
        assert function.name == piece.name
        for language in ("java", "csharp"):
            code = piece.code[language]
            bare = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'', "", code)
            assert bare.count("{") == bare.count("}") >= 1
            assert bare.count("(") == bare.count(")")
            assert code.startswith("static ")


def test_every_shape_can_be_drawn(excluded):
    """No shape is excluded as a whole: the variety is what was written."""
    found = list(pieces(1, 3 * len(blocks()), excluded))
    assert len(blocks()) >= 100
    heads = {head for shape, _ in blocks() for head, _ in shape}
    assert len({piece.summary for piece in found}) > len(blocks())
    assert all(re.match(r"[A-Z<]", head) for head in heads)


def test_a_function_is_asked_in_every_track():
    code = {
        "python": "def f(n):\n    1",
        "java": "static J f() {\n}",
        "csharp": "static C F() {\n}",
    }
    found = {str(one.track): one for one in samples(Piece("f", "Do it.", code))}
    assert list(found) == [str(track) for track in TRACKS]
    assert found["generation/java"].inputs == {"summary": "Do it.", "signature": "static J f()"}
    assert found["generation/python"].reference == code["python"]
    assert found["summarization/java"].inputs == {"code": code["java"]}
    assert found["summarization/python"].reference == "Do it."
    assert found["translation/cs_java"].inputs == {"code": code["csharp"]}
    assert found["translation/cs_java"].reference == code["java"]
    wording = Prompts.load("kit")
    assert wording.opening(found["generation/java"]) == "static J f()"


SOURCE = """def longest(words: list[str], limit: int) -> str:
    best: str = ""
    for word in words:
        if len(word) > len(best) and len(word) <= limit:
            best = word
    return best
"""


def test_a_mirrored_function():
    assert "best = " in mirror.python(SOURCE)
    assert "best: str" not in mirror.python(SOURCE)
    assert mirror.java(SOURCE) == (
        "static String longest(List<String> words, int limit) {\n"
        '    String best = "";\n'
        "    for (String word : words) {\n"
        "        if (word.length() > best.length() && word.length() <= limit) {\n"
        "            best = word;\n"
        "        }\n"
        "    }\n"
        "    return best;\n"
        "}"
    )
    assert mirror.csharp(SOURCE) == (
        "static string Longest(List<string> words, int limit) {\n"
        '    string best = "";\n'
        "    foreach (string word in words) {\n"
        "        if (word.Length > best.Length && word.Length <= limit) {\n"
        "            best = word;\n"
        "        }\n"
        "    }\n"
        "    return best;\n"
        "}"
    )


@pytest.mark.parametrize(
    "source",
    ["x = 1", "def f(x: int):\n    return x", "def f(x: int) -> int:\n    return print(x)"],
)
def test_what_the_mirror_does_not_know_is_an_error(source):
    for write in (mirror.java, mirror.csharp):
        with pytest.raises(NotImplementedError):
            write(source)


def test_material_of_two_seeds_shares_no_order():
    pairs = itertools.pairwise(keys(material(1, 30, NOTHING)))
    assert not set(pairs) & set(itertools.pairwise(keys(material(2, 30, NOTHING))))
