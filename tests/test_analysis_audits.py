"""The audits find planted errors, stay silent on clean data, and find the package's own."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import audits, published, texts
from bench.analysis.published import audits as packageaudits
from bench.analysis.published import papertables, printed
from bench.analysis.published.names import TOOLS
from bench.analysis.published.reanalysis import reanalyse
from bench.analysis.texts import Written
from bench.grid import cells
from bench.records import METHODS, TASKS, Sample, Track

GRID = cells.expand(["1b"], METHODS, TASKS)
PYTHON = Track("generation", "python")
JAVA = Track("generation", "java")
CS_JAVA = Track("translation", "cs_java")
ROWS = 120


def clean_tables(seed=0):
    """Tables of three cells and two tracks without anything to find."""
    draw = np.random.default_rng(seed)
    tables = {}
    for cell in GRID:
        tables[cell.id] = {
            track: pd.DataFrame(
                {
                    "id": [f"{track.language}-{index}" for index in range(ROWS)],
                    "codebleu": draw.random(ROWS),
                    "pass@1": draw.integers(0, 2, ROWS).astype(float),
                    "lizard_nloc@published": draw.integers(1, 60, ROWS).astype(float),
                    "lizard_ccn@published": draw.integers(1, 30, ROWS).astype(float),
                }
            )
            for track in (PYTHON, JAVA)
        }
    return tables


def named(findings):
    return {finding.audit for finding in findings}


def test_clean_tables_have_no_finding():
    assert audits.audit(GRID, clean_tables()) == []
    assert audits.audit(GRID, {}) == []
    empty = {GRID[0].id: {PYTHON: pd.DataFrame({"id": []})}}
    assert audits.audit(GRID, empty) == []


def plant(tables, cell, track, **columns):
    table = tables[cell][track]
    for name, values in columns.items():
        table[name.replace("__", "@")] = values
    return table


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_error_is_found_at_its_place(seed):
    a, b, c = (cell.id for cell in GRID)

    tables = clean_tables(seed)
    tables[b][JAVA] = tables[b][JAVA].drop(index=3).reset_index(drop=True)
    [first, second] = audits.audit(GRID, tables)
    assert named([first, second]) == {"misaligned pairs"}
    assert (first.count, first.of) == (ROWS - 4, ROWS - 1)
    assert "generation/java" in first.where and "1 ids in one of them only" in first.detail

    tables = clean_tables(seed)
    tables[c][JAVA]["id"] = tables[c][PYTHON]["id"]
    found = audits.audit(GRID, tables)
    [finding] = [one for one in found if one.audit == "another track's problems"]
    assert finding.where == f"generation/java {c}" and "generation/python" in finding.detail

    tables = clean_tables(seed)
    tables[c][JAVA] = tables[a][JAVA].copy()
    [finding] = audits.audit(GRID, tables)
    assert finding.audit == "same values under two names" and a in finding.detail

    tables = clean_tables(seed)
    for cell in (a, b):
        plant(tables, cell, JAVA, sonar_hotspots__published=0.0)
    [finding] = audits.audit(GRID, tables)
    assert (finding.audit, finding.count, finding.of) == ("constant column", 2, 2)

    tables = clean_tables(seed)
    plant(tables, a, PYTHON, flake8_violations=tables[a][PYTHON]["lizard_ccn@published"])
    [finding] = audits.audit(GRID, tables)
    assert finding.audit == "doubled column" and "flake8_violations" in finding.where

    tables = clean_tables(seed)
    tables[a][PYTHON].loc[: ROWS // 4, "codebleu"] = 0.8125
    [finding] = audits.audit(GRID, tables)
    assert finding.audit == "repeated value" and "0.8125" in finding.detail


def test_unreadable_outputs_that_count_as_clean_are_found():
    a = GRID[0].id
    six = list(TOOLS["pmd"].values())
    tables = clean_tables()
    zeros = np.array([0.0] * 7 + [2.0] * (ROWS - 7))
    plant(tables, a, JAVA, **{f"{name}__published": zeros for name in six})
    found = [one for one in audits.audit(GRID, tables) if one.audit == "unparsable counted clean"]
    assert [(one.where, one.count, one.of) for one in found] == [
        ("generation/java pmd@published", 7, ROWS)
    ]
    tables = clean_tables()
    plant(tables, a, JAVA, sonar_loc=zeros, sonar_ccn=zeros * 2)
    tables[a][JAVA].loc[:3, "lizard_nloc@published"] = 0
    found = {one.where: one.count for one in audits.audit(GRID, tables)}
    assert found == {"generation/java sonar": 7, "generation/java lizard@published": 4}
    tables = clean_tables()
    failed = np.array([1.0] * 5 + [0.0] * (ROWS - 5))
    errors = np.where(failed > 0, 0, np.arange(ROWS)).astype(float)
    plant(tables, a, PYTHON, parse_failures=failed, pylint_errors=errors)
    [finding] = audits.audit(GRID, tables)
    assert (finding.audit, finding.count) == ("unparsable counted clean", 5)
    tables[a][PYTHON].loc[:4, "pylint_errors"] = np.nan  # no value is the honest answer
    assert audits.audit(GRID, tables) == []


def test_empty_outputs_are_counted_or_seen_from_their_codebleu():
    a = GRID[0].id
    tables = clean_tables()
    plant(tables, a, JAVA, empty_outputs=[1.0] * 3 + [0.0] * (ROWS - 3))
    [finding] = audits.audit(GRID, tables)
    assert (finding.audit, finding.count, finding.of) == ("empty outputs", 3, ROWS)
    tables = clean_tables()
    values = np.linspace(0.3, 0.9, ROWS)
    values[:4] = 0.25
    plant(tables, a, JAVA, codebleu__published=values)
    [finding] = audits.audit(GRID, tables)
    assert finding.count == 4 and "CodeBLEU gives 0.25" in finding.detail
    plant(tables, a, JAVA, sonar_ccn__published=np.r_[0, 0, np.ones(ROWS - 2)])
    plant(tables, a, JAVA, sonar_loc__published=np.full(ROWS, 3.0) + np.arange(ROWS))
    found = [one for one in audits.audit(GRID, tables) if one.audit == "empty outputs"]
    assert found[0].count == 2


REFERENCES = ["public void a() { }", "public int b() { }", "private String c;", "int d;"]


@pytest.mark.parametrize(
    ("output", "defect", "mended"),
    [
        ("ublic void a() { }", texts.LOST, "public void a() { }"),
        ("rivate String c;", texts.LOST, "private String c;"),
        ("1 public void a() { }", texts.STRAY, "public void a() { }"),
        ("23  private String c;", texts.STRAY, "private String c;"),
        ("public void a() { }", "", None),
        ("nt d;", "", None),  # two characters are too few to be sure
        ("1 + 1", "", None),
        ("static void e() { }", "", None),
        ("lic void a()", "", None),  # three characters lost are no cut token
        ("  \n", texts.EMPTY, None),
    ],
)
def test_lost_prefixes_and_stray_openings(output, defect, mended):
    known = texts.openings(REFERENCES)
    assert texts.defect(output, known) == defect
    assert texts.restore(output, known) == (output if mended is None else mended)


@given(st.text(max_size=60))
def test_restoring_is_final_and_never_invents_more_than_an_opening(output):
    known = texts.openings(REFERENCES)
    once = texts.restore(output, known)
    assert texts.restore(once, known) == once
    assert len(once) - len(output) <= 2
    assert texts.restore(output, {}) == output


def test_defects_of_outputs_are_counted_by_cell():
    def written(*outputs):
        pairs = zip(outputs, REFERENCES, strict=True)
        return [Written(str(n), output, reference) for n, (output, reference) in enumerate(pairs)]

    outputs = {
        GRID[0].id: {CS_JAVA: written("ublic void a() { }", "ublic int b() { }", "", "int d;")},
        GRID[1].id: {CS_JAVA: written("1 public void a() { }", *REFERENCES[1:])},
    }
    found = {one.audit: one for one in audits.audit(GRID, {}, outputs)}
    assert {name: (one.count, one.of) for name, one in found.items()} == {
        texts.LOST: (2, 8),
        texts.STRAY: (1, 8),
        texts.EMPTY: (1, 8),
    }
    assert found[texts.LOST].detail == f"{GRID[0].id} 2"


SUMMARIES = Track("summarization", "python")


def sample(name, code, reference, track=SUMMARIES):
    return Sample(name, track, {"code": code}, reference)


def test_references_and_docstrings_in_the_inputs_are_found():
    documented = 'def f(x):\n    """Return the   sum\n    of all numbers."""\n    return x\n'
    problems = [
        sample("a", documented, "Return the sum of all numbers."),
        sample("b", "def f(x):\n    return x\n", "Return the sum of all numbers."),
        sample("c", "def f(x):\n    return x  # x\n", "return x"),  # too short to be no chance
        sample("d", "def f(x:\n    '''Broken code.'''\n", "Something else entirely."),
        sample("e", "/** Adds. */ int f()", "Adds two numbers.", Track("summarization", "java")),
    ]
    found = {(one.audit, one.where): (one.count, one.of) for one in packageaudits.leaked(problems)}
    assert found == {
        ("references in the inputs", "summarization/python"): (1, 4),
        ("documentation in the inputs", "summarization/python"): (2, 4),
        ("documentation in the inputs", "summarization/java"): (1, 1),
    }


def test_train_test_overlap_ignores_layout_alone():
    trained = [sample("t1", "int a ;\n", "one two three"), sample("t2", "int b;", "four five")]
    tested = [
        sample("a", "int  a ;", "one two\nthree"),
        sample("b", "int b;", "other words"),
        sample("c", "int c;", "one two three"),
    ]
    assert texts.overlap(trained, tested) == (2, 1)
    [finding] = packageaudits.overlapping(JAVA, trained, tested)
    assert (finding.count, finding.of) == (2, 3)
    assert packageaudits.overlapping(JAVA, [], tested) == []


def test_merged_keeps_the_first_of_each_place():
    one = audits.Finding("x", "y", 1, 2, "first")
    other = dataclasses.replace(one, detail="second")
    earlier = dataclasses.replace(one, audit="a")
    assert audits.merged([one, other, earlier]) == [earlier, one]


# The package's known errors (the protocol lists them), found by the general checks alone.


@pytest.fixture(scope="module")
def package(mirror):
    return published.package(mirror)


@pytest.fixture(scope="module")
def values(package):
    return {(one.audit, one.where): one for one in packageaudits.of_values(package)}


def test_unparsable_files_of_the_package_are_found(values):
    found = values["unparsable counted clean", "translation/cs_java pmd@published"]
    assert found.detail.startswith("st-qlora-3b 781, mt-qlora-3b 777, mt-fft-3b 282")


def test_empty_outputs_of_the_package_are_found(values):
    found = values["empty outputs", "translation/cs_java"]
    assert found.detail.startswith("mt-qlora-3b-summarization-translation 676")


def test_security_hotspots_are_found_constant(values):
    for where in ("generation/java", "generation/python", "translation/cs_java"):
        found = values["constant column", f"{where} sonar_hotspots@published"]
        assert found.count == found.of and "always 0 for every model" in found.detail


def test_missing_ids_of_the_package_are_found(values):
    places = {where for audit, where in values if audit == "misaligned pairs"}
    assert places == {
        "generation/python st-qlora-0.5b / mt-qlora-0.5b",
        "generation/python mt-qlora-0.5b / mt-fft-0.5b",
        "generation/python mt-qlora-1.5b / mt-fft-1.5b",
    }


def test_damaged_translations_of_the_package_are_found(values, package):
    found = values["repeated value", "translation/cs_java codebleu@published"]
    assert "st-qlora-3b (0.842491) 244" in found.detail
    places = {one.where: one.detail for one in packageaudits.of_defects(package)}
    assert set(places) == {"translation/cs_java", "translation/java_cs"}
    assert "0.5b" not in "".join(places.values()) and "1.5b" not in "".join(places.values())


def test_nothing_else_is_claimed_of_the_package(values):
    assert {audit for audit, _ in values} == {
        "constant column",
        "empty outputs",
        "misaligned pairs",
        "repeated value",
        "unparsable counted clean",
    }


def test_wrong_statistics_of_the_package_are_found(package):
    results, _ = printed.results([package.root])
    redone = reanalyse(package, papertables.tables(package, results))
    found = {
        (one.audit, one.where): (one.count, one.of)
        for one in packageaudits.of_statistics(redone)
        if one.audit not in ("inputs missing", "verdicts turned")
    }
    assert found == {
        ("statistics of other files", "RQ1 translation/cs_java pmd"): (18, 48),
        ("pass@1 paired by position", "RQ2 generation/python 0.5B"): (48, 188),
        ("pass@1 paired by position", "RQ2 generation/python 1.5B"): (46, 189),
        (
            "adjustment not as stated",
            "rq1_cs_java_llm_judge_st_vs_mt_wilcoxon_CLEAN.txt",
        ): (9, 9),
        (
            "adjustment not as stated",
            "rq1_cs_python_llm_judge_st_vs_mt_wilcoxon_CLEAN.txt",
        ): (9, 9),
    }


def test_references_in_the_inputs_of_the_package_are_found(package):
    found, problems = packageaudits.of_inputs(package)
    assert problems == []
    assert {one.audit: (one.count, one.of) for one in found} == {
        "references in the inputs": (48, 100),
        "documentation in the inputs": (99, 100),
    }


def test_a_broken_input_file_is_one_line(package, tmp_path):
    folder = tmp_path / "per-instance-value"
    folder.mkdir()
    (tmp_path / "a_py.jsonl").write_text("{broken")
    (tmp_path / "b_py.jsonl").write_text("[1]\n")
    (tmp_path / "c_py.jsonl").write_bytes(b"\xff\n")
    (tmp_path / "d_py.jsonl").write_text(json.dumps({"prompt": "of another kind"}))
    found, problems = packageaudits.of_inputs(dataclasses.replace(package, folder=folder))
    assert found == []
    assert [path in str(problem) for path, problem in zip("abc", problems, strict=True)] == [
        True
    ] * 3
