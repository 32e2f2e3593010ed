"""The rules that cut an answer out of a model's text, one case a line of reasoning."""

from __future__ import annotations

import ast
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import embedded
from bench.data.prompts import Marks
from bench.records import TRACKS, Generation, Sample, Track
from bench.scoring import answers, members
from bench.scoring.answers import extract, published
from bench.scoring.answers.generations import answered
from tests.wrapped_answers import wrapped

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
        "def f():\n    return [\n1,\n]",
    ),
    "only a body": ("    return x\n", "    return x"),
    "a body that is not at the margin": ("    return x\n\nf(1)", "    return x"),
    "a body without its indentation": ("y = 1\nreturn x + y", "    y = 1\n    return x + y"),
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


def problem(track, entry=None, **inputs):
    check = {"kind": "cases", "entry": entry} if entry else None
    return Sample("one", track, inputs, "", None, check)


@pytest.mark.parametrize(
    ("track", "text", "answer"),
    table(python=PYTHON_CASES, java=JAVA_CASES, csharp=CSHARP_CASES, english=ENGLISH_CASES),
)
def test_an_answer(track, text, answer):
    assert extract(problem(track), text, MARKS).text == answer


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
    assert published(problem(track), text, MARKS).text == answer


@given(st.sampled_from(TRACKS), st.text(st.sampled_from("TELOVR:Asker `\nx"), max_size=60))
def test_the_published_rules_take_any_text(track, text):
    assert published(problem(track), text, MARKS).text in text


@pytest.fixture(scope="module")
def corpus():
    return embedded.load()


@pytest.mark.parametrize("language", embedded.LANGUAGES)
@pytest.mark.parametrize("around", ["{}", "```\n{}\n```", "Here:\n\n{}\n\nThat is all."])
def test_every_reference_of_the_corpus_comes_through_whole(corpus, language, around):
    track = {"python": PYTHON, "java": JAVA, "csharp": CSHARP}[language]
    for one in corpus:
        asked = problem(track, one.entry[language])
        found = extract(asked, around.format(one.code[language]))
        assert found.text == one.code[language].rstrip()
        assert bool(found.cut) == (around != "{}")


def test_every_summary_of_the_corpus_comes_through_whole(corpus):
    for one in corpus:
        for text in (one.summary, f"TELL: {one.summary} OVER", f"\n{one.summary}\n\nMore."):
            assert extract(problem(ENGLISH), text, MARKS).text == one.summary


@given(st.sampled_from(TRACKS), st.text(st.sampled_from("ab {}()[]\"'`\n\\/*#@;:=def x")))
def test_any_text_gives_an_answer_that_stays(track, text):
    """Nothing raises, and nothing is added to what the rules have kept."""
    once = extract(problem(track, "f"), text).text
    assert extract(problem(track, "f"), once).text in once


def test_what_is_kept_of_a_python_answer_still_parses():
    for _text, answer in PYTHON_CASES.values():
        if answer.startswith(("def", "class", "async")):
            ast.parse(answer)


# ----- the smallest set that defines what was asked for -----

PYTHON_ASKED = {
    "a helper behind that is not needed": (f"{DEF}\n\ndef g():\n    pass", DEF),
    "a helper that is": (
        "def f(x):\n    return g(x)\n\ndef h(): pass\n\ndef g(x):\n    return 1",
        "def f(x):\n    return g(x)\n\ndef g(x):\n    return 1",
    ),
    "a global that only has the name of a parameter": (f"x = int(input())\n\n{DEF}", DEF),
    "a table that is filled": (
        "T = {}\nfor i in range(3):\n    T[i] = i\nT.update({9: 9})\n\ndef f(x):\n    return T[x]",
        "T = {}\nfor i in range(3):\n    T[i] = i\nT.update({9: 9})\n\ndef f(x):\n    return T[x]",
    ),
    "a limit that is raised": (
        f"import sys\nsys.setrecursionlimit(9999)\n{DEF}\nsys.exit(f(1))",
        f"import sys\nsys.setrecursionlimit(9999)\n{DEF}",
    ),
    "bound anew behind": (
        f"import functools\n{DEF}\n\nf = functools.cache(f)\nf(1)",
        f"import functools\n{DEF}\n\nf = functools.cache(f)",
    ),
    "a lambda": ("f = lambda x: x\nprint(f(1))", "f = lambda x: x"),
    "an import for usage alone": (f"import nowhere\n\n{DEF}\n\nnowhere.plot(f(1))", DEF),
    "a future import": (
        f"from __future__ import annotations\n{DEF}\n1",
        f"from __future__ import annotations\n{DEF}",
    ),
    "the prompt repeated": (f'def f(x):\n    """Do."""\n\n{DEF}', DEF),
    "the prompt repeated in a fence": (
        f'```\ndef f(x):\n    pass\n```\nIt is:\n```\n{DEF}\n```',
        DEF,
    ),
    "a helper in another block": (
        "```python\ndef g(x):\n    return x\n```\nand\n```python\ndef f(x):\n    return g(x)\n```",
        "def g(x):\n    return x\n\ndef f(x):\n    return g(x)",
    ),
    "the second version is not asked for": (
        f"```\n{DEF}\n```\nOr:\n```\ndef f(x): return 2\n```",
        DEF,
    ),
    "another language first": (
        f"```java\nint f(int x) {{ return x; }}\n```\n```python\n{DEF}\n```",
        DEF,
    ),
    "a fence within a docstring": (
        '```python\ndef f(x):\n    """Do.\n\n    ```\n    1\n    ```\n    """\n    return x\n```\n',
        'def f(x):\n    """Do.\n\n    ```\n    1\n    ```\n    """\n    return x',
    ),
    "nested fences": (f"````markdown\n```python\n{DEF}\n```\n````", DEF),
    "a fence that a line runs into": (f"{DEF}```", DEF),
    "a thought that is never ended": (f"<think>def f(x): return 2\n</think>\n{DEF}", DEF),
    "an answer behind a thought on its line": (f"<think>no</think>{DEF}", DEF),
    "half a thought": (f"maybe ```def f```\n</think>\n\n{DEF}", DEF),
    "indented as Markdown's code": ("So:\n\n    def f(x):\n        return x\n\nDone.", DEF),
    "cut off behind": (f"{DEF}\n\ndef g(x):\n    if x", DEF),
    "a byte order mark": (f"\ufeff{DEF}", DEF),
    "old line ends": (DEF.replace("\n", "\r"), DEF),
    "statements on one line": (
        "a = 1; b = 2\ndef f(x): return a",
        "a = 1; b = 2\ndef f(x): return a",
    ),
    "try with else": (
        "try:\n    import a\nexcept OSError:\n    a = 0\nelse:\n    b = 1\n\ndef f(x): return a",
        "try:\n    import a\nexcept OSError:\n    a = 0\nelse:\n    b = 1\n\ndef f(x): return a",
    ),
}  # fmt: skip

