"""Functions that Lizard is to find: all of them, or a reason instead of a part of the sum."""

from __future__ import annotations

import pytest

from bench.data import embedded
from bench.scoring import metrics
from bench.scoring.quality import complexity, syntax
from bench.scoring.quality.functions import count, spelled_out

#: An expression body, and the block that it stands for.
SPELLED = [
    ("int F(int x) => x > 1 ? 2 : 3;", "int F(int x) { return x > 1 ? 2 : 3; }"),
    ("void F() => G();", "void F() { G(); }"),
    ("int F() =>\n    throw new E();", "int F() {\n    throw new E(); }"),
    ("A(int x) => y = x;", "A(int x) { y = x; }"),
    ("static A operator +(A a, A b) => a;", "static A operator +(A a, A b) { return a; }"),
    ("class A { ~A() => G(); }", "class A { ~A() { G(); } }"),
    ("T F<T>(T x) where T : I<T> => x;", "T F<T>(T x)  { return x; }"),
    ("int F() { int G() => 1; return G(); }", "int F() { int G() { return 1; } return G(); }"),
    ("using System;\n\npublic int F() => 1;", "using System;\n\npublic int F() { return 1; }"),
    ("int F() => xs.Sum(x => x + 1);", "int F() { return xs.Sum(x => x + 1); }"),
    ("int Size => 1;", "int Size => 1;"),
    ("int F() { return f(x => 1); }", "int F() { return f(x => 1); }"),
    ("int F(int x) => ;;", "int F(int x) => ;;"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), SPELLED)
def test_an_expression_body_is_the_block_that_it_stands_for(code, expected):
    found = spelled_out(code)
    assert [line.rstrip() for line in found.split("\n")] == expected.split("\n")
    assert spelled_out(found) == found
    assert (syntax.failure(found, "csharp") is None) == (syntax.failure(code, "csharp") is None)


def lizard(language, *codes):
    rows = metrics.compute("lizard", list(codes), language=language)
    return rows.columns["lizard_ccn"], rows.reasons, rows.columns["lizard_ccn@published"]


def test_expression_bodies_are_counted_beside_blocks():
    block = "int G(int x) {\n    return x > 1 ? 2 : 3;\n}"
    values, reasons, published = lizard(
        "csharp", f"int F(int x) => x > 1 ? 2 : 3;\n\n{block}", f"{block}\n\nint F() => 1;", block
    )
    assert values == [4, 3, 2]
    assert reasons == [None] * 3
    assert published[2] == 2


def test_what_lizard_leaves_out_is_said():
    python = "def f(x): return x\ndef g(x):\n    return x\n\nclass A:\n    def h(self): pass\n"
    java = "record P(int x) {\n    P { check(x); }\n    int y() { return x; }\n}"
    csharp = "int Size { get { if (x) { return 1; } return 2; } }"
    assert lizard("python", python)[:2] == ([None], ["Lizard finds 1 functions where there are 3"])
    assert lizard("java", java)[:2] == ([None], ["Lizard finds 1 functions where there are 2"])
    values, reasons, _ = lizard("csharp", csharp, "int Size { get; set; }")
    assert values == [None, None]
    assert all("Lizard finds" in reason for reason in reasons)


@pytest.mark.parametrize("language", embedded.LANGUAGES)
def test_of_usual_code_lizard_finds_every_function(language):
    for function in embedded.load():
        code = function.code[language]
        assert complexity.measure(code, language).functions == count(code, language), function.id
