"""Analysers judge all code alike, whatever its comments ask of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring import metrics
from bench.scoring.quality import syntax
from bench.scoring.quality.silencing import unsilenced

FLAWED = """def total(x, y):
    import json
    l = 1
    if x == None:
        return y
    spare = eval("2")
    return x+y
"""
#: Comment lines that silence something, put in front of the code.
ABOVE = [
    "# pylint: disable=all",
    "#pylint:skip-file",
    "# flake8: noqa",
    "# flake8: NOQA: E711",
    "#lizard forgives",
    "# #lizard forgives",
    "#lizard forgive global",
    "# THIS IS GENERATED CODE",
    "# -*- coding: klingon -*-",
    "# vim: set fileencoding=latin-15 :",
]
#: The same behind a line of code.
BESIDE = [
    "  # pylint: disable=W,C,R,E",
    "  # noqa",
    "  # noqa: F401,E401",
    "  # pylint: disable=all",
]


def values(name, codes, **options):
    rows = metrics.compute(name, codes, **options)
    return {column: found for column, found in rows.columns.items() if "@" not in column}


def with_line(code, line, number):
    lines = code.split("\n")
    lines.insert(number, line)
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["pylint", "flake8"])
def test_python_comments_silence_nothing(name):
    def commented(change):
        """The code with each comment at each place, the comment's text changed."""
        above = [with_line(FLAWED, change(line), 0) for line in ABOVE]
        inside = [with_line(FLAWED, change(f"    {line}"), 3) for line in ABOVE[:3]]
        beside = [
            FLAWED.replace(place, place + change(comment))
            for place in ("x, y):", "import json", "== None:")
            for comment in BESIDE
        ]
        return [*above, *inside, *beside]

    silent = commented(str)
    harmless = commented(lambda comment: re.sub(r"[A-Za-z]", "y", comment))
    rows = values(name, [*silent, *harmless])
    for column, row in rows.items():
        assert row[: len(silent)] == row[len(silent) :], column
    assert min(map(sum, zip(*rows.values(), strict=True))) > 3


@pytest.mark.parametrize(
    ("language", "code", "comment"),
    [
        *(("python", FLAWED, f"    {line}") for line in ABOVE[4:8]),
        *(
            ("java", "int f(int a) {\n    if (a > 1) { return 2; }\n    return a;\n}", line)
            for line in ("// GENERATED CODE", "// #lizard forgives", "/* #lizard forgives */")
        ),
        ("csharp", "int F(int a) {\n    if (a > 1) { return 2; }\n    return a;\n}",
         "// BEGIN GENERATED CODE"),
    ],
)  # fmt: skip
def test_lizard_sees_every_function(language, code, comment):
    for number in (0, 2):
        silent = with_line(code, comment, number)
        rows = values("lizard", [silent, code], language=language)
        assert rows["lizard_ccn"][0] == rows["lizard_ccn"][1] > 1
        assert rows["lizard_detection"] == [1, 1]


def test_lizard_takes_no_text_for_a_comment():
    text = 'String t() {\n    return """\n    // GENERATED CODE "\n    """;\n}\n\n'
    rows = values("lizard", [text + "int f(int a) { return a > 1 ? 2 : 3; }"], language="java")
    assert (rows["lizard_ccn"], rows["lizard_detection"]) == ([3], [1])


@pytest.mark.parametrize(
    "comment", ["# complexipy: ignore", "# noqa: complexipy", "# noqa", "#complexipy:ignore"]
)
def test_cognitive_complexity_is_that_of_every_function(comment):
    code = "def f(x):\n    if x:\n        return 1\n    return 2\n"
    texts = [code, f"{comment}\n{code}", code.replace("x):", f"x):  {comment}")]
    assert values("cognitive", texts, language="python")["cognitive_complexity"] == [1, 1, 1]


METHOD = "int f(int a) {\n    int b = 1;\n    return a;\n}"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ('@SuppressWarnings("all")', '@SuppressWarning_("all")'),
        ('@SuppressWarnings(value = {"a", B.C})', '@SuppressWarning_(value = {"a", B.C})'),
        ("@java.lang.SuppressWarnings(X)", "@java.lang.SuppressWarning_(X)"),
        ('@javax.annotation.Generated("x")', '@javax.annotation.Generate_("x")'),
        ("@Generated", "@Generate_"),
        ("@Override", "@Override"),
        ("@lombok.Data", "@lombok.Data"),
        ('@Named("SuppressWarnings")', '@Named("SuppressWarnings")'),
    ],
)  # fmt: skip
def test_annotations_hide_nothing(annotation, expected):
    for place in (
        "@ METHOD",
        "class A { @ int x; METHOD }",
        "int g(@ int a) { @ int b = 1; return a; }",
    ):
        code = place.replace("METHOD", METHOD)
        found = unsilenced(code.replace("@", annotation), "java")
        assert found == code.replace("@", expected)
        assert syntax.failure(found, "java") is None


def test_attributes_of_csharp_stay_as_they_are():
    code = '[SuppressMessage("a", "b")]\n[GeneratedCode("a", "1")]\nint F(int x) { return x; }'
    assert unsilenced(code, "csharp") == code
    plain = "int F(int x) { return x; }"
    rows = values("lizard", [code, plain], language="csharp")
    assert {tuple(row) for row in rows.values()} == {(1, 1), (10, 10), (0, 0)}


def test_what_was_published_stays_silenced():
    rows = metrics.compute("pylint", [f"# pylint: disable=all\n{FLAWED}", FLAWED])
    assert [row[0] for name, row in rows.columns.items() if "@" in name] == [0, 0, 0, 0]
    assert sum(row[1] for name, row in rows.columns.items() if "@" in name) > 4
    rows = metrics.compute("lizard", [f"# GENERATED CODE\n{FLAWED}"], language="python")
    assert rows.columns["lizard_ccn@published"] == [0]


@pytest.mark.parametrize("language", ["python", "java", "csharp"])
def test_code_that_silences_nothing_is_left_alone(language):
    texts = {
        "python": 'x = "# noqa"\n# plain\ny = """\n# pylint: disable=all\n"""\n',
        "java": 'String s = "// NOPMD";\n// plain',
        "csharp": 'var s = "// NOSONAR";\n#region x\n#endregion',
    }
    assert unsilenced(texts[language], language) == texts[language]


def test_a_pragma_becomes_a_comment():
    code = "#pragma warning disable CS0168\nint F() => 1;\n  #pragma warning disable\n"
    found = unsilenced(code, "csharp")
    assert "pragma" not in found
    assert found.split("\n")[2].startswith("  //")  # in a raw string the margin is syntax
    assert [len(line) for line in found.split("\n")] == [len(line) for line in code.split("\n")]


@pytest.mark.parametrize("language", ["python", "java", "csharp"])
@given(st.text(st.sampled_from("ab#/* \n\t\"'pylint:disable noqaNOPMD\u00e9(){};")))
def test_lines_and_columns_stay(language, text):
    found = unsilenced(text, language)
    assert [len(line) for line in found.split("\n")] == [len(line) for line in text.split("\n")]
    assert unsilenced(found, language) == found


def test_a_coding_line_is_a_comment_for_the_parser():
    assert syntax.failure(f"# -*- coding: klingon -*-\n{FLAWED}", "python") is None
