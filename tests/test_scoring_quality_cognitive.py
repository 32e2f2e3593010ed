"""Cognitive complexity: the paper's own rules, and Sonar's figures of the study's outputs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import embedded
from bench.scoring.quality import cognitive, syntax

CASES = [
    ("int f() { return 1; }", 0),
    ("int f(int x) { if (x > 1) return 1; return 2; }", 1),
    ("int f(int x) { if (x > 1) return 1; else return 2; }", 2),
    ("int f(int x) { if (x > 1) { } else if (x > 2) { } else if (x > 3) { } else { } }", 4),
    ("int f(int x) { if (x > 1) { if (x > 2) { if (x > 3) { } } } }", 6),
    ("int f(int x) { if (x > 1) { } else { if (x > 2) { } } }", 4),
    ("int f(int x) { if (x > 1) { } else if (x > 2) { if (x > 3) { } } }", 4),
    ("int f(int x) { for (int i = 0; i < x; i++) while (x > 1) { } }", 3),
    ("int f(int x) { do { } while (x > 1); return x > 1 ? 2 : 3; }", 2),
    ("int f(int x) { return x > 1 ? x > 2 ? 1 : 2 : 3; }", 3),
    ("int f(int x) { switch (x) { case 1: break; case 2: return 1; default: } }", 1),
    ("void f() { try { } catch (Exception e) { if (true) { } } finally { } }", 3),
    ("boolean f(boolean a, boolean b) { return a && b && a; }", 1),
    ("boolean f(boolean a, boolean b) { return a && b || a && b; }", 3),
    ("boolean f(boolean a, boolean b) { return a && (b && a); }", 1),
    ("boolean f(boolean a, boolean b) { return a && !(b && a); }", 2),
    ("int f(int x) { if (x > 1 && x < 3) { } }", 2),
    ("int f(int x) { return x < 1 ? 1 : f(x - 1); }", 1),
]


@pytest.mark.parametrize(("code", "points"), CASES)
@pytest.mark.parametrize("language", ["java", "csharp"])
def test_both_languages_count_alike(code, points, language):
    written = code.replace("boolean", "bool") if language == "csharp" else code
    assert syntax.failure(written, language) is None
    assert cognitive.measure(written, language) == points


@pytest.mark.parametrize(
    ("language", "code", "points"),
    [
        ("java", "void f() { o: for (int i : a) { for (int j : b) { continue o; } } }", 4),
        ("java", "void f() { for (int i : a) { break; } }", 1),
        ("java", "void f() { run(x -> { if (x) { } }); }", 2),
        ("java", "void f() { run(new R() { void g() { if (true) { } } }); }", 2),
        ("java", "class A { class B { void g() { if (true) { } } } }", 1),
        ("java", "int f(int x) { return switch (x) { case 1 -> 2; default -> 3; }; }", 1),
        ("csharp", "void F() { foreach (var i in a) { goto end; } end: return; }", 2),
        ("csharp", "void F() { Run(x => { if (x) { } }); }", 2),
        ("csharp", "void F() { void G() { if (true) { } } G(); }", 2),
        ("csharp", "int P { get { if (true) { return 1; } return 2; } }", 1),
        ("csharp", "int F(int x) => x switch { 1 => 2, _ => x > 1 ? 3 : 4 };", 3),
        ("python", "def f(x):\n    if x and x > 1:\n        for i in x:\n            pass\n", 4),
    ],
)
def test_what_only_one_language_has(language, code, points):
    assert syntax.failure(code, language) is None
    assert cognitive.measure(code, language) == points


def test_deep_trees_end_well():
    assert cognitive.measure("x = " + "not " * 2_000 + "1", "python") is None
    nested = "void f() { " + "if (a) { " * 2_000 + "}" * 2_000 + "}"
    assert cognitive.measure(nested, "java") == sum(range(1, 2_001))
    chained = f"boolean f() {{ return {' && '.join('a' * 4_000)}; }}"
    assert cognitive.measure(chained, "java") == 1


@given(st.lists(st.sampled_from(["if (a) { ", "while (a) { ", "for (;;) { "]), max_size=12))
def test_nesting_weighs_as_deep_as_it_is(opened):
    code = f"void f() {{ {''.join(opened)}{'} ' * len(opened)}}}"
    expected = sum(range(1, len(opened) + 1))
    assert cognitive.measure(code, "java") == cognitive.measure(code, "csharp") == expected


def test_the_references_of_a_problem_are_alike_in_both_languages():
    apart = [
        function.id
        for function in embedded.load()
        if cognitive.measure(function.code["java"], "java")
        != cognitive.measure(function.code["csharp"], "csharp")
    ]
    assert len(apart) <= 0.1 * len(list(embedded.load()))


@pytest.mark.parametrize(("task", "language"), [("generation", "java"), ("translation", "cs_java")])
def test_java_is_what_sonar_printed_wherever_it_read_the_file(mirror, task, language):
    """SonarCloud gives 0 to a file that it cannot read, such as a constructor's."""
    import pandas as pd

    root = mirror.parent / "golden" / "generated" / task / language
    if not root.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    for folder in sorted(root.iterdir()):
        sonar = pd.read_csv(folder / "expected.csv").set_index("id")["sonar.CoC"]
        lines = (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
        outputs = [json.loads(line) for line in lines]
        readable = [out for out in outputs if syntax.failure(out["code"], "java") is None]
        apart = [
            out["id"]
            for out in readable
            if cognitive.measure(out["code"], "java") != sonar[out["id"]]
        ]
        assert all(sonar[identifier] == 0 for identifier in apart), folder.name
        assert len(apart) <= 0.015 * len(readable), folder.name
