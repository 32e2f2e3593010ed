"""Paired columns: by id, in the right variant, and unreadable outputs never clean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis.claims.paired import Scores, absent, pair
from bench.errors import DataError
from bench.records import Track

JAVA = Track("generation", "java")
TABLE = pd.DataFrame(
    {
        "id": ["p1", "p2", "p3", "p4"],
        "finish_reason": ["stop", "stop", "length", "prompt-too-long"],
        "codebleu": [0.5, 0.6, np.nan, np.nan],
        "codebleu@published": [0.5, 0.6, 0.25, np.nan],
        "pmd_design": [0, 2, np.nan, np.nan],
        "pmd_performance": [0, 0, np.nan, np.nan],
        "pmd_design@published": [0, 2, 0, np.nan],
        "pmd_performance@published": [0, 0, 0, np.nan],
        "bleu@published": [0.1, 0.2, 0.3, 0.4],
        "meteor": [np.nan] * 4,
    }
)
CELLS = {"a": {JAVA: TABLE}, "b": {JAVA: TABLE.drop(columns="bleu@published")}}


def test_the_variant_decides_which_column_is_read_first():
    corrected, published = Scores(CELLS, "corrected"), Scores(CELLS, "published")
    assert corrected.column(["a", "b"], JAVA, "codebleu") == "codebleu"
    assert published.column(["a", "b"], JAVA, "codebleu") == "codebleu@published"
    assert corrected.column(["a"], JAVA, "bleu") == "bleu@published"
    assert corrected.column(["a", "b"], JAVA, "bleu") is None
    assert corrected.column(["a"], JAVA, "meteor") is None  # all empty
    assert corrected.column(["a"], Track("generation", "python"), "codebleu") is None
    assert corrected.column(["c"], JAVA, "codebleu") is None


def test_what_is_lacking_names_the_cells_only_where_others_have_it():
    scores = Scores(CELLS, "corrected")
    assert scores.lacking(["a", "b"], JAVA, "bleu") == "generation/java has no bleu of b"
    assert scores.lacking(["a", "b"], JAVA, "pass@1") == "generation/java has no pass@1"
    told = scores.lacking(["a", "c"], JAVA, "pass@1")
    assert told == "generation/java has no scores of c"


def test_unsound_scores_are_not_read():
    scores = Scores(CELLS, "corrected", {("b", JAVA): "outputs of b were damaged"})
    assert scores.column(["a"], JAVA, "codebleu") == "codebleu"
    assert scores.column(["a", "b"], JAVA, "codebleu") is None
    told = scores.lacking(["a", "b"], JAVA, "codebleu")
    assert told == "generation/java: outputs of b were damaged"


def test_an_unreadable_output_has_an_issue_and_one_never_asked_for_has_none():
    columns = ["pmd_design", "pmd_performance"]
    issue = Scores(CELLS, "corrected").issue("a", JAVA, columns)
    assert issue.loc[["p1", "p2", "p3"]].tolist() == [0, 1, 1]
    assert np.isnan(issue["p4"])
    published = Scores(CELLS, "published").issue("a", JAVA, [f"{c}@published" for c in columns])
    assert published.loc[["p1", "p2", "p3"]].tolist() == [0, 1, 0]


def test_problems_are_paired_by_id_and_the_lost_ones_counted():
    one = pd.Series([1.0, 2.0, 3.0], index=["p3", "p1", "p2"])
    two = pd.Series([20.0, np.nan, 10.0, 40.0], index=["p1", "p2", "p3", "p9"])
    found = pair([one, two])
    assert sorted(zip(*found.values.tolist(), strict=True)) == [(1.0, 10.0), (2.0, 20.0)]
    assert found.lost == 2
    none = pair([one, pd.Series([1.0], index=["q"])])
    assert (none.values.shape, none.lost) == ((2, 0), 4)
    assert absent("why").why == "why"


@pytest.mark.parametrize("table", [TABLE.drop(columns="id"), pd.concat([TABLE, TABLE.head(1)])])
def test_a_table_without_ids_is_an_error_of_its_cell(table):
    with pytest.raises(DataError, match="a: scores of generation/java"):
        Scores({"a": {JAVA: table}}, "corrected").score("a", JAVA, "codebleu")
