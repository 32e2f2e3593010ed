"""WordNet read by bisection gives what nltk's reader gives."""

from __future__ import annotations

import pytest

from bench.scoring import metrics
from bench.scoring.admission import NotRunError
from bench.scoring.wordnet import FILES, WordNet, installed


def write_database(folder, synsets, exceptions):
    """A database in WordNet's format: (part of speech, words) per synset."""
    folder.mkdir()
    for pos, name in FILES.items():
        data, index = b"  1 a licence, as the real files have\n", {}
        for kind, words in synsets:
            if kind != pos:
                continue
            for word in words:
                index.setdefault(word.partition("(")[0].lower(), []).append(len(data))
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{len(data):08d} 03 {pos} {len(words):02x} {listed} 000 | gloss\n".encode()
        (folder / f"data.{name}").write_bytes(data)
        lines = [
            f"{word} {pos} {len(places)} 0 {len(places)} 0 "
            + " ".join(f"{place:08d}" for place in places)
            for word, places in sorted(index.items())
        ]
        text = "  1 a licence\n" + "".join(f"{line}  \n" for line in lines)
        (folder / f"index.{name}").write_text(text)
        (folder / f"{name}.exc").write_text("\n".join(exceptions.get(pos, [])))
    return WordNet(folder)


@pytest.fixture
def wordnet(tmp_path):
    synsets = [
        ("n", ["car", "auto", "motorcar"]),
        ("n", ["car", "railway_car"]),
        ("n", ["goose"]),
        ("n", ["zebra", "Equus_zebra"]),
        ("v", ["run", "go"]),
        ("a", ["alive(p)", "live"]),
        ("r", ["fast", "quickly"]),
    ]
    return write_database(tmp_path / "wordnet", synsets, {"n": ["geese goose"], "v": ["ran run"]})


def names(wordnet, word):
    return [[lemma.name() for lemma in synset.lemmas()] for synset in wordnet.synsets(word)]


def test_every_synset_of_a_word_is_found(wordnet):
    assert names(wordnet, "car") == [["car", "auto", "motorcar"], ["car", "railway_car"]]
    assert names(wordnet, "CAR") == names(wordnet, "car")


def test_first_and_last_words_of_the_index_are_found(wordnet):
    assert names(wordnet, "auto")
    assert names(wordnet, "zebra") == [["zebra", "Equus_zebra"]]


def test_inflected_words_lead_to_their_base(wordnet):
    assert names(wordnet, "cars") == names(wordnet, "car")
    assert names(wordnet, "geese") == [["goose"]]
    assert names(wordnet, "ran") == [["run", "go"]]


def test_an_adjectives_place_is_not_part_of_it(wordnet):
    assert names(wordnet, "alive") == [["alive", "live"]]


@pytest.mark.parametrize("word", ["", " ", "a b", "unheard", "😀", "1", "~", "(p)", "\n", "c"])
def test_unknown_words_have_no_synsets(wordnet, word):
    assert names(wordnet, word) == []


def test_meteor_counts_synonyms_where_wordnet_is_installed(wordnet, monkeypatch):
    monkeypatch.setattr("bench.scoring.wordnet.installed", lambda: wordnet)
    metrics.load.cache_clear()
    predictions, references = ["run cars", "run dogs"], ["go auto"] * 2
    full = metrics.compute("meteor_wordnet", predictions, references).columns["meteor@published"]
    plain = metrics.compute("meteor", predictions, references).columns["meteor"]
    assert full == pytest.approx([0.9375, 0.25])
    assert plain == [0.0, 0.0]
    metrics.load.cache_clear()


def test_a_machine_without_wordnet_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr("pathlib.Path.is_file", lambda self: False)
    installed.cache_clear()
    with pytest.raises(NotRunError, match=r"not run: .*apt-get install wordnet-base"):
        installed()
    installed.cache_clear()