JAVA_ASKED = {
    "usage classes go": (f"{JAVA_F}\n\nclass Use {{\n  int g() {{ return f(1); }}\n}}", JAVA_F),
    "needed classes stay": (
        "class Node { int v; }\n\nint f(int x) { return new Node().v; }\n\nclass Other {}",
        "class Node { int v; }\n\nint f(int x) { return new Node().v; }",
    ),
    "a class around it stays": (f"Yes:\nclass A {{\n{JAVA_F}\n}}", f"class A {{\n{JAVA_F}\n}}"),
    "a class that is not closed": (f"class A {{\n{JAVA_F}\n", JAVA_F),
    "all overloads": (
        "int f(int x) { return f(x, 1); }\nint f(int x, int y) { return x; }",
        "int f(int x) { return f(x, 1); }\nint f(int x, int y) { return x; }",
    ),
    "the head repeated": (f"static int f(int x) {{\n\n{JAVA_F}", JAVA_F),
    "the same method twice": (f"{JAVA_F}\n\n{JAVA_F}", JAVA_F),
    "a constant before": ("final int A = 1, B = A;\n\nint f(int x) { return B; }",
                          "final int A = 1, B = A;\n\nint f(int x) { return B; }"),
    "the package goes, the import stays": (
        f"package a.b;\nimport java.math.*;\nimport java.awt.Point;\n\n{JAVA_F}",
        f"import java.math.*;\n\n{JAVA_F}",
    ),
    "a record": ("record P(int x) {}\nint f(int x) { return new P(x).x(); }",
                 "record P(int x) {}\nint f(int x) { return new P(x).x(); }"),
    "one line": ("So: int f(int x) { return x; }", "int f(int x) { return x; }"),
    "a body": ("return x + 1;\n}\nIt adds.", "int f(int x) {\nreturn x + 1;\n}"),
}  # fmt: skip
JAVA_ASKED.pop("one line")  # prose and code on one line are no two things

CSHARP_ASKED = {
    "an expression body": ("int F(int x) => x;\nDone; really.", "int F(int x) => x;"),
    "a property": ("int Size { get; set; } = 3;\nint F(int x) => Size;",
                   "int Size { get; set; } = 3;\nint F(int x) => Size;"),
    "regions": (f"#region Own\n{CSHARP_F}\n#endregion", CSHARP_F),
    "top-level statements go": (f"using System;\nvar n = F(1);\nConsole.WriteLine(n);\n{CSHARP_F}",
                                f"using System;\n\n{CSHARP_F}"),
    "a namespace stays around": (f"namespace A {{ class B {{ {CSHARP_F} }} }}",
                                 f"namespace A {{ class B {{ {CSHARP_F} }} }}"),
    "Java first": (f"From\n```java\n{JAVA_F}\n```\nto\n```csharp\n{CSHARP_F}\n```", CSHARP_F),
    "a label is prose": (f"Answer: {CSHARP_F}\n{CSHARP_F}", CSHARP_F),
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "text", "answer"),
    [
        pytest.param(asked, *case, id=f"{asked.track.target_language}: {name}")
        for asked, cases in (
            (problem(PYTHON, "f"), PYTHON_ASKED),
            (problem(JAVA, "f", signature="int f(int x)"), JAVA_ASKED),
            (problem(CSHARP, "F"), CSHARP_ASKED),
        )
        for name, case in cases.items()
    ],
)
def test_the_smallest_set_of_what_was_asked_for(asked, text, answer):
    found = extract(asked, text)
    assert found.text == answer


