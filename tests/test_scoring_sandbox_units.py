"""Files made of methods, classes and statements in every order that models write them in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records import Sample
from bench.scoring import execution, members
from bench.scoring.sandbox import csharp, csharpunit, dotnet, java, javaunit, jdk
from bench.scoring.sandbox.jail import find_jail
from tests import grading

DOUBLE = [{"args": [2], "result": 4}, {"args": [5], "result": 10}]
CHECK = {"kind": "cases", "entry": "f", "preamble": ""}
MAIN = {
    "kind": "java-main",
    "entry": "f",
    "signature": "public int twice(int x) { return 2 * x; }\n\npublic int f(int x)",
    "prelude": "import java.util.*;\nimport java.lang.*;\n\nclass Solution {\n",
    "epilogue": "\n}\n",
    "test": "public class Main { public static void main(String[] args) {\n"
    "if (new Solution().f(2) != 4) { throw new AssertionError(); } } }",
}

JAVA = {
    "a method": "static int f(int x) { return 2 * x; }",
    "a package and imports": """package a.b;
import java.math.BigInteger;
import static java.lang.Math.*;

public static int f(int x) { return BigInteger.valueOf(2 * max(x, 0)).intValue(); }""",
    "a public class": "public class Any {\n    public static int f(int x) { return 2 * x; }\n}",
    "a class called as ours": "public class Candidate { static int f(int x) { return 2 * x; } }",
    "a class called as ours, and a method": """class Candidate { int v = 2; }
static int f(int x) { return new Candidate().v * x; }""",
    "several classes": """class Node { int v; Node(int v) { this.v = v; } }
public class Solution { public static int f(int x) { return new Node(2 * x).v; } }""",
    "classes that are private": """private static class Node { int v = 2; }
static int f(int x) { return new Node().v * x; }""",
    "a class beside a static method": """class Node { int v = 2; }
static int f(int x) { return new Node().v * x; }""",
    "a class that uses what is around it": """int two = 2;
class Node { int v() { return two; } }
int f(int x) { return new Node().v() * x; }""",
    "a record, an enum, an interface": """record P(int x) {}
enum E { A { int g() { return 2; } }; abstract int g(); }
interface I { int g(int x); default int h() { return 0; } }
@interface Q {}
@Q public static int f(int x) { I i = y -> y * E.A.g(); return i.g(new P(x).x()); }""",
    "generic and abstract": """abstract class A<T extends Comparable<T>> { abstract T g(T t); }
final class B extends A<Integer> { Integer g(Integer t) { return 2 * t; } }
public class C { public static int f(int x) { return new B().g(x); } }""",
    "fields and initializers": """static final Map<Integer, Integer> seen = new HashMap<>();
static { seen.put(2, 4); seen.put(5, 10); }
static int f(int x) { return seen.get(x); }""",
    "a constructor's class": """class Twice {
    private final int by;
    Twice() { this.by = 2; }
    int f(int x) { return by * x; }
}""",
    "statements beside it": """static int f(int x) { return 2 * x; }
System.out.println(f(1));
int n = 3;
n++;""",
    "annotations and comments": """/** Doc. */
