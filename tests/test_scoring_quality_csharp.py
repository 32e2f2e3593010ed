"""Roslyn's diagnostics: two readings of each snippet, and no snippet sinks the others."""

from __future__ import annotations

import pytest

from bench.errors import MachineError
from bench.scoring import metrics
from bench.scoring.admission import TOO_LONG, NotRunError
from bench.scoring.metrics.roslyn import roslyn
from bench.scoring.quality import csharp, syntax
from bench.scoring.quality.csharp import Diagnostic, Reading
from bench.scoring.sandbox import dotnet

METHOD = "public int F(int x) { return x; }"
BROKEN = "public int F( { return 1; }"
#: Nested more deeply than the parser bears, in fewer characters than are refused.
DEEP = "(" * 19_000


@pytest.fixture(autouse=True)
def _needs():
    try:
        dotnet.dotnet()
    except MachineError as error:
        pytest.skip(str(error))


def ids(diagnostics):
    return [found.id for found in diagnostics]


def test_a_method_needs_a_class():
    (reading,) = csharp.diagnose([METHOD])
    assert reading == Reading((Diagnostic("CS0106", error=True),), ())


@pytest.mark.parametrize(
    "code",
    [
        "using System;\nusing static System.Math;\npublic int F() { return Abs(1); }",
        "namespace A { public class B { public int F() { return 1; } } }",
        "namespace A;\npublic class B { }",
        "public class B { public int F() { return 1; } }",
        "[Test]\npublic void F() { } // the end",
        "public int Size { get; set; }",
        "public Name(int a) { this.a = a; }",
    ],
)
def test_what_is_whole_has_no_diagnostics_in_a_class(code):
    (reading,) = csharp.diagnose([code])
    assert reading.as_members == ()


def test_broken_code_has_errors_in_both_readings():
    (reading,) = csharp.diagnose([BROKEN])
    assert any(found.error for found in reading.as_it_stands)
    assert any(found.error for found in reading.as_members)


def test_a_warning_is_no_error():
    (reading,) = csharp.diagnose(["int F() {\n#warning later\nreturn 1; }"])
    assert reading.as_members == (Diagnostic("CS1030", error=False),)


def test_a_snippet_that_ends_the_parser_is_reported_at_its_place():
    first, deep, last = csharp.diagnose([METHOD, DEEP, METHOD])
    assert deep is None
    assert roslyn.count(deep, empty=False) == ([None] * 4, roslyn.CRASHED)
    assert first == last
    assert ids(first.as_it_stands) == ["CS0106"]


def test_no_snippets_need_no_parser():
    assert csharp.diagnose([]) == []


def test_the_metric_counts_both_ways():
    rows = metrics.compute("roslyn", [METHOD, BROKEN, "", "x" * 20_001, "\ud800"])
    corrected = rows.columns["roslyn_syntax_errors"]
    published = rows.columns["roslyn_syntax_errors@published"]
    assert corrected[0] == 0
    assert corrected[1] > 0
    assert published[0] == 1
    assert published[2] == 0
    assert corrected[2:] == [None] * 3
    assert published[3:] == [None] * 2
    assert rows.columns["roslyn_maintainability"][:2] == [0, 0]
    assert rows.reasons[:2] == [None, None]
    assert rows.reasons[2:4] == [syntax.NO_CODE, TOO_LONG]


def test_the_references_of_the_suite(mirror):
    """The study's own figures of the reference snippets: 352 of 1,000 raw, 1 in a class."""
    path = mirror / "codexglue" / "code-to-code-trans" / "test.java-cs.txt.cs"
    references = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    rows = metrics.compute("roslyn", references)
    wrapped = rows.columns["roslyn_syntax_errors"], rows.columns["roslyn_maintainability"]
    raw = (rows.columns[f"{name}@published"] for name in metrics.COLUMNS["roslyn"][:2])
    assert len(references) == 1000
    assert sum(any(pair) for pair in zip(*raw, strict=True)) == 352
    assert sum(any(pair) for pair in zip(*wrapped, strict=True)) == 1


def test_without_net_it_is_not_run(monkeypatch):
    def missing():
        raise MachineError("npm is missing", hint="apt-get install -y npm")

    monkeypatch.setattr(dotnet, "dotnet", missing)
    with pytest.raises(NotRunError, match="not run: npm is missing — apt-get install -y npm"):
        csharp.diagnose([METHOD])