def test_what_was_asked_for_is_read_from_the_problem():
    helper = "static int g() { return 1; }\n\npublic <T> int f(T x) throws E"
    assert answers.entry(problem(JAVA, signature=helper)) == "f"
    assert answers.entry(problem(PYTHON, signature="def g(): pass\n\ndef f(\n    x\n):")) == "f"
    assert answers.entry(problem(CSHARP, code=JAVA_F)) is None


def test_a_translation_is_known_by_the_name_of_its_source():
    text = f"{JAVA_F}\nbecomes\n{CSHARP_F}\nUsed in\nstatic int G() => F(1);"
    java = JAVA_F.replace("int f", "int F_")
    assert extract(problem(CSHARP, code=java), text.replace(JAVA_F, "")).text == CSHARP_F


def test_what_is_cut_can_be_read():
    text = f"So:\n```python\nimport re\n{DEF}\n```\nDone."
    assert extract(problem(PYTHON, "f"), text).cut == ("So:\n```python\nimport re", "```\nDone.")
    assert extract(problem(ENGLISH), "One.\n\nTwo.").cut == ("Two.",)
    assert extract(problem(ENGLISH), " One\nand. ").cut == ()
    assert published(problem(PYTHON), f"{DEF}\nAsker: x", MARKS).cut == ("Asker: x",)


def test_answers_are_kept_with_what_was_cut(tmp_path):
    asked = problem(PYTHON, "f")
    texts = {"one": f"{DEF}\nprint(1)", "two": "as it is"}
    written = [
        Generation(name, "s", "generation", "python", "", 1, 1, "stop", text)
        for name, text in texts.items()
    ]
    found = answered({"s": [Sample("one", PYTHON, {}, "", None, asked.check)]}, written, {})
    found.write(tmp_path / "answers.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(line["output"], line["cut"]) for line in lines] == [
        (DEF, ["print(1)"]),
        ("as it is", []),
    ]


RICH = {
    "python": ("f", PYTHON, '''import re
from math import *
LIMIT = 3
known = {}


def helper(x):
    """Doc.

    ```
    >>> f(1)
    ```

At the margin.
    """
    return re.sub("a", "```", x)


# about f
def f(x, y=LIMIT):
#   c = 1
    if x not in known:
        known[x] = helper(x)
    return known[x]'''),
    "java": ("f", JAVA, '''import java.util.function.*;

/** Doc.
 * <pre>```</pre>
 */
@SuppressWarnings({"a", "b"})
public static int f(int x) {
    String s = """
        } "x"
        """;
    char c = \'}\'; // {
    int[] a = {1, 2};
    return g(x) + LIMIT;
}

private static final int LIMIT = 3;

static int g(int x) { return x; }'''),
    "csharp": ("F", CSHARP, '''using System.Linq;

/// <summary>Doc.</summary>
[Pure]
public static int F(int x) => G(x) + Limit;

private const int Limit = 3;

static int G(int x)
{
    var s = @"a ""} {";
    var t = $"{x}";
    return x switch { 1 => 2, _ => 3 };
}'''),
}  # fmt: skip


def meant(code, language):
    """What some code says, comments aside."""
    if language == "python":
        return ast.dump(ast.parse(code))
    made = members.parts(code, language)
    return made.whole, [made.text(part) for part in made.parts if part.kind != members.COMMENT]


def _stays_right(language, functions, data):
    """Extraction finds a right answer again, whatever is drawn around it."""
    entry, track, code = RICH[language]
    among = [(entry, code)] + [(one.entry[language], one.code[language]) for one in functions]
    name, code = data.draw(st.sampled_from(among))
    text = data.draw(wrapped(code.rstrip(), language))
    assert meant(extract(problem(track, name), text).text, language) == meant(code, language)


@pytest.mark.parametrize("language", RICH)
@settings(max_examples=50)
@given(data=st.data())
def test_whatever_stands_around_a_right_answer_leaves_it_right(corpus, language, data):
    _stays_right(language, corpus[:9], data)


@pytest.mark.slow
@pytest.mark.parametrize("language", RICH)
@settings(max_examples=500)
@given(data=st.data())
def test_whatever_stands_around_any_right_answer_leaves_it_right(corpus, language, data):
    _stays_right(language, corpus, data)


ENDLESS = {
    "prose": "It is so (e.g. this), and it's fine.\n" * 27_000,
    "fences": "```\n" * 10_000,
    "brackets": "x = " + "(" * 100_000,
    "open lines": "(\n" * 10_000,
    "classes": "class A {" * 50_000,
    "texts": '"""\n' * 10_001,
    "comments": "/*\n" * 50_000,
    "ticks": "`" * 500_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("language", RICH)
def test_no_text_takes_long(name, language):
    entry, track, _ = RICH[language]
    start = time.process_time()
    extract(problem(track, entry), ENDLESS[name])
    assert time.process_time() - start < 60  # the longest takes 22 on a slow core
