"""The rules that cut an answer out of a model's text, one case a line of reasoning."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import embedded
from bench.data.prompts import Marks
from bench.generate.extract import extract, published
from bench.records import TRACKS, Track

PYTHON, JAVA = Track("generation", "python"), Track("generation", "java")
CSHARP, ENGLISH = Track("translation", "java_cs"), Track("summarization", "python")

DEF = "def f(x):\n    return x"
JAVA_F = "static int f(int x) {\n    return x;\n}"
CSHARP_F = "static int F(int x) {\n    return x;\n}"

PYTHON_CASES = {
    "as it is": (DEF, DEF),
    "nothing": ("", ""),
    "a fence": (f"```python\n{DEF}\n```", DEF),
    "a fence between prose": (f"Here it is:\n```py\n{DEF}\n```\nIt returns x.", DEF),
    "a fence without a language": (f"```\n{DEF}\n```", DEF),
    "an open fence": (f"```python\n{DEF}", DEF),
    "the first of two fences": (f"```\n{DEF}\n```\n```\ndef g(): pass\n```", DEF),
    "windows line ends": (DEF.replace("\n", "\r\n"), DEF),
    "prose before": (f"Sure, this does it.\n\n{DEF}", DEF),
    "prose behind": (f"{DEF}\nThis returns x.", DEF),
    "a call behind": (f"{DEF}\n\nprint(f(1))", DEF),
    "a comment at the margin behind": (f"{DEF}\n# another\n", DEF),
    "an import before": (f"import re\n\n{DEF}", f"import re\n\n{DEF}"),
    "a constant after an import": (
        f"from math import pi\nTAU = 2 * pi\n{DEF}",
        f"from math import pi\nTAU = 2 * pi\n{DEF}",
    ),
    "a decorator": (f"@cache\n{DEF}", f"@cache\n{DEF}"),
    "a helper behind": (f"{DEF}\n\ndef g():\n    pass", f"{DEF}\n\ndef g():\n    pass"),
    "async": ("async def f():\n    pass\nok", "async def f():\n    pass"),
    "a class": ("class A:\n    x = 1\n\nA()", "class A:\n    x = 1"),
    "a signature over lines": (
        "def f(\n    x,\n):\n    return x\nEnd.",
        "def f(\n    x,\n):\n    return x",
    ),
    "a closing bracket at the margin": (
        "def f():\n    return [\n1,\n]",
        "def f():\n    return [",
    ),
    "only a body": ("    return x\n", "    return x"),
    "a body and more": (f"    return x\n\n{DEF}\nf(1)", f"    return x\n\n{DEF}"),
    "blank lines inside": (
        "def f():\n    a = 1\n\n    return a\n\n\n",
        "def f():\n    a = 1\n\n    return a",
    ),
    "a comment inside": ("def f():\n    # why\n    return 1", "def f():\n    # why\n    return 1"),
}  # fmt: skip

JAVA_CASES = {
    "as it is": (JAVA_F, JAVA_F),
    "nothing": ("", ""),
    "a fence": (f"```java\n{JAVA_F}\n```", JAVA_F),
    "prose before and behind": (f"This is it.\n{JAVA_F}\nIt returns x.", JAVA_F),
    "text behind on the line": (f"{JAVA_F} // done", JAVA_F),
    "two methods": (
        f"{JAVA_F}\n\nprivate int g() {{ return 1; }}",
        f"{JAVA_F}\n\nprivate int g() {{ return 1; }}",
    ),
    "a surplus brace": (f"{JAVA_F}\n}}", JAVA_F),
    "the surplus brace of a class": (f"{JAVA_F}\n\n}}\n\nclass B {{}}", JAVA_F),
    "an import": (f"import java.util.*;\n\n{JAVA_F}", f"import java.util.*;\n\n{JAVA_F}"),
    "a class around": (f"class A {{\n{JAVA_F}\n}}\nDone.", f"class A {{\n{JAVA_F}\n}}"),
    "an annotation": (f"@Override\n{JAVA_F}\nx", f"@Override\n{JAVA_F}"),
    "a brace in a text": ('int f() { return n("}"); }\nx', 'int f() { return n("}"); }'),
    "a brace as a character": ("int f() { return '}'; }\nx", "int f() { return '}'; }"),
    "an escaped quote": (r'String f() { return "\"}"; }', r'String f() { return "\"}"; }'),
    "a brace in a comment": ("int f() { // }\n return 1; }\nx", "int f() { // }\n return 1; }"),
    "a brace in a long comment": ("int f() { /* } */ return 1; }", "int f() { /* } */ return 1; }"),
    "never closed": ("int f() {\n  if (x) {\n", "int f() {\n  if (x) {"),
    "generic types": ("List<Integer> f(Map<String, List<Integer>> m) {\n}\nok",
                      "List<Integer> f(Map<String, List<Integer>> m) {\n}"),
    "an array": ("int[] f(int[] a) {\n}\nok", "int[] f(int[] a) {\n}"),
}  # fmt: skip

CSHARP_CASES = {
    "as it is": (CSHARP_F, CSHARP_F),
    "using": (f"using System;\n{CSHARP_F}\n.", f"using System;\n{CSHARP_F}"),
    "an attribute": (f"[Pure]\n{CSHARP_F}\nx", f"[Pure]\n{CSHARP_F}"),
    "a fence": (f"```csharp\n{CSHARP_F}\n```\n", CSHARP_F),
    "a fence with a sign": (f"```c#\n{CSHARP_F}\n```\n", CSHARP_F),
    "the Java before is no answer of its own": (f"Answer:\n{CSHARP_F}", CSHARP_F),
}

ENGLISH_CASES = {
    "as it is": ("Adds two numbers.", "Adds two numbers."),
    "nothing": ("", ""),
    "blanks": ("  Adds two\n  numbers. \n", "Adds two numbers."),
    "a wording's marks": ("TELL: Adds two numbers. OVER more", "Adds two numbers."),
    "an open mark": ("TELL: Adds two numbers.", "Adds two numbers."),
    "the first paragraph": ("Adds two numbers.\n\nIt is used here.", "Adds two numbers."),
    "quotes": ('"Adds two numbers."', "Adds two numbers."),
    "a docstring": ('"""Adds two numbers."""', "Adds two numbers."),
    "a quoted word stays": ('Adds "a" and "b".', 'Adds "a" and "b".'),
    "a fence": ("```\nAdds two numbers.\n```", "Adds two numbers."),
    "windows line ends": ("Adds two\r\nnumbers.\r\n\r\nMore.", "Adds two numbers."),
    "the end mark alone stays": ("Turns it OVER.", "Turns it OVER."),
}
#: The words of an invented wording.
MARKS = Marks("TELL:", "OVER", "Asker:", "Teller:")


def table(**cases):
    return [
        pytest.param(track, *case, id=f"{track.target_language}: {name}")
        for track, cases_ in ((PYTHON, cases["python"]), (JAVA, cases["java"]),
                              (CSHARP, cases["csharp"]), (ENGLISH, cases["english"]))
        for name, case in cases_.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("track", "text", "answer"),
    table(python=PYTHON_CASES, java=JAVA_CASES, csharp=CSHARP_CASES, english=ENGLISH_CASES),
)
def test_an_answer(track, text, answer):
    assert extract(track, text, MARKS) == answer


PUBLISHED_CASES = [
    (ENGLISH, "  Adds two.\n\nMore. ", "Adds two.\n\nMore."),
    (ENGLISH, "TELL: no TELL: Adds two. OVER and OVER", "Adds two."),
    (ENGLISH, "Turns it OVER.", "Turns it"),
    (ENGLISH, "```\nAdds two.\n```", "```\nAdds two.\n```"),
    (PYTHON, f"{DEF}\nAsker: again", DEF),
    (PYTHON, f"Teller: {DEF}\n", DEF),
    (PYTHON, f"Sure:\n{DEF}", f"Sure:\n{DEF}"),
    (JAVA, f"```java\n{JAVA_F}\n```", f"```java\n{JAVA_F}\n```"),
    (CSHARP, f"Here.\nTeller: {CSHARP_F}\n", CSHARP_F),
    (CSHARP, f"```csharp\n{CSHARP_F}\n``` done", f"csharp\n{CSHARP_F}"),
    (CSHARP, f"So:\n```\n{CSHARP_F}\n```", CSHARP_F),
    (Track("translation", "cs_java"), f"```java\n{JAVA_F}\n```", JAVA_F),
    (CSHARP, f"{CSHARP_F}\nDone.", f"{CSHARP_F}\nDone."),
]


@pytest.mark.parametrize(("track", "text", "answer"), PUBLISHED_CASES)
def test_a_published_answer_keeps_what_the_scripts_keep(track, text, answer):
    assert published(track, text, MARKS) == answer


@given(st.sampled_from(TRACKS), st.text(st.sampled_from("TELOVR:Asker `\nx"), max_size=60))
def test_the_published_rules_take_any_text(track, text):
    assert published(track, text, MARKS) in text


@pytest.fixture(scope="module")
def corpus():
    return embedded.load()


@pytest.mark.parametrize("language", embedded.LANGUAGES)
@pytest.mark.parametrize("around", ["{}", "```\n{}\n```", "Here:\n\n{}\n\nThat is all."])
def test_every_reference_of_the_corpus_comes_through_whole(corpus, language, around):
    track = {"python": PYTHON, "java": JAVA, "csharp": CSHARP}[language]
    for one in corpus:
        assert extract(track, around.format(one.code[language])) == one.code[language].rstrip()


def test_every_summary_of_the_corpus_comes_through_whole(corpus):
    for one in corpus:
        for text in (one.summary, f"TELL: {one.summary} OVER", f"\n{one.summary}\n\nMore."):
            assert extract(ENGLISH, text, MARKS) == one.summary


@given(st.sampled_from(TRACKS), st.text(st.sampled_from("ab {}()[]\"'`\n\\/*#@;:=def x")))
def test_any_text_gives_an_answer_that_stays(track, text):
    """Nothing raises, and what the rules have kept they keep again."""
    once = extract(track, text)
    assert isinstance(once, str)
    if track.target_language != "english" and "```" not in text:
        assert once in text.replace("\r\n", "\n")


def test_what_is_kept_of_a_python_answer_still_parses():
    for text, answer in PYTHON_CASES.values():
        if answer.startswith(("def", "class", "async")) and "return [" not in text:
            ast.parse(answer)
