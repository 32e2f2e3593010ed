"""The file of claims: complete, strict, and every mistake named with its place."""

from __future__ import annotations

import pytest

from bench.analysis.claims import file as claimfile
from bench.analysis.claims.file import CLAIMS, Cheaper, HoldsAgainst, SmallerKeep, Trend
from bench.errors import BenchError
from bench.records import TASKS, TRACKS
from bench.report.labels import METRICS
from bench.scoring.metrics import COLUMNS

TEXT = CLAIMS.read_text(encoding="utf-8")


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "claims.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_abstract_is_covered_with_a_reason_for_every_margin():
    found = claimfile.load(metrics=METRICS)
    assert [claim.id for claim in found] == [
        "mt-qlora-vs-st-qlora",
        "mt-qlora-vs-mt-fft",
        "larger-models-balance",
        "smaller-models-keep-function",
        "smaller-models-more-issues",
        "qlora-needs-less",
    ]
    by_rule = {type(claim) for claim in found}
    assert by_rule == {HoldsAgainst, Trend, SmallerKeep, Cheaper}
    for claim in found:
        assert claim.text and claim.reading
        if isinstance(claim, HoldsAgainst):
            assert {measure.task for measure in claim.measures} == set(TASKS)
        for measure in getattr(claim, "measures", ()):
            assert 0 < measure.margin <= 0.05 and len(measure.reason) > 40
        for quantity in getattr(claim, "quantities", ()):
            assert quantity.reason


def test_every_metric_is_one_that_the_kit_computes():
    computed = {column for columns in COLUMNS.values() for column in columns} | {"pass@1"}
    for claim in claimfile.load():
        for measure in getattr(claim, "measures", ()):
            assert {*measure.metrics, *measure.shown} <= computed
        for issues in getattr(claim, "issues", ()):
            assert set(issues.metrics) <= computed


def test_every_language_that_models_write_has_issues():
    (trend, *_) = [claim for claim in claimfile.load() if isinstance(claim, Trend)]
    written = {track.target_language for track in TRACKS} - {"english"}
    assert all(trend.issue_metrics(language) for language in written)
    assert trend.issue_metrics("english") == ()


@pytest.mark.parametrize(
    ("old", "new", "problem", "hint"),
    [
        ('rule = "trend"', 'rule = "trends"', "unknown rule 'trends'", "trend"),
        ('method = "mt-qlora"', 'method = "mt-qlor"', "unknown method 'mt-qlor'", "mt-qlora"),
        ("margin = 0.05", "margn = 0.05", "measures.tests: unknown key 'margn'", "margin"),
        ("margin = 0.05", "margin = 5", "measures.tests.margin", "claims/file"),
        ("margin = 0.05", 'margin = "5 %"', "measures.tests.margin", "claims/file"),
        ('task = "generation"', 'task = "generating"', "unknown task", "generation"),
        (
            'measures = ["tests", "sum',
            'measures = ["test", "sum',
            "unknown measure 'test'",
            "tests",
        ),
        ('"codebleu"', '"codeblue"', "unknown metric 'codeblue'", "codebleu"),
        ('"pmd_design"', '"pmd_desing"', "unknown metric 'pmd_desing'", "pmd_design"),
        ('direction = "rises"', 'direction = "rise"', "unknown direction 'rise'", "rises"),
        ('quantity = "issues"', 'quantity = "issue"', "unknown quantity 'issue'", "issues"),
        ('name = "memory"', 'name = "memories"', "unknown cost 'memories'", "memory"),
        ('language = "csharp"', 'language = "c#"', "unknown language 'c#'", "csharp"),
        ("[[issues]]", "[[isues]]", "unknown key 'isues'", "issues"),
        ("schema = 1", "schema = 2", "schema is 2", "schema = 1"),
        ("schema = 1", "schema = ", "not valid TOML", "mend"),
        ('id = "mt-qlora-vs-mt-fft"', 'id = "mt-qlora-vs-st-qlora"', "two claims have the id", ""),
        ('id = "qlora-needs-less"', 'id = "QLoRA / less"', "QLoRA / less.id", "claims/file"),
        ('reading = "in every', 'reding = "in every', "unknown key 'reding'", "reading"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_name(written, old, new, problem, hint):
    assert old in TEXT
    path = written(TEXT.replace(old, new))
    with pytest.raises(BenchError) as error:
        claimfile.load(path, METRICS)
    assert problem in error.value.problem and hint in error.value.hint
    assert str(path) in error.value.problem


def test_a_missing_key_or_file_is_told(written, tmp_path):
    with pytest.raises(BenchError, match="Field required"):
        claimfile.load(written(TEXT.replace('against = "mt-fft"\n', "")))
    with pytest.raises(BenchError, match="No such file"):
        claimfile.load(tmp_path / "absent.toml")
    with pytest.raises(BenchError, match="no array of tables"):
        claimfile.load(written('schema = 1\nclaims = "all"\n'))
    assert claimfile.load(written("schema = 1\n")) == ()
