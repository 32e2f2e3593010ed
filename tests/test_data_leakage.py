"""The leakage audit finds what is planted, and nothing in the corpus that ships."""

from __future__ import annotations

import pytest

from bench.data import embedded
from bench.data.embedded import Function
from bench.data.leakage import leakage, normalized


def function(number: int, split: str, part: str | None, family: str, **changes) -> Function:
    """A function that shares nothing with one of another number."""
    python, other = f"task_{number}", f"task{number}"
    fields = {
        "id": python,
        "family": family,
        "split": split,
        "part": part,
        "summary": f"Return the number {number}.",
        "types": {"args": ["int"], "result": "int"},
        "signature": {
            "python": f"def {python}(x: int) -> int:",
            "java": f"static int {other}(int x)",
            "csharp": f"static int T{other}(int x)",
        },
        "entry": {"python": python, "java": other, "csharp": f"T{other}"},
        "code": {
            "python": f"def {python}(x: int) -> int:\n    return x + {number}",
            "java": f"static int {other}(int x) {{\n    return x + {number};\n}}",
            "csharp": f"static int T{other}(int x) {{\n    return x + {number};\n}}",
        },
        "cases": [{"args": [i], "result": i + number} for i in (0, 1)],
    }
    return Function.model_validate(fields | changes)


CLEAN = [
    function(1, "train", None, "adding"),
    function(10, "valid", None, "adding"),
    function(20, "test", "near", "adding"),
    function(30, "test", "far", "other"),
]


def test_a_clean_corpus_has_no_leak():
    assert leakage(CLEAN) == []


def planted(kind: str) -> Function:
    """A test function that leaks in one way from function 1 or 10."""
    old, new = CLEAN[0], function(40, "test", "near", "adding")
    code = new.code.model_dump()
    if kind == "name":
        return function(40, "test", "near", "adding", id="Task_1".lower())
    if kind == "summary":
        return new.model_copy(update={"summary": "return THE number: 10."})
    if kind == "case":
        return new.model_copy(update={"cases": [*new.cases, CLEAN[1].cases[0]]})
    if kind == "near-family":
        return new.model_copy(update={"family": "unseen"})
    if kind == "far-family":
        return new.model_copy(update={"part": "far"})
    language = kind.removeprefix("code-")
    copy = old.code[language].replace("x", "renamed").replace(" + ", "+")
    copy = copy.replace(old.entry[language], new.entry[language])
    text = embedded.Texts(**(code | {language: f"{copy}  {comment(language)}"}))
    return new.model_copy(update={"code": text})


def comment(language: str) -> str:
    return "# a copy" if language == "python" else "// a copy"


@pytest.mark.parametrize(
    "kind",
    [
        "name",
        "summary",
        "case",
        "code-python",
        "code-java",
        "code-csharp",
        "near-family",
        "far-family",
    ],
)
def test_a_planted_leak_is_found(kind):
    leaks = leakage([*CLEAN, planted(kind)])
    assert [leak.kind for leak in leaks] == [kind]


def test_the_normal_form_sees_through_names_layout_and_comments():
    one = 'def f(t):\n    """Doc."""\n    out = [c for c in t if c != "#"]  # kept\n    return out'
    two = "def g(s):\n  result = [x\n    for x in s if x != '#']\n  return result".replace("'", '"')
    assert normalized(one, "python", "f") == normalized(two, "python", "g")
    java = "static int f(int[] xs) { int n = 0; /* sum */ for (int x : xs) { n += x; } return n; }"
    copy = "static int g(int[] a) {int s=0;for(int b:a){s+=b;}return s;} // same"
    assert normalized(java, "java", "f") == normalized(copy, "java", "g")


@pytest.mark.parametrize(
    ("one", "two", "language"),
    [
        ("def f(s):\n    return s.upper()", "def f(s):\n    return s.lower()", "python"),
        ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a", "python"),
        ("def f(a):\n    return max(a)", "def f(a):\n    return min(a)", "python"),
        ("def f(a, b):\n    return a // b", "def f(a, b):\n    return a", "python"),
        ("int f(int a) { return a * 2; }", "int f(int a) { return a * 3; }", "java"),
        ("int f(int a) { return a; }", "long f(long a) { return a; }", "csharp"),
        ('string f() { return "//a"; }', 'string f() { return "//b"; }', "csharp"),
    ],
)
def test_different_programs_stay_different(one, two, language):
    assert normalized(one, language, "f") != normalized(two, language, "f")


def test_the_corpus_that_ships_has_no_leak():
    assert [str(leak) for leak in leakage(embedded.load())] == []
