"""Batched analysers: the findings of one run per file, and no clean sheet for broken code."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys

import lizard
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import embedded
from bench.scoring import members
from bench.scoring.quality import complexity, python, syntax

CLEAN = '"""Module."""\n\n\ndef add(left, right):\n    """Sum."""\n    return left + right\n'
WRONG = "import os\ndef f(x):\n\treturn undefined_name + x"
BROKEN = "def f(:\n    return 1\n"
DEEP = "x = " + "not " * 4500 + "1"


@pytest.mark.parametrize("language", ["python", "java", "csharp"])
def test_every_reference_parses_and_holds_one_function_or_more(language):
    for function in embedded.load():
        code = function.code[language]
        assert syntax.failure(code, language) is None, function.id
        assert complexity.measure(code, language).functions >= 1, function.id


@pytest.mark.parametrize(
    ("code", "language", "why"),
    [
        ("", "python", syntax.NO_CODE),
        ("# only a comment\n", "python", syntax.NO_CODE),
        (BROKEN, "python", syntax.UNPARSABLE),
        ("a\x00b", "python", syntax.UNPARSABLE),
        ("x = " + "(" * 900 + ")" * 900, "python", syntax.UNPARSABLE),
        ("# coding: unheard-of\nx = 1\n", "python", None),
        ("\ufeffx = 1\n", "python", None),
        (" \n", "java", syntax.NO_CODE),
        ("// only a comment", "java", syntax.NO_CODE),
        ("static int f( { return 1; }", "java", syntax.UNPARSABLE_TREE),
        ("static int f() { return 1; }", "java", None),
        ("public Name(int a) { this.a = a; }", "java", None),
        ("class A { int f() { return 1; } }", "java", None),
        ("static int F() => 1;", "csharp", None),
        ("public int Size { get; set; }", "csharp", None),
        ("static int F( { return 1; }", "csharp", syntax.UNPARSABLE_TREE),
        ("{" * 9000, "csharp", syntax.UNPARSABLE_TREE),
    ],
)
def test_what_parses(code, language, why):
    assert syntax.failure(code, language) == why


@pytest.mark.parametrize("language", ["java", "csharp"])
def test_a_text_that_takes_the_parser_too_long_does_not_parse(monkeypatch, language):
    monkeypatch.setattr(members, "_PATIENCE_MICROSECONDS", 100_000)
    slow = "class A { Object g() { return " + "lambda: " * 20_000 + "; } }"
    assert syntax.failure(slow, language) == syntax.UNPARSABLE_TREE
    assert syntax.failure("int f() { return 1; }", language) is None


def test_complexity_sums_over_functions():
    code = "static int a(int x) { return x > 0 ? 1 : 2; }\nstatic int b() { return 3; }"
    found = complexity.measure(code, "java")
    assert (found.functions, found.ccn, found.nloc) == (2, 3, 2)
    assert found.published_ccn == found.ccn


def test_published_complexity_counts_complex_functions_twice():
    branches = "".join(f"if (x == {i}) return {i};\n" for i in range(20))
    found = complexity.measure(f"static int f(int x) {{\n{branches}return 0;\n}}", "java")
    assert found.ccn == 21
    assert (found.published_ccn, found.published_tokens) == (42, 2 * found.tokens)


@given(st.lists(st.text(max_size=8) | st.sampled_from(["json", "class", "A", "a", "a_2"])))
def test_file_names_are_unique_and_hide_no_module(names):
    files = python.file_names(names)
    assert len({file.lower() for file in files}) == len(names)
    for file in files:
        stem = file.removesuffix(".py")
        assert re.fullmatch(r"\w+", stem, re.ASCII)
        assert stem not in sys.stdlib_module_names
        assert not keyword.iskeyword(stem)


def test_names_that_can_be_file_names_stay():
    assert python.file_names(["62b438a2", "count_vowels"]) == ["62b438a2.py", "count_vowels.py"]


def codes(messages):
    return sorted(message.code for message in messages)


def test_a_batch_gives_what_single_runs_give(tmp_path):
    snippets = [CLEAN, WRONG, BROKEN]
    names = ["clean", "0wrong", "broken"]
    batch = python.pylint(snippets, names)
    for snippet, name, messages in zip(snippets, names, batch, strict=True):
        (tmp_path / f"{name}.py").write_text(snippet)
        (tmp_path / "empty").touch()
        command = [sys.executable, "-m", "pylint", "--rcfile=empty", "-f", "json2", f"{name}.py"]
        printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
        single = [message["messageId"] for message in json.loads(printed)["messages"]]
        assert codes(messages) == sorted(single)
    assert batch[0] == []
    assert codes(batch[2]) == ["E0001"]


def test_flake8_finds_its_violations_in_each_file():
    clean, wrong = python.flake8([CLEAN, WRONG], ["clean", "wrong"])
    assert clean == []
    assert codes(wrong) == ["E302", "F401", "F821", "W191", "W292"]


def test_comments_of_the_model_do_not_silence_flake8():
    (found,) = python.flake8(["# flake8: noqa\nimport os  # noqa\n"], ["silenced"])
    assert codes(found) == ["F401"]


@pytest.mark.parametrize("analyser", [python.pylint, python.flake8])
def test_a_file_that_sinks_the_analyser_sinks_no_other(analyser):
    first, deep, last = analyser([WRONG, DEEP, WRONG], ["first", "deep", "last"])
    assert deep is None
    assert codes(first) == codes(last)
    assert codes(first)


def test_an_analyser_that_runs_out_of_time_is_stopped(monkeypatch):
    monkeypatch.setattr(python, "LIMIT_CPU_S", 0.0)
    monkeypatch.setattr(python, "LIMIT_CPU_PER_FILE_S", 0.01)
    monkeypatch.setattr(python, "_START", "while True: pass")
    monkeypatch.setattr(python, "WALL_PER_CPU", 0.2)
    assert python.pylint([CLEAN], ["clean"]) == [None]


def test_nothing_is_started_for_nothing(monkeypatch):
    monkeypatch.setattr(python.subprocess, "run", None)
    assert python.pylint([], []) == []


def golden_folders(mirror, task, language):
    folder = mirror.parent / "golden" / "generated" / task / language
    if not folder.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    return sorted(folder.iterdir())


def golden(folder):
    import pandas as pd

    expected = pd.read_csv(folder / "expected.csv").set_index("id")
    lines = (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
    outputs = [json.loads(line) for line in lines]
    return [(output["id"], output["code"]) for output in outputs], expected


@pytest.mark.parametrize(
    "model", ["1_5b_mt-qlora", pytest.param("0_5b_mt-fft", marks=pytest.mark.slow)]
)
def test_published_pylint_counts_of_the_study(mirror, model):
    folders = golden_folders(mirror, "generation", "python")
    outputs, expected = golden(next(folder for folder in folders if folder.name == model))
    found = python.pylint([code for _, code in outputs], [name for name, _ in outputs])
    equal = 0
    for (identifier, _), messages in zip(outputs, found, strict=True):
        letters = [message.code[0] for message in messages]
        row = expected.loc[identifier]
        equal += all(
            letters.count(kind[0]) == row[f"pylint.{kind}"]
            for kind in ("Error", "Warning", "Convention", "Refactor")
        )
    assert equal >= 0.998 * len(outputs)


@pytest.mark.parametrize(
    ("task", "language"),
    [("generation", "python"), ("generation", "java"), ("translation", "cs_java")],
)
def test_published_lizard_figures_of_the_study(mirror, task, language):
    """All rows with the study's Lizard 1.17.31; later ones count Python's lines otherwise."""
    for folder in golden_folders(mirror, task, language):
        outputs, expected = golden(folder)
        equal = 0
        for identifier, code in outputs:
            found = complexity.measure(code, "python" if language == "python" else "java")
            row = expected.loc[identifier]
            equal += (
                min(found.functions, 1),
                found.published_ccn,
                found.published_nloc,
                found.published_tokens,
            ) == tuple(
                row[f"lizard.{name}"]
                for name in (
                    "Detection_Rate",
                    "Cyclomatic_Complexity",
                    "Lines_of_Code",
                    "Token_Count",
                )
            )
        share = 1.0 if lizard.version == "1.17.31" else 0.88
        assert equal >= share * len(outputs), folder.name
