"""The sheet: the study's column names, one row per id, and a reason for every empty cell."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.errors import MachineError
from bench.records import Track
from bench.scoring import metrics, sheet
from bench.scoring.score import NO_TESTS
from bench.scoring.tables import ScoreTables

PYTHON, CS_JAVA = Track("generation", "python"), Track("translation", "cs_java")
PASS_AT_1 = "pass@1"


def scores(track, columns, reasons, remarks=None):
    """Scores of the problems ``a``, ``b`` and ``c``."""
    table = pd.DataFrame({"id": ["a", "b", "c"], **columns})
    place = "suite", track
    told = {(*place, column): what for column, what in (remarks or {}).items()}
    return ScoreTables({place: table}, {}, {}, {place: reasons}, told)


@pytest.fixture
def scored():
    why = {"lizard_ccn": "does not parse", "codebleu": "no reference"}
    return scores(
        PYTHON,
        {
            "lizard_ccn": [3.0, None, 4.0],
            "lizard_ccn@published": [6.0, 0.0, 4.0],
            "lizard_detection": [1.0, 0.0, 1.0],
            "codebleu": [0.5, None, 1.0],
            "codebleu@published": [0.75, 0.25, 1.0],
            "flake8_violations": [1.0, 0.0, 2.0],
            "pass@1": [1.0, 0.0, 1.0],
            "similarity": [0.5, None, 1.0],
        },
        [{}, why, {}],
        {"flake8_violations": "Flake8 of another year"},
    )


def test_both_variants_have_the_study_s_names(scored):
    published = sheet.make(["a", "b", "c"], scored, "published", [PASS_AT_1]).table
    corrected = sheet.make(["a", "b", "c"], scored, "corrected", [PASS_AT_1]).table
    names = ["id", "lizard.Detection_Rate", "lizard.Cyclomatic_Complexity", "pass1.pass@1"]
    assert list(published.columns) == [*names, "codebleu", "flake8.violations"]
    assert list(corrected.columns) == list(published.columns)
    assert published["lizard.Cyclomatic_Complexity"].tolist() == [6, 0, 4]
    assert corrected["lizard.Cyclomatic_Complexity"].tolist()[::2] == [3, 4]
    assert pd.isna(corrected["lizard.Cyclomatic_Complexity"][1])
    assert published["codebleu"].tolist() == [0.75, 0.25, 1.0]


def test_every_empty_cell_has_a_reason(scored):
    made = sheet.make(["a", "b", "c"], scored, "corrected", [PASS_AT_1])
    told = {(column, gap.reason, gap.ids) for gap in made.gaps for column in gap.columns}
    assert told == {
        ("lizard.Cyclomatic_Complexity", "does not parse", ("b",)),
        ("codebleu", "no reference", ("b",)),
    }
    assert made.remarks == {"Flake8 of another year": ("flake8.violations",)}
    assert sheet.make(["a", "b", "c"], scored, "published", [PASS_AT_1]).gaps == ()


def test_rows_are_those_asked_for_in_their_order(scored):
    table = sheet.make(["c", "unread", "a"], scored, "published", []).table
    assert table["id"].tolist() == ["c", "unread", "a"]
    assert table["codebleu"].fillna(-1).tolist() == [1.0, -1.0, 0.75]
    assert "pass1.pass@1" not in table


def test_translations_without_tests_have_no_column_for_them():
    reasons = [{"pass@1": NO_TESTS}] * 3
    found = scores(CS_JAVA, {"codebleu@published": [1.0] * 3, "pass@1": [None] * 3}, reasons)
    assert list(sheet.make(["a"], found, "published", [PASS_AT_1]).table) == ["id", "codebleu"]


def test_a_published_reading_is_not_replaced_by_another():
    found = scores(PYTHON, {"pylint_errors": [1.0] * 3}, [{}] * 3)
    assert list(sheet.make(["a"], found, "published", []).table) == ["id"]
    assert list(sheet.make(["a"], found, "corrected", []).table) == ["id", "pylint.Error"]


def test_every_column_of_every_metric_has_a_name_of_its_own():
    columns = [column for members in metrics.COLUMNS.values() for column in members]
    for variant in sheet.VARIANTS:
        sources = sheet._sources(columns, variant)
        assert len(set(sources.values())) == len(sources)
        bases = {column.partition("@")[0] for column in columns}
        assert {source.partition("@")[0] for source in sources.values()} == bases
    assert sheet._sources(["flake8_violations"], "corrected") == {
        "flake8.violations": "flake8_violations"
    }


def test_counts_are_whole_and_absent_values_empty(scored, tmp_path):
    path = tmp_path / "out.csv"
    sheet.write(sheet.make(["a", "b"], scored, "corrected", []), path)
    assert path.read_text() == (
        "id,lizard.Detection_Rate,lizard.Cyclomatic_Complexity,codebleu,flake8.violations\n"
        "a,1,3,0.5,1\nb,0,,,0\n"
    )


def test_a_place_that_cannot_be_written_is_told_first(tmp_path):
    sheet.writable(tmp_path / "new" / "out.csv")
    assert (tmp_path / "new").is_dir()
    (tmp_path / "taken").touch()
    with pytest.raises(MachineError, match=r"cannot write .*taken/out\.csv"):
        sheet.writable(tmp_path / "taken" / "out.csv")
    with pytest.raises(MachineError, match="not a file"):
        sheet.writable(tmp_path)
