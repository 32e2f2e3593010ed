"""The published statistics recomputed: as printed, with the errors found and mended."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import published, statistics
from bench.analysis.published import families, papertables, printed, reanalysis
from bench.analysis.published.inputs import Values
from bench.analysis.published.instances import Instances, Package
from bench.analysis.published.names import TOOLS
from bench.errors import DataError
from bench.records import Track

JAVA = Track("generation", "java")
CS_JAVA = Track("translation", "cs_java")
RULE = "-" * 78


def redo(package, restored=None):
    results, problems = printed.results([package.root])
    assert problems == []
    return reanalysis.reanalyse(package, papertables.tables(package, results), restored)


@pytest.fixture(scope="module")
def package(mirror):
    return published.package(mirror)


@pytest.fixture(scope="module")
def redone(package):
    return redo(package)


def shown(value, text):
    """A recomputed value as the golden text shows its own."""
    if value is None:
        return "NA"
    digits = len(text.partition(".")[2])
    return f"{value:.{digits}f}".replace(f"-{0:.{digits}f}", f"{0:.{digits}f}")


def test_all_published_rows_are_equal_to_every_printed_digit(mirror, package):
    path = mirror.parent / "golden" / "stats.csv"
    if not path.is_file():
        pytest.skip("the published statistics do not lie beside the mirror")
    golden = pd.read_csv(path, dtype=str, keep_default_na=False)
    started = time.process_time()
    redone = redo(package)
    assert time.process_time() - started < 20
    key = ["rq", "task", "language", "size", "comparison", "metric", "adjust"]
    mine = {tuple(getattr(row, name) for name in key): row for row in redone.rows}
    assert len(mine) == len(redone.rows)
    for _, row in golden.iterrows():
        found = mine[tuple(row[key])]
        assert found.status == "equal", row[key].tolist()
        assert shown(found.p_adj, row.p_adj) == row.p_adj
        assert shown(found.effect, row.effect) == row.effect.replace("-0.0000", "0.0000")
        assert shown(found.printed_p_adj, row.p_adj) == row.p_adj
        assert shown(found.printed_effect, row.effect) == row.effect.replace("-0.0000", "0.0000")
    assert len(golden) == 345


def test_rows_without_a_printed_value_are_computed_all_the_same(redone):
    assert Counter((row.rq, row.status) for row in redone.rows) == {
        ("RQ1", "equal"): 300,
        ("RQ2", "equal"): 45,
        ("RQ2", "printed value missing"): 165,
        ("RQ3", "printed value missing"): 24,
        ("RQ3", "inputs missing"): 104,
    }
    for row in redone.rows:
        if row.status == "printed value missing":
            assert row.effect is not None
            assert row.printed_p_adj is None and row.printed_effect is None
        if row.status == "inputs missing":
            assert row.p_adj is None and row.effect is None and "the package lacks" in row.note
        if row.p_adj is None:
            assert row.note


def test_the_files_that_the_statistics_were_computed_from_are_found(redone):
    for table, choice in zip(redone.tables, redone.choices, strict=True):
        swapped = {("pmd", CS_JAVA): JAVA} if table.rows[0].track == CS_JAVA else {}
        assert dict(choice.tracks) == swapped
    noted = [row for row in redone.rows if "the files of generation/java" in row.note]
    assert {(row.language, row.metric.partition("_")[0]) for row in noted} == {("cs_java", "PMD")}


def test_the_right_files_turn_eight_verdicts(redone):
    turned = Counter(turn.step for flip in redone.flips for turn in flip.turns)
    assert turned["read from its own track's files"] == 8
    for flip in redone.flips:
        assert flip.turns and flip.before == flip.turns[0].before
        for earlier, later in zip(flip.turns, flip.turns[1:], strict=False):
            assert earlier.after == later.before
        if flip.lasting and not flip.withheld:
            assert flip.turns[-1].why in flip.row.note


def test_pass_at_1_is_paired_by_id_in_the_corrected_analysis(redone):
    counts = {(row.rq, row.language, row.size): pair for row, pair in redone.counts}
    assert counts["RQ2", "python", "0.5B"].published == (25, 23)
    assert counts["RQ2", "python", "0.5B"].by_id == (8, 6)
    assert counts["RQ2", "python", "1.5B"].published == (26, 20)
    assert counts["RQ2", "python", "1.5B"].by_id == (14, 8)
    row = next(
        row
        for row in redone.rows
        if (row.rq, row.language, row.size, row.metric) == ("RQ2", "python", "0.5B", "pass@1")
    )
    assert row.corrected_effect == pytest.approx(8.5 / 6.5)
    assert "1 ids without a partner" in row.note


def test_damaged_translations_have_no_corrected_value(redone):
    withheld = {(row.task, row.language, row.size) for row in redone.withheld}
    assert withheld == {("translation", "cs_java", "3B"), ("translation", "java_cs", "3B")}
    for row in redone.withheld:
        assert row.corrected_p_adj is None and row.corrected_effect is None
        assert reanalysis.NOT_COMPUTED in row.note
    metrics = {row.metric.partition("_")[0] for row in redone.withheld}
    assert metrics == {"CodeBLEU", "PMD", "Sonar", "Roslyn"}


def test_restored_outputs_give_the_withheld_rows_a_value(package):
    rows = [
        dataclasses.replace(one, values={"codebleu": np.clip(one.values["codebleu"] * 1.1, 0, 1)})
        for one in package.instances
        if one.tool == "codebleu" and one.track == CS_JAVA and one.size == "3b"
    ]
    redone = redo(package, Values(Package(package.folder, tuple(rows), ())))
    row = next(
        row
        for row in redone.rows
        if (row.rq, row.language, row.size, row.metric) == ("RQ1", "cs_java", "3B", "CodeBLEU")
    )
    assert row.corrected_effect is not None and row.corrected_effect != row.effect
    assert "CodeBLEU" not in {row.metric for row in redone.withheld if row.language == "cs_java"}


def clean(rq, sections, note="Holm-Bonferroni corrected"):
    """A printed file of Wilcoxon tables."""
    lines = ["=" * 80, f"{rq}: Code Generation - Java - Wilcoxon Signed-Rank Test", "=" * 80, ""]
    for header, rows in sections:
        lines += [RULE, header, RULE, "Metric   p-value  Cliff's d  Significant", RULE]
        lines += [f"{metric:<15} {p:>12} {d:>12} {'No':>12}" for metric, p, d in rows]
    return "\n".join([*lines, "", f"Note: p-values are {note}"])


def test_a_printed_table_is_read_with_its_size_comparison_and_note():
    rows = [("Lizard_LoC", "0.2144", "-0.0963"), ("Sonar_Sec", "NA", "0.0000")]
    text = clean("RQ3", [("QWEN 3B: MT-QLoRA (3-task) vs MT-QLoRA (CG+CS)", rows)], "BH corrected")
    found = printed.parse("rq3_cg_java_3task_vs_2task_wilcoxon_CLEAN.txt", text, "x")
    assert (found.rq, found.task, found.test, found.named) == (
        "RQ3",
        "generation",
        "wilcoxon",
        None,
    )
    assert found.noted == "BH"
    assert [row.p_adj for row in found.rows] == ["0.2144", "NA"]
    assert found.rows[0].size == "3B"
    assert printed.sides(found.rows[0].comparison) == (("mt-qlora", ""), ("mt-qlora", "CG+CS"))
    assert printed.sides("MT-QLoRA vs MT-FFT") == (("mt-qlora", ""), ("mt-fft", ""))
    assert printed.sides("3-task vs CG+CT") == (("mt-qlora", ""), ("mt-qlora", "CG+CT"))


def test_a_printed_mcnemar_table_names_its_comparison_in_title_header_or_row():
    row = "1.000000     1.000000       1.0851         25         23"
    of_title = f"RQ2: Pass@1 - MT-QLoRA vs MT-FFT (x)\n\n(a) Python\nQwen 0.5B        {row}\n"
    of_header = f"RQ1: Pass@1\n\nJAVA: ST-QLoRA vs MT-QLoRA\nQwen 1.5B        {row}\n"
    of_row = f"RQ3: Pass@1 (Qwen 3B)\n\n(b) Java: 3-task vs 2-task\n3-task vs CG+CS   {row}\n"
    expected = [
        (of_title, ("python", "0.5B", "MT-QLoRA vs MT-FFT")),
        (of_header, ("java", "1.5B", "ST-QLoRA vs MT-QLoRA")),
        (of_row, ("java", "3B", "3-task vs CG+CS")),
    ]
    for text, (language, size, comparison) in expected:
        [found] = printed.parse("rq1_pass1_mcnemar_BH_CLEAN.txt", text, "x").rows
        assert (found.language, found.size, found.comparison) == (language, size, comparison)
        assert (found.p_adj, found.effect, found.a_only) == ("1.000000", "1.0851", 25)


def test_broken_printed_files_are_one_line_each(tmp_path):
    (tmp_path / "rq1_cg_java_CLEAN.txt").write_text("nothing here")
    (tmp_path / "other_CLEAN.txt").write_text("nothing here")
    (tmp_path / "rq1_cs_java_CLEAN.txt").write_bytes(b"\xff")
    results, problems = printed.results([tmp_path])
    assert results == []
    assert [type(problem) for problem in problems] == [DataError] * 3
    told = " ".join(problem.problem for problem in problems)
    assert "holds no row" in told and "does not say the question" in told and "UTF-8" in told


@given(st.floats(-1, 1), st.integers(2, 6))
def test_a_value_agrees_with_itself_printed(value, digits):
    text = f"{value:.{digits}f}"
    assert printed.agrees(value, text)
    assert not printed.agrees(value + 3 * 10**-digits, text)
    assert not printed.agrees(None, text) and not printed.agrees(value, "NA")
    assert printed.agrees(None, "NA")
    assert printed.agrees(0.0, f"{-0.0:.{digits}f}") and printed.agrees(-1e-9, "0.0000")


@settings(max_examples=60)
@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=12), st.data())
@pytest.mark.parametrize("method", ["holm", "BH"])
def test_a_family_without_some_inputs_is_completed_from_its_printed_values(method, family, data):
    whole = statistics.ADJUSTMENTS[method](family)
    missing = data.draw(st.lists(st.booleans(), min_size=len(family), max_size=len(family)))
    known = [None if absent else p for p, absent in zip(family, missing, strict=True)]
    printed_p = [f"{p:.12f}" for p in whole]
    found = families.adjusted(known, method, missing, printed_p)
    for p, expected, absent in zip(found, whole, missing, strict=True):
        assert p is None if absent else p == pytest.approx(expected, abs=1e-9)
    if any(missing):
        nothing = [None] * len(family)
        assert families.adjusted(known, method, missing, nothing) == nothing


def small_package(folder, seed=0, missing=()):
    """A package of two tracks with PMD and Lizard values of two models, drawn at random."""
    draw = np.random.default_rng(seed)
    found = []
    for track, rows in ((JAVA, 30), (CS_JAVA, 60)):
        for method in ("st-qlora", "mt-qlora"):
            for tool in ("pmd", "lizard"):
                if (track, method, tool) in missing:
                    continue
                values = {
                    metric: draw.integers(1, 9, size=rows).astype(float)
                    for metric in TOOLS[tool].values()
                }
                name = f"{tool}-{track.task}-{method}.csv"
                ids = tuple(map(str, range(rows)))
                found.append(Instances(name, tool, track, "3b", method, "", ids, values))
    return Package(folder, tuple(found), ())


def printed_of(package, source, metrics, adjust=statistics.holm):
    """The rows that a script prints which reads the tools' files of ``source``."""
    values = Values(package)
    versus, p_values, effects = "ST-QLoRA vs MT-QLoRA", [], []
    for metric in metrics:
        track = source.get(metric.partition("_")[0], CS_JAVA)
        asked = papertables.Asked(track, "3B", versus, metric)
        columns = values.columns(asked, track, "position")
        p_values.append(statistics.wilcoxon(columns.a, columns.b).p)
        effects.append(statistics.cliffs_delta(columns.a, columns.b))
    rows = [
        (metric, f"{p:.4f}", f"{d:.4f}")
        for metric, p, d in zip(metrics, adjust(p_values), effects, strict=True)
    ]
    return [(f"QWEN 3B: {versus}", rows)]