@SuppressWarnings("unchecked")
// why
@Deprecated
public static int f(int x) { return 2 * x; }
// done""",
    "a class with a main": """import java.util.Scanner;
public class Main {
    public static int f(int x) { return 2 * x; }
    public static void main(String[] args) { System.out.println(f(new Scanner("1").nextInt())); }
}""",
}
SOLUTIONS = {
    "a method": "public int f(int x) { return 2 * x; }",
    "the helper that is given": "public int f(int x) { return twice(x); }",
    "the helper repeated": """public int twice(int x) { return x + x; }
public int f(int x) { return twice(x); }""",
    "the class": "class Solution { public int f(int x) { return 2 * x; } }",
    "the class without the helper": """class Solution {
    public int f(int x) { return twice(x); }
}""",
    "the class and the helper": """class Solution {
    public int twice(int x) { return x + x; }
    public int f(int x) { return twice(x); }
}""",
    "the class with imports": """package a;
import java.util.*;
import java.util.function.IntUnaryOperator;
public class Solution {
    public int f(int x) { IntUnaryOperator g = y -> 2 * y; return g.applyAsInt(x); }
}""",
    "another class": """public class Doubler {
    private final int by;
    public Doubler() { this.by = 2; }
    public int f(int x) { return by * x + 0 * new Doubler().by; }
    public static void main(String[] args) { System.out.println(new Doubler().f(1)); }
}""",
    "an import and a method": """import java.util.stream.IntStream;
public int f(int x) { return IntStream.of(x, x).sum(); }""",
    "a helper beside the class": """int g(int x) { return x; }
class Solution { public int f(int x) { return 2 * g(x); } }""",
    "another class beside it": """class Node { int v = 2; }
class Solution { public int f(int x) { return new Node().v * x; } }""",
    "a record beside the method": """record P(int x) {}
public int f(int x) { return new P(2 * x).x(); }""",
}
CSHARP = {
    "a method": "static int f(int x) { return 2 * x; }",
    "an expression body": "public static int f(int x) => 2 * x;",
    "usings": """using System;
using static System.Math;
using Numbers = System.Collections.Generic.List<int>;
global using System.IO;

static int f(int x) => new Numbers { 2 * Max(x, 0) }[0];""",
    "a namespace": """using System;
namespace A.B
{
    using System.Linq;
    internal static class C { public static int f(int x) => new[] { x, x }.Sum(); }
}""",
    "a namespace of the whole file": """using System.Linq;
namespace A.B;
public class C { public int f(int x) { return Enumerable.Repeat(x, 2).Sum(); } }""",
    "a namespace and a method": "namespace A.B;\n\nstatic int f(int x) { return 2 * x; }",
    "a namespace beside a method": """namespace A { class N { public int V = 2; } }
static int f(int x) => new N().V * x;""",
    "a class called as ours": "class Candidate { static int f(int x) => 2 * x; }",
    "several types": """record P(int X);
struct S { public int V; }
enum E { Two = 2 }
interface I { int G(int x); }
class J : I { public int G(int x) => (int)E.Two * x; }
delegate int D(int x);
public class Solution { public int f(int x) { D d = new J().G; return d(new P(x).X); } }""",
    "types beside a method": """private class Node { public int V = 2; }
record P(int X);
int f(int x) => new Node().V * new P(x).X;""",
    "an extension": "static int f(this int x) { return 2 * x; }",
    "an extension beside it": """static class Ext { public static int Twice(this int x) => 2 * x; }
static int f(int x) => x.Twice();""",
    "attributes and regions": """#region Own
#nullable enable
/// <summary>Doc.</summary>
[Obsolete("no")]
[System.Diagnostics.CodeAnalysis.SuppressMessage("a", "b")]
public static int f(int x) { return 2 * x; }
#endregion""",
    "properties and fields": """private static readonly Dictionary<int, int> seen = new()
    { [2] = 4, [5] = 10 };
static int Size { get; set; } = 1;
const int One = 1;
static int f(int x) => seen[x] * Size * One;""",
    "statements around it": """using System;
var n = 3;
int m = 4;
Console.WriteLine(f(n + m));
static int f(int x) { return 2 * x; }""",
    "a program": """class Program {
    static void Main(string[] args) { System.Console.WriteLine(f(1)); }
    static int f(int x) => 2 * x;
}""",
    "a private type": "private class C { public static int f(int x) => 2 * x; }",
    "an operator and a constructor": """class N { int v; public N(int v) { this.v = v; }
    public static N operator +(N a, N b) => new N(a.v + b.v);
    public static int f(int x) => (new N(x) + new N(x)).v; }""",
}  # fmt: skip


def problem(language, check):
    types = {"args": ["int"], "result": "int"}
    whole = {**check, "types": types, "cases": DOUBLE}
    return Sample("one", grading.TRACKS[language], {}, "", None, whole)


def verdicts(language, check, outputs):
    grading.need(language)
    asked = {name: (problem(language, check), text) for name, text in outputs.items()}
    return {name: (one.outcome, one.detail) for name, one in grading.together(asked).items()}


def compiled(language, units):
    """Why each unit does not compile; an empty text where it does."""
    grading.need(language)
    jail = find_jail()
    if language == "java":
        found = java.compile_units(jail, jdk.jdk(), units)
    else:
        found = csharp.compile_units(jail, dotnet.dotnet(), units)
    return [one.problem for one in found]


def units(language, outputs, check=CHECK):
    build = csharpunit.cases_unit if language == "csharp" else javaunit.cases_unit
    if check["kind"] == "java-main":
        build = javaunit.main_unit
    return [build(check, text) for text in outputs.values()]


@pytest.mark.parametrize(
    ("language", "check", "outputs"),
    [("java", CHECK, JAVA), ("java", MAIN, SOLUTIONS), ("csharp", CHECK, CSHARP)],
    ids=["java", "solutions", "csharp"],
)
def test_every_layout_compiles(language, check, outputs):
    problems = compiled(language, units(language, outputs, check))
    assert dict(zip(outputs, problems, strict=True)) == dict.fromkeys(outputs, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "check", "outputs"),
    [("java", CHECK, JAVA), ("java", MAIN, SOLUTIONS), ("csharp", CHECK, CSHARP)],
    ids=["java", "solutions", "csharp"],
)
def test_every_layout_passes(language, check, outputs):
    assert verdicts(language, check, outputs) == dict.fromkeys(outputs, ("passed", ""))


