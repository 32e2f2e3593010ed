"""The metrics of Java and of cognitive complexity: variants, hostile texts, what is missing."""

from __future__ import annotations

import pytest

from bench.records import Generation, Sample, Track
from bench.report import labels
from bench.scoring import admission, metrics, score
from bench.scoring.admission import NotRunError
from bench.scoring.quality import java, javatools, syntax
from bench.scoring.quality.java import CATEGORIES

GOOD = (
    "public static int add(int left, int right) {\n    int spare = 1;\n    return left + right;\n}"
)
SILENCED = GOOD.replace("spare = 1;", "spare = 1; // NOPMD")
CONSTRUCTOR = "public Name(int value) {\n    int spare = 1;\n}"
IMPORTING = "import java.util.List;\n" + GOOD
BROKEN = "public static int add(int left, { return left; }"
HOSTILE = {
    "empty": "",
    "blank": " \n\t",
    "null bytes": "int f() {\x00 return 1; }",
    "surrogate": "int f() { return '\ud800'; }",
    "a megabyte": "x" * 1_000_000,
    "one long line": "x " * 9_999,
    "other scripts": "数える 文字列 😀 \u202e",
    "open brackets": "(" * 9_000,
    "deep": "int f() { return " + "(" * 6_000 + "1" + ")" * 6_000 + "; }",
    "chained calls": "Object f() { return this" + ".f()" * 4_900 + "; }",
    "chained operators": "String f(String a) { return " + " + ".join("a" * 4_900) + "; }",
    "chained else": "int f(int x) { " + "if (x > 1) x++; else " * 900 + "x--; return x; }",
    "nested blocks": "void f() " + "{" * 4_500 + "}" * 4_500,
    "carriage returns": "int x = 1;\r" * 300,
    "unicode escapes": "int f() { return 1; } \\u000a } class B { \\u002f\\u002f",
    "unclosed": "/* \"'" * 3_000,
    "XML": 'int f() { String s = "]]></checkstyle>&lt;\u0001"; return 1; }',
    "entities": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
}

PMD = pytest.mark.skipif(
    javatools.pmd_obtainable() is None, reason="PMD's package cannot be downloaded (no npm)"
)
CHECKSTYLE = pytest.mark.skipif(
    javatools.checkstyle_found() is None, reason=f"no Checkstyle: {javatools.GET_CHECKSTYLE}"
)


def options(name):
    return {"language": "java"} if name == "cognitive" else {}


@pytest.mark.parametrize("name", ["pmd", "checkstyle", "cognitive"])
def test_every_column_has_a_label(name):
    for column in metrics.COLUMNS[name]:
        assert labels.METRICS[column.partition("@")[0]].quality
    assert name in metrics.WITHOUT_REFERENCE


@PMD
def test_pmd_in_both_variants():
    snippets = [GOOD, SILENCED, CONSTRUCTOR, IMPORTING, BROKEN, "// no code"]
    rows = metrics.compute("pmd", snippets, names=[f"Generated_{n}" for n in range(6)])
    column = rows.columns
    assert rows.reasons == [None] * 4 + [syntax.UNPARSABLE_TREE, syntax.NO_CODE]
    assert column["pmd_bestpractices"] == [1, 1, 2, 1, None, None]
    # Silenced in the code; an import within a class, which PMD cannot parse.
    assert column["pmd_bestpractices@published"] == [1, 0, 2, 0, 0, 0]
    # The class around it: an unused import, no package, an underscore in its name.
    assert column["pmd_codestyle@published"][0] == column["pmd_codestyle"][0] + 3
    assert column["pmd_design@published"][0] == column["pmd_design"][0] + 1  # a utility class
    # Nothing but a comment is an empty class, which the study counts like any other.
    assert column["pmd_codestyle@published"][5] > 0


@CHECKSTYLE
def test_checkstyle_counts_the_snippets_own_lines_and_says_its_version():
    rows = metrics.compute("checkstyle", [GOOD, GOOD + "  ", CONSTRUCTOR, BROKEN])
    first, trailing, constructor, broken = rows.columns["checkstyle_violations"]
    assert trailing == first + 1
    assert constructor > 0
    assert broken is None
    assert rows.reasons[3] == syntax.UNPARSABLE_TREE
    assert rows.remark == f"{javatools.checkstyle().name}; the study used 10.21.1"