METRICS = ("PMD_CS", "PMD_EP", "PMD_Design", "Lizard_LoC", "Lizard_ToK")


def tables_of(package, text, name="rq1_ct_cs_java_st_vs_mt_wilcoxon_CLEAN.txt"):
    result = printed.parse(name, text, "x")
    return [table for table in papertables.tables(package, [result]) if table.result is not None]


def test_statistics_of_another_tracks_files_are_recognised_whatever_the_tool(tmp_path):
    package = small_package(tmp_path)
    for tool, prefix in (("pmd", "PMD"), ("lizard", "Lizard")):
        text = clean("RQ1", printed_of(package, {prefix: JAVA}, METRICS))
        redone = reanalysis.reanalyse(package, tables_of(package, text))
        assert dict(redone.choices[0].tracks) == {(tool, CS_JAVA): JAVA}
        assert {row.status for row in redone.rows} == {"equal"}
        for row in redone.rows:
            assert (row.corrected_effect != row.effect) == row.metric.startswith(prefix)


def test_the_adjustment_is_the_one_that_gives_the_printed_values(tmp_path):
    package = small_package(tmp_path)
    for method, note in (("holm", "BH corrected"), ("BH", "Holm corrected")):
        text = clean("RQ1", printed_of(package, {}, METRICS, statistics.ADJUSTMENTS[method]), note)
        redone = reanalysis.reanalyse(package, tables_of(package, text))
        assert {(row.adjust, row.status) for row in redone.rows} == {(method, "equal")}


