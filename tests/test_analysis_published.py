"""The package's per-instance values: found by pattern, read with all their spellings."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import published
from bench.analysis.comparisons import compare
from bench.analysis.published import names as packagenames
from bench.errors import DataError
from bench.records import METHODS, Track
from bench.report import reference

JAVA = Track("generation", "java")
PMD = "bestpractices,codestyle,design,errorprone,multithreading,performance"


def write(folder, path, text):
    """A file of a small package."""
    target = folder / "per-instance-value" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def only(folder):
    """The one file of a small package."""
    found = published.package(folder)
    assert len(found.instances) == 1, found.problems
    return found.instances[0]


@pytest.mark.parametrize(
    ("path", "track", "size", "method", "mixture"),
    [
        ("lizard/generation/java/r-lizard_cg_0_5b-mt-fft.csv", JAVA, "0.5b", "mt-fft", ""),
        ("pylint/generation/r-pylint_cg_0.5b-st-qlora.csv", None, "0.5b", "st-qlora", ""),
        (
            "codebleu/translation/cs_java/ct_qwen0_5_mt-fft.csv",
            Track("translation", "cs_java"),
            "0.5b",
            "mt-fft",
            "",
        ),
        (
            "lizard/generation/python/r-lizardcg_cg_3b_cg_ct_mt-qlora.csv",
            Track("generation", "python"),
            "3b",
            "mt-qlora",
            "CG+CT",
        ),
        (
            "codebleu/translation/java_cs/ct_qwen3_cs_ct_mt_qlora.csv",
            Track("translation", "java_cs"),
            "3b",
            "mt-qlora",
            "CS+CT",
        ),
        ("llm_judge/py/qwen1_5_mt_qlora.csv", None, "1.5b", "mt-qlora", ""),
        ("pass1/py/r-pass1_cg_qwen0_5_mt_fft.csv", None, "0.5b", "mt-fft", ""),
        ("roslyn/java_cs/r-roslyn_ct_7b-mt-qlora.csv", None, "7b", "mt-qlora", ""),
    ],
)
def test_track_size_and_model_follow_from_the_place(tmp_path, path, track, size, method, mixture):
    tool = path.partition("/")[0]
    columns = {"lizard": "lizard", "llm_judge": "judge"}.get(tool, tool)
    header = ",".join(packagenames.TOOLS[columns])
    values = ",".join("1" for _ in packagenames.TOOLS[columns])
    write(tmp_path, path, f"Task ID,{header}\na,{values}\n")
    one = only(tmp_path)
    expected = (
        track
        or {
            "pylint": Track("generation", "python"),
            "llm_judge": Track("summarization", "python"),
            "pass1": Track("generation", "python"),
            "roslyn": Track("translation", "java_cs"),
        }[tool]
    )
    assert (one.tool, one.track) == (columns, expected)
    assert (one.size, one.method, one.mixture) == (size, method, mixture)


@pytest.mark.parametrize("header", ["Task ID", "TaskID", "instance_id", "target_id", "id"])
@pytest.mark.parametrize("name", ["translation_7", "Translation7", "7"])
def test_ids_are_the_same_however_they_are_spelled(tmp_path, header, name):
    write(tmp_path, "codebleu/ct_qwen3_mt_qlora.csv", f"{header},codebleu\n{name},0.5\n")
    with pytest.raises(DataError, match="neither folder nor name says the language"):
        published.package(tmp_path)
    write(tmp_path, "codebleu/cs_java/ct_qwen3_mt_qlora.csv", f"codebleu,{header}\n0.5,{name}\n")
    assert only(tmp_path).ids == ("7",)


@given(st.sampled_from(["pass@1", "Rouge-L", "Security_Hotspots", "Detection_Rate"]))
def test_a_column_is_found_as_r_finds_it(name):
    mangled = name.replace("@", ".").replace("-", ".")
    assert packagenames.resolve(name, ["Task.ID", mangled]) == mangled
    assert packagenames.resolve(name, ["Task.ID", name[:6]]) == name[:6]
    assert packagenames.resolve(name, [f"{name}_count", "other"]) == f"{name}_count"
    assert packagenames.resolve(name, [f"{name}_a", f"{name}_b"]) is None


def test_a_broken_file_is_one_line_and_the_rest_goes_on(tmp_path):
    write(tmp_path, "pmd/generation/r-pmd_cg_3b-mt-qlora.csv", f"Task ID,{PMD}\na,1,2,3,4,5,6\n")
    broken = {
        "pmd/generation/r-pmd_cg_3b-st-qlora.csv": (f"Task ID,{PMD}\na,1,x,3,4,5,6\n", "'x'"),
        "pmd/generation/r-pmd_cg_1_5b-st-qlora.csv": (f"Task ID,{PMD}\na,1,,3,4,5,6\n", "nothing"),
        "pmd/generation/r-pmd_cg_1_5b-mt-qlora.csv": (
            "Task ID,codestyle,design\na,1,2\n",
            "no column 'bestpractices'",
        ),
        "pmd/generation/r-pmd_cg_1_5b-mt-fft.csv": ("Task ID,color\na,1\n", "none that"),
        "pmd/generation/notes.csv": (f"Task ID,{PMD}\na,1,2,3,4,5,6\n", "a size and a method"),
        "pmd/generation/r-pmd_cg_0_5b-mt-fft.csv": ("", "not a table"),
        "pmd/generation/r-pmd_cg_0_5b-st-qlora.csv": (
            f"Task ID,{PMD}\na,1,2,3,4,5,6\na,1,2,3,4,5,6\n",
            "a occurs twice",
        ),
        "pmd/generation/x-pmd_cg_3b-mt-qlora.csv": (
            f"Task ID,{PMD}\na,1,2,3,4,5,6\n",
            "says the same",
        ),
    }
    for path, (text, _) in broken.items():
        write(tmp_path, path, text)
    write(tmp_path, "pmd/generation/r-pmd_cg_0_5b-mt-qlora.csv", "Task ID\n").write_bytes(b"\xff\n")
    found = published.package(tmp_path)
    told = "\n".join(problem.problem for problem in found.problems)
    for path, (_, expected) in broken.items():
        [line] = [line for line in told.splitlines() if path in line and expected in line]
        assert line
    assert all(problem.hint for problem in found.problems)
    whole = [one for one in found.instances if one.path.endswith("cg_3b-mt-qlora.csv")]
    assert [len(one.values) for one in whole] == [6]
    half = next(one for one in found.instances if one.path.endswith("cg_3b-st-qlora.csv"))
    assert "pmd_codestyle" not in half.values and len(half.values) == 5


def test_an_absent_package_says_what_to_name(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        published.package(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no folder per-instance-value") as caught:
        published.package(tmp_path)
    assert "clone of github.com" in caught.value.hint
    (tmp_path / "per-instance-value").mkdir()
    with pytest.raises(DataError, match="no file of per-instance values"):
        published.package(tmp_path)


def test_unreadable_and_empty_outputs_are_mended():
    def instances(tool, **values):
        arrays = {name: np.array(column, dtype=float) for name, column in values.items()}
        return published.Instances("x.csv", tool, JAVA, "3b", "mt-qlora", "", ("a", "b"), arrays)

    six = packagenames.TOOLS["pmd"].values()
    zeros = {name: [0, 4 * (name == "pmd_codestyle")] for name in six}
    mended = published.mend(instances("pmd", **zeros))
    assert np.isnan([column[0] for column in mended.values()]).all()
    assert [column[1] for column in mended.values()] == [0, 4, 0, 0, 0, 0]
    sonar = published.mend(instances("sonar", sonar_loc=[0, 9], sonar_reliability=[0, 0]))
    np.testing.assert_array_equal(sonar["sonar_reliability"], [np.nan, 0])
    lizard = published.mend(instances("lizard", lizard_nloc=[0, 9], lizard_detection=[0, 1]))
    np.testing.assert_array_equal(lizard["lizard_detection"], [0, 1])
    np.testing.assert_array_equal(lizard["lizard_nloc"], [np.nan, 9])
    codebleu = published.mend(instances("codebleu", codebleu=[0.25, 0.3]))
    np.testing.assert_array_equal(codebleu["codebleu"], [0, 0.3])
    pylint = instances("pylint", pylint_errors=[0, 0])
    np.testing.assert_array_equal(published.mend(pylint)["pylint_errors"], [0, 0])


@pytest.fixture(scope="module")
def package(mirror):
    return published.package(mirror)


def test_every_file_of_the_package_is_read(package):
    assert len(package.instances) == 179
    assert package.problems == ()
    assert package.sizes == ("0.5b", "1.5b", "3b")


def test_a_clone_and_its_parts_hold_the_same_package(package, tmp_path):
    shutil.copytree(package.folder, tmp_path / "statistical_tests" / "per-instance-value")
    for folder in (tmp_path, tmp_path / "statistical_tests"):
        again = published.package(folder)
        assert [one.path for one in again.instances] == [one.path for one in package.instances]
        assert again.root == tmp_path
        assert again.problems == ()


def test_a_changed_file_is_told_and_read(package, tmp_path):
    one = package.instances[0]
    write(tmp_path, one.path, (package.folder / one.path).read_text().replace("0.", "0.0", 1))
    [problem] = published.package(tmp_path).problems
    assert "changed" in problem.problem and one.path in problem.problem


def test_the_tables_have_the_shape_of_a_run(package):
    for variant, column in (("published", "codebleu@published"), ("corrected", "codebleu")):
        cells, tables = published.tables(package, variant)
        assert [cell.id for cell in cells] == [
            f"{method}-{size}" for size in package.sizes for method in METHODS
        ]
        table = tables["mt-qlora-3b"][Track("translation", "cs_java")]
        assert len(table) == 1000 and column in table and "id" in table
    cells, tables = published.tables(package, "corrected")
    rows = compare(cells[:2], {cell.id: tables[cell.id] for cell in cells[:2]}, suite="x", seed=1)
    by_id = [row for row in rows if row.metric == "pass@1" and row.language == "python"]
    assert {(row.a_only, row.b_only) for row in by_id} == {(8, 8)}
    cells, _ = published.tables(package, "published", mixtures=True)
    assert [cell.id for cell in cells][9:] == [
        "mt-qlora-3b-generation-translation",
        "mt-qlora-3b-summarization-translation",
        "mt-qlora-3b-generation-summarization",
    ]


def test_the_aggregates_are_the_published_ones(mirror, package):
    path = mirror.parent / "golden" / "aggregates.csv"
    if not path.is_file():
        pytest.skip("the published aggregates do not lie beside the mirror")
    golden = pd.read_csv(path)
    mine = {one.path: one for one in package.instances}
    compared = 0
    for _, row in golden.iterrows():
        one = mine[row.source]
        values = one.values[packagenames.TOOLS[one.tool][row.metric]]
        assert values.size == row.n
        assert values.mean() == pytest.approx(row["mean"], abs=5.01e-7)
        compared += 1
    assert compared == len(published.aggregates(package)) == 685


def test_the_committed_reference_is_what_the_package_gives(package):
    text = published.reference(package)
    assert reference.PATH.read_text() == text
    lines = text.splitlines()
    assert lines[0].startswith("#") and "commit 44e6077abecf" in text
    table = pd.read_csv(io.StringIO(text), comment="#")
    assert list(table.columns) == [field.name for field in dataclasses.fields(published.Aggregate)]
    chosen = table.query("task == 'translation' and metric == 'codebleu@published' and n == 1000")
    means = chosen.set_index(["language", "size", "method"])["mean"] * 100
    assert means["cs_java", "0.5b", "st-qlora"] == pytest.approx(82.91, abs=0.006)
    assert means["java_cs", "3b", "mt-fft"] == pytest.approx(69.57, abs=0.006)