#: Parts that may be combined in any number and order; each is named and used by none.
PIECES = {
    "java": [
        "import java.util.List;",
        "import java.math.*;",
        "class A { int a; }",
        "public class B<T> { T b() { return null; } }",
        "record R(int x) {}",
        "interface I { int i(); }",
        "enum E { X, Y }",
        "int g(int x) { return x; }",
        "private static final int C = 1;",
        "static { }",
        "// a comment",
        "/** Doc. */",
        "@Deprecated void h() {}",
    ],
    "csharp": [
        "class A { int a; }",
        "public sealed class B<T> { T b; }",
        "record R(int X);",
        "interface I { int G(); }",
        "enum E { X, Y }",
        "struct S { int x; }",
        "delegate int D(int x);",
        "int g(int x) { return x; }",
        "private const int C = 1;",
        "public int P { get; set; }",
        "// a comment",
        "/// <summary>Doc.</summary>",
        "[Obsolete] void h() {}",
    ],
}
TARGETS = {
    "java": ["static int f(int x) { return 2 * x; }", "class T { int f(int x) { return 2 * x; } }"],
    "csharp": ["static int f(int x) => 2 * x;", "class T { int f(int x) { return 2 * x; } }"],
}
TOP = {"java": ["", "package a.b;\n"], "csharp": ["", "using System.IO;\n", "namespace A.B;\n"]}


@st.composite
def outputs(draw, language):
    pieces = draw(st.lists(st.sampled_from(PIECES[language]), unique=True, max_size=6))
    if language == "java":
        imports = [one for one in pieces if one.startswith("import")]
        pieces = [one for one in pieces if one not in imports]
    else:
        imports = []
    place = draw(st.integers(0, len(pieces)))
    pieces.insert(place, draw(st.sampled_from(TARGETS[language])))
    gap = draw(st.sampled_from(["\n", "\n\n", "\r\n"]))
    return draw(st.sampled_from(TOP[language])) + gap.join([*imports, *pieces])


@pytest.mark.parametrize("language", PIECES)
@settings(max_examples=50)
@given(data=st.data())
def test_no_part_gets_lost_in_any_mixture(language, data):
    _all_parts_stay(language, data)


@pytest.mark.slow
@pytest.mark.parametrize("language", PIECES)
@settings(max_examples=600)
@given(data=st.data())
def test_no_part_gets_lost_in_many_mixtures(language, data):
    _all_parts_stay(language, data)


@pytest.mark.slow
@pytest.mark.parametrize("language", PIECES)
@settings(max_examples=2)
@given(data=st.data())
def test_drawn_mixtures_compile(language, data):
    """Forty in one batch: a compiler takes longer to start than for them all."""
    texts = data.draw(st.lists(outputs(language), min_size=40, max_size=40))
    problems = compiled(language, units(language, dict(enumerate(texts))))
    assert {text: why for text, why in zip(texts, problems, strict=True) if why} == {}


def _all_parts_stay(language, data):
    text = data.draw(outputs(language))
    kinds = [csharpunit.cases_unit] if language == "csharp" else [javaunit.cases_unit]
    for build, check in [(kinds[0], CHECK)] + [(javaunit.main_unit, MAIN)] * (language == "java"):
        made = build(check, text).files[0][1]
        parsed = members.parts(made, language)
        assert parsed.whole, made
        assert {part.kind for part in parsed.parts} <= {
            members.IMPORT, members.PACKAGE, members.NAMESPACE, members.TYPE, members.COMMENT,
        }, made  # fmt: skip
        methods = {name for part in parsed.parts for name in part.methods}
        assert {"f"} | ({"g"} if "int g(" in text else set()) <= methods


@pytest.mark.slow
@pytest.mark.parametrize("language", PIECES)
def test_mixtures_compile(language):
    pairs = itertools.permutations(PIECES[language], 2)
    texts = {}
    for one, other in pairs:
        for target in TARGETS[language]:
            parts = [one, target, other]
            if language == "java":
                parts.sort(key=lambda part: not part.startswith("import"))
            texts["\n".join(parts)] = "\n".join(parts)
    problems = compiled(language, units(language, texts))
    assert {text: why for text, why in zip(texts, problems, strict=True) if why} == {}


@given(st.text(st.sampled_from("ab {}()[]\"';=<>\n/*.@#,classstaticint"), max_size=80))
def test_any_text_makes_a_unit(text):
    for build in (javaunit.cases_unit, csharpunit.cases_unit):
        assert len(build(CHECK, text).files) == 1
    assert len(javaunit.main_unit(MAIN, text).files) == 2


def test_what_does_not_parse_is_left_to_the_compiler():
    broken = "import java.math.*;\nint f(int x) { return ; "
    assert "import java.math.*;\nclass Candidate" in javaunit.cases_unit(CHECK, broken).files[0][1]
    assert execution.size(problem("java", CHECK)) == 2