@pytest.mark.parametrize("language", ["python", "java", "csharp"])
def test_cognitive_has_no_value_for_what_does_not_parse(language):
    code = "def f(x):\n    return 1 if x else 2\n"
    if language != "python":
        code = "int f(int x) { return x > 1 ? 1 : 2; }"
    rows = metrics.compute("cognitive", [code, "def int ) f("], language=language)
    assert rows.columns == {"cognitive_complexity": [1, None]}
    assert rows.reasons[0] is None
    assert rows.reasons[1] in (syntax.UNPARSABLE, syntax.UNPARSABLE_TREE)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("pmd", marks=PMD),
        pytest.param("checkstyle", marks=CHECKSTYLE),
        "cognitive",
    ],
)
@pytest.mark.slow
def test_hostile_texts_cost_nobody_else_a_value(name):
    rows = metrics.compute(name, [GOOD, *HOSTILE.values(), GOOD], **options(name))
    reasons = dict(zip(["first", *HOSTILE, "last"], rows.reasons, strict=True))
    assert reasons["first"] is reasons["last"] is None
    assert reasons["surrogate"] == admission.NOT_UNICODE
    assert reasons["a megabyte"] == admission.TOO_LONG
    for column, values in rows.columns.items():
        assert values[0] == values[-1] is not None, column
        missing = [value is None for value in values]
        assert all(why for gone, why in zip(missing, rows.reasons, strict=True) if gone), column


def test_a_crash_costs_all_values_of_that_file(monkeypatch):
    monkeypatch.setattr(java, "pmd", lambda units: [None] * len(units))
    rows = metrics.compute("pmd", [GOOD])
    assert all(values == [None] for values in rows.columns.values())
    assert rows.reasons == [java.CRASHED]


def output(task: str, language: str, number: int, text: str) -> tuple[Sample, Generation]:
    problem = Sample(f"p{number}@{language}", Track(task, language), {"summary": "x"}, GOOD)
    return problem, Generation(problem.id, "s", task, language, "", 1, 1, "stop", text, text)


def scored(monkeypatch, names):
    """The scores of two Java outputs and one summary, with the metrics asked for alone."""
    pairs = [
        output("generation", "java", 0, GOOD),
        output("translation", "cs_java", 1, BROKEN),
        output("summarization", "java", 2, "Adds."),
    ]
    tracks = [problem.track for problem, _ in pairs]
    monkeypatch.setattr(score, "_models", lambda *_: ())
    return score.score(
        {"s": [problem for problem, _ in pairs]},
        [generation for _, generation in pairs],
        None,
        options=score.Options(dict.fromkeys(tracks, "s"), names, frozenset(names)),
    )


def test_a_study_gets_the_metrics_that_it_asks_for(monkeypatch):
    given: dict[str, list[str]] = {}

    def compute(name, predictions, references=None, **kept):
        assert references is None
        given[name] = kept.get("names", kept.get("language"))
        values = {column: [1.0] * len(predictions) for column in metrics.COLUMNS[name]}
        return admission.Rows(values, [None] * len(predictions), "Tool 1; the study used 2")

    monkeypatch.setattr(metrics, "compute", compute)
    found = scored(monkeypatch, ("pmd", "cognitive"))
    assert given["pmd"] == ["Generated_p0", "Translation1"]
    assert found.metrics["generation/java/pmd_design"] == 1.0
    assert found.metrics["generation/java/pmd_design@published"] == 1.0
    assert found.notes["translation/cs_java/pmd_design"] == "Tool 1; the study used 2"
    assert "generation/java/cognitive_complexity" in found.metrics
    assert "summarization/java/pmd_design" not in found.metrics
    assert not any("checkstyle" in key for key in found.metrics)


def test_a_tool_that_is_missing_is_not_a_zero(monkeypatch):
    def absent(units):
        raise NotRunError("not run: PMD is not here; get it")

    monkeypatch.setattr(java, "pmd", absent)
    found = scored(monkeypatch, ("pmd",))
    for category in CATEGORIES:
        key = f"generation/java/pmd_{category}"
        assert found.metrics[key] is None
        assert found.notes[key] == "not run: PMD is not here; get it"
