"""Published means beside ours: only where models and problems are the same, else apart."""

from __future__ import annotations

import csv

import pytest

from bench.analysis import published
from bench.errors import DataError
from bench.grid.study import HubBase, Suite
from bench.records import METHODS, Track
from bench.report import reference, scoreboard
from bench.report.labels import Key
from bench.report.reference import Published
from tests.fabricated_run import GOLDEN, SMOKE, reported

GENERATION, TRANSLATION = Track("generation", "python"), Track("translation", "cs_java")


def values(*sizes):
    """Invented published means of two tracks, one per metric, size and method."""
    return [
        Published(Key(track, metric), size, method, 190, 0.25)
        for track, metric in (
            (GENERATION, "pass@1"),
            (GENERATION, "pylint_errors"),
            (GENERATION, "bertscore"),
            (TRANSLATION, "codebleu"),
        )
        for size in sizes
        for method in METHODS
    ]


@pytest.fixture(scope="module")
def scores():
    content, rows, _ = reported()
    return scoreboard.gather(content, rows, ["embedded"])


@pytest.fixture
def same():
    """The smoke study as if 2m were of the published family and the suite CoderEval."""
    base = HubBase(kind="hub", name="2m", repository="Qwen/Qwen2.5-Coder-2M", revision="0" * 40)
    sizes = tuple(base if size.name == "2m" else size for size in SMOKE.sizes)
    suites = (Suite(name="codereval", label="embedded"),)
    return SMOKE.model_copy(update={"sizes": sizes, "suites": suites})


def cells(table, group):
    rows = next(g.rows for g in table.groups if g.label == group)
    return {row.label: [cell.text for cell in row.cells] for row in rows}


def test_other_models_stand_apart_and_are_said_to_be_others(scores):
    section = reference.section(scores, SMOKE, values("1.5b", "3b"))
    assert section.text == (reference.APART,)
    main, *details = section.tables
    assert [column.label for column in main.columns] == ["1.5b", "3b"]
    assert cells(main, "Generation, Python: pass@1, n 190")["MT-FFT"] == ["25.00", "25.00"]
    assert main.caption.startswith("Variant published")
    assert all(table.detail for table in details) and len(details) == 2


def test_a_size_of_the_same_name_is_no_match_unless_its_base_is_the_published_one(scores, same):
    tiny = reference.section(scores, SMOKE, values("2m"))
    assert tiny.text == (reference.APART,)
    assert not any("ours" in column.label for table in tiny.tables for column in table.columns)
    assert reference.BESIDE in reference.section(scores, same, values("2m")).text


def test_the_same_model_on_the_same_suite_stands_beside_ours(scores, same):
    section = reference.section(scores, same, values("2m", "3b"))
    assert section.text == (reference.BESIDE, reference.APART_TOO)
    main, detail, *apart = section.tables
    assert [column.label for column in main.columns] == [
        "2m published",
        "2m ours, variant published",
        "2m ours",
    ]
    ours = scores.value("mt-fft", "2m", "generation/python/pass@1")
    assert cells(main, "pass@1, n 190")["MT-FFT"] == ["25.00", "–", f"{100 * ours:.2f}"]
    assert detail.detail and "Pylint errors, n 190" in [group.label for group in detail.groups]
    assert apart


def test_another_suite_is_not_set_beside(scores, same):
    titles = [table.title for table in reference.section(scores, same, values("2m")).tables]
    assert "Generation, Python, beside the published" in titles
    assert "Translation, C# → Java, beside the published" not in titles
    other = same.model_copy(update={"suites": (Suite(name="humaneval", label="embedded"),)})
    assert reference.section(scores, other, values("2m")).text == (reference.APART,)


def test_metrics_that_only_one_side_has_are_not_shown(scores):
    section = reference.section(scores, SMOKE, values("3b"))
    shown = [group.label for table in section.tables for group in table.groups]
    assert not any("BERTScore" in label for label in shown)
    nothing = reference.section(scores, SMOKE, [])
    assert nothing.tables == () and "no metric" in nothing.text[0]


def test_the_committed_figures_are_the_packages_means(mirror):
    golden = mirror.parent / "golden" / "aggregates.csv"
    if not golden.is_file():
        pytest.skip("needs the expected values beside the mirror: golden/aggregates.csv")
    found = {(str(v.key), v.size, v.method): v for v in reference.load()}
    with golden.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] in ("pass@1", "codebleu")]
    checked = 0
    for row in rows:
        key = f"{row['task']}/{row['language']}/{row['metric']}"
        mine = found.get((key, row["size"].lower(), row["config"].lower()))
        if mine is not None:
            assert mine.mean == pytest.approx(float(row["mean"]), abs=1e-6)
            assert mine.n == int(row["n"])
            checked += 1
    assert checked == 36


def test_the_text_of_a_package_can_be_read_again(mirror, tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(published.reference(published.package(mirror)), encoding="utf-8")
    found = reference.load(path)
    assert found == reference.load()
    assert {value.size for value in found} == {"0.5b", "1.5b", "3b"}
    assert {value.method for value in found} == set(METHODS)
    assert not any(value.key.variant for value in found)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("task,language,size\ngeneration,java,3b\n", "no column 'method'"),
        ("task,language,size,method,metric,n,mean\na,b,3b,mt-fft,bleu,x,1\n", "row 1"),
        (b"\xff\xfe", "UTF-16, or not text"),
    ],
)
def test_a_broken_file_names_the_row_and_the_report_says_so(tmp_path, scores, content, problem):
    path = tmp_path / "published.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=problem):
        reference.load(path)
    section = reference.of_study(scores, SMOKE, path)
    assert section.tables == () and section.text[0].startswith("Not shown: ")


def test_an_absent_file_is_told_with_the_next_step(tmp_path, scores):
    section = reference.of_study(scores, SMOKE, tmp_path / "absent.csv")
    assert "--write-reference" in section.text[0]


def test_the_golden_pages_hold_the_figures_and_that_no_cost_is_published():
    markdown = (GOLDEN / "report.md").read_text(encoding="utf-8")
    text = markdown.partition(f"## {reference.TITLE}\n")[2].partition("\n## ")[0]
    assert "| ST-QLoRA | 21.74 | 25.54 | 29.89 |" in text
    assert reference.NO_COSTS in markdown.partition("## Costs\n")[2]
    terminal = (GOLDEN / "report-80.txt").read_text(encoding="utf-8")
    assert reference.NO_COSTS in terminal
    assert "Translation, C# → Java: CodeBLEU, n 1000" in terminal