def test_a_row_that_the_values_do_not_give_differs_and_others_stay_equal(tmp_path):
    package = small_package(tmp_path)
    text = clean("RQ1", printed_of(package, {}, METRICS))
    line = next(line for line in text.splitlines() if line.startswith("PMD_EP"))
    effect = line.split()[2]
    redone = reanalysis.reanalyse(package, tables_of(package, text.replace(effect, "0.9876")))
    assert {row.metric: row.status for row in redone.rows} == {
        metric: "differs" if metric == "PMD_EP" else "equal" for metric in METRICS
    }


def test_missing_inputs_leave_the_rest_of_the_family_comparable(tmp_path):
    whole = small_package(tmp_path)
    text = clean("RQ1", printed_of(whole, {}, METRICS))
    lacking = small_package(tmp_path, missing=[(CS_JAVA, "mt-qlora", "lizard")])
    lacking = dataclasses.replace(
        lacking,
        instances=tuple(
            one for one in whole.instances if one.path in {kept.path for kept in lacking.instances}
        ),
    )
    redone = reanalysis.reanalyse(lacking, tables_of(lacking, text))
    for row in redone.rows:
        absent = row.metric.startswith("Lizard")
        assert row.status == ("inputs missing" if absent else "equal")
        assert ("completed with the printed ones of 2 rows" in row.note) != absent


def test_an_unknown_metric_is_a_row_without_inputs(tmp_path):
    package = small_package(tmp_path)
    sections = printed_of(package, {}, METRICS)
    sections[0][1].append(("Halstead", "0.5000", "0.1000"))
    redone = reanalysis.reanalyse(package, tables_of(package, clean("RQ1", sections)))
    last = redone.rows[-1]
    assert (last.metric, last.status) == ("Halstead", "inputs missing")
    assert "unknown" in last.note and last.printed_effect == 0.1
