"""Comparisons of a run: pairing, families, what is not defined, and the file written."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from bench.analysis import statistics
from bench.analysis.comparisons import COLUMNS, QUESTIONS, compare, to_csv
from bench.errors import DataError
from bench.grid.cells import expand
from bench.records import METHODS, TASKS, TRACKS, Track

CELLS = expand(["1b", "2b"], METHODS, TASKS)
PYTHON, JAVA = Track("generation", "python"), Track("generation", "java")


def table(seed: int, n: int = 40, **constant: float) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    columns = {
        "id": [f"problem-{i}" for i in range(n)],
        "part": ["near", "far"] * (n // 2),
        "pass@1": draw.integers(0, 2, n),
        "codebleu": draw.random(n).round(2),
        "bleu": draw.random(n).round(2),
        # Not compared: what describes an output, and the mean of other metrics.
        "finish_reason": ["stop"] * n,
        "empty_outputs": draw.integers(0, 2, n),
        "similarity": draw.random(n),
    }
    return pd.DataFrame(columns | {name: [value] * n for name, value in constant.items()})


def tables(tracks=(PYTHON, JAVA), **constant: float):
    return {
        cell.id: {track: table(10 * i + j, **constant) for j, track in enumerate(tracks)}
        for i, cell in enumerate(CELLS)
    }


def only(rows, **wanted):
    found = [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]
    assert len(found) == 1, f"{len(found)} rows for {wanted}"
    return found[0]


def test_every_metric_question_size_and_adjustment_is_one_row():
    rows = compare(CELLS, tables(), suite="embedded", seed=1)
    assert len(rows) == 2 * 2 * 2 * 2 * 3  # adjustments, questions, sizes, tracks, metrics
    assert len({(r.adjust, r.rq, r.size, r.language, r.metric) for r in rows}) == len(rows)
    assert {r.comparison for r in rows} == {"ST-QLoRA vs MT-QLoRA", "MT-QLoRA vs MT-FFT"}
    assert {r.test for r in rows if r.metric == "pass@1"} == {"mcnemar"}


def test_a_row_holds_what_the_pure_functions_say():
    data = tables()
    rows = compare(CELLS, data, suite="embedded", seed=1)
    a, b = data["mt-qlora-2b"][JAVA], data["mt-fft-2b"][JAVA]
    place = {"rq": "RQ2", "size": "2b", "language": "java", "adjust": "holm"}
    bleu = only(rows, metric="bleu", **place)
    assert bleu.p == statistics.wilcoxon(a.bleu, b.bleu).p
    assert bleu.effect == statistics.cliffs_delta(a.bleu, b.bleu)
    assert bleu.diff == pytest.approx(a.bleu.mean() - b.bleu.mean())
    assert bleu.ci_low < bleu.diff < bleu.ci_high
    passed = only(rows, metric="pass@1", **place)
    counts = statistics.discordant(a["pass@1"], b["pass@1"])
    assert (passed.a_only, passed.b_only) == counts
    assert passed.p == statistics.mcnemar(*counts).p
    assert passed.effect == statistics.odds_ratio(*counts)


@pytest.mark.parametrize("adjust", ["holm", "BH"])
def test_families_are_metrics_of_a_track_and_size_but_all_sizes_for_pass(adjust):
    rows = compare(CELLS, tables(), suite="embedded", seed=1)
    rows = [r for r in rows if r.adjust == adjust and r.rq == "RQ1"]
    passed = [r for r in rows if r.test == "mcnemar"]
    assert len(passed) == 4  # two sizes, two languages
    assert [r.p_adj for r in passed] == statistics.ADJUSTMENTS[adjust]([r.p for r in passed])
    family = [r for r in rows if (r.test, r.size, r.language) == ("wilcoxon", "1b", "java")]
    assert len(family) == 2
    assert [r.p_adj for r in family] == statistics.ADJUSTMENTS[adjust]([r.p for r in family])


def test_variants_of_a_metric_do_not_enlarge_a_family():
    data = tables()
    plain = compare(CELLS, data, suite="embedded", seed=1)
    for by_track in data.values():
        for frame in by_track.values():
            frame["bleu@published"] = frame["bleu"] / 2
            frame["pass@1@published"] = frame["pass@1"]
    both = compare(CELLS, data, suite="embedded", seed=1)
    assert [r for r in both if "published" not in r.metric] == plain


def test_problems_are_paired_by_id_whatever_their_order_and_the_rest_is_counted():
    data = tables()
    shuffled = data["mt-qlora-1b"][PYTHON].sample(frac=1, random_state=0)
    place = {"rq": "RQ1", "size": "1b", "language": "python", "adjust": "BH", "metric": "bleu"}
    before = only(compare(CELLS, data, suite="s", seed=1), **place)
    data["mt-qlora-1b"][PYTHON] = shuffled
    assert only(compare(CELLS, data, suite="s", seed=1), **place) == before
    assert (before.n_pairs, before.n_unpaired, before.n_missing) == (40, 0, 0)
    data["mt-qlora-1b"][PYTHON] = shuffled[shuffled.id != "problem-3"]
    data["st-qlora-1b"][PYTHON].loc[7, "bleu"] = np.nan
    row = only(compare(CELLS, data, suite="s", seed=1), **place)
    assert (row.n_pairs, row.n_unpaired, row.n_missing) == (38, 1, 1)


def test_what_is_not_defined_is_na_with_a_reason_and_outside_the_family():
    data = tables(hotspots=0.0)
    for frame in (data["st-qlora-1b"][PYTHON], data["mt-qlora-1b"][PYTHON]):
        frame["codebleu"] = np.nan
    rows = compare(CELLS, data, suite="embedded", seed=1)
    place = {"rq": "RQ1", "size": "1b", "language": "python", "adjust": "holm"}
    flat = only(rows, metric="hotspots", **place)
    assert (flat.p, flat.p_adj, flat.significant) == (None, None, None)
    assert (flat.effect, flat.ci_low, flat.reason) == (0, None, "all differences are zero")
    empty = only(rows, metric="codebleu", **place)
    assert (empty.n_pairs, empty.n_missing, empty.mean_a, empty.effect) == (0, 40, None, None)
    assert empty.reason == "too few pairs: 0, at least 6 are needed"
    alone = only(rows, metric="bleu", **place)
    assert alone.p_adj == alone.p


def test_five_pairs_are_too_few_for_a_verdict():
    data = {
        cell.id: {PYTHON: table(i).head(5 if cell.size == "1b" else 6)}
        for i, cell in enumerate(CELLS)
    }
    rows = compare(CELLS, data, suite="s", seed=1)
    assert {r.p is None for r in rows if r.size == "1b"} == {True}
    assert {r.p is None for r in rows if r.size == "2b"} == {False}


def test_a_cell_without_scores_gives_na_rows_that_name_it():
    data = tables()
    del data["mt-fft-2b"]
    rows = compare(CELLS, data, suite="embedded", seed=1)
    lost = [r for r in rows if r.rq == "RQ2" and r.size == "2b"]
    assert len(lost) == 2 * 2 * 3
    assert {r.reason for r in lost} == {"not scored for mt-fft-2b"}
    assert all(r.p is None and r.mean_b is None and r.n_pairs == 0 for r in lost)
    assert all(r.p is not None for r in rows if r.rq == "RQ1")


def test_a_fraction_of_passes_is_no_mcnemar_test():
    data = tables()
    data["st-qlora-1b"][JAVA]["pass@1"] = 0.5
    row = only(
        compare(CELLS, data, suite="s", seed=1),
        rq="RQ1",
        size="1b",
        language="java",
        metric="pass@1",
        adjust="BH",
    )
    assert (row.p, row.a_only) == (None, None)
    assert row.reason.startswith("several outputs per problem")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda t: t.drop(columns="id"), "no column 'id'"),
        (lambda t: pd.concat([t, t.head(1)]), "id 'problem-0' occurs twice"),
        (lambda t: t.assign(bleu="high"), "column 'bleu' holds text"),
    ],
)
def test_a_broken_table_names_the_cell_and_the_track(spoil, problem):
    data = tables()
    data["mt-fft-1b"][JAVA] = spoil(data["mt-fft-1b"][JAVA])
    with pytest.raises(DataError, match=problem) as error:
        compare(CELLS, data, suite="s", seed=1)
    assert "mt-fft-1b: scores of generation/java" in error.value.problem


def test_a_grid_without_a_method_has_no_rows_of_its_question():
    cells = [cell for cell in CELLS if cell.method != "st-qlora"]
    assert {r.rq for r in compare(cells, tables(), suite="s", seed=1)} == {"RQ2"}
    assert compare(CELLS, {}, suite="s", seed=1) == []


def test_the_file_has_the_published_columns_and_no_number_for_na():
    data = tables(tracks=TRACKS[:1], flat=1.0)
    rows = compare(CELLS, data, suite="embedded", seed=1)
    text = to_csv(rows)
    read = list(csv.DictReader(io.StringIO(text)))
    published = "rq,task,language,size,comparison,metric,test,adjust,p_adj,effect_name,effect"
    assert text.startswith(published + ",significant,a_only,b_only,n_pairs,")
    assert tuple(read[0]) == COLUMNS
    assert len(read) == len(rows)
    for row, line in zip(rows, read, strict=True):
        assert (line["p_adj"] == "NA") == (row.p_adj is None) == (line["significant"] == "NA")
        assert (line["a_only"] == "") == (row.test == "wilcoxon")
        if row.p_adj is not None:
            assert float(line["p_adj"]) == pytest.approx(row.p_adj, rel=1e-9)
            assert line["significant"] in ("Yes", "No")
    assert set(QUESTIONS) == {line["rq"] for line in read}
    assert compare(CELLS, data, suite="embedded", seed=1) == rows


RQ3_CELLS = expand(
    ["1b", "2b"],
    METHODS,
    TASKS,
    [
        ("mt-qlora", "2b", ["generation", "translation"]),
        ("mt-qlora", "2b", ["generation", "summarization"]),
    ],
)
TEXT = Track("summarization", "python")


def test_three_tasks_are_set_against_two_where_the_grid_has_them():
    data = {
        cell.id: {
            track: table(10 * i + j)
            for j, track in enumerate((PYTHON, JAVA, TEXT))
            if any(track.task in model.tasks for model in cell.models)
        }
        for i, cell in enumerate(RQ3_CELLS)
    }
    rows = compare(RQ3_CELLS, data, suite="embedded", seed=1)
    mixed = [row for row in rows if row.rq == "RQ3" and row.adjust == "holm"]
    assert {row.size for row in mixed} == {"2b"}
    assert {(row.comparison, row.task) for row in mixed} == {
        ("MT-QLoRA vs MT-QLoRA, generation + translation", "generation"),
        ("MT-QLoRA vs MT-QLoRA, generation + summarization", "generation"),
        ("MT-QLoRA vs MT-QLoRA, generation + summarization", "summarization"),
    }
    # The published RQ3 adjusts its four comparisons of pass@1 together.
    passed = [row for row in mixed if row.metric == "pass@1" and row.task == "generation"]
    assert len(passed) == 4
    assert len({row.family for row in passed}) == 1
    whole, two = (data[name][PYTHON] for name in ("mt-qlora-2b", RQ3_CELLS[-1].id))
    row = only(mixed, metric="codebleu", language="python",
               comparison="MT-QLoRA vs MT-QLoRA, generation + summarization",
               task="generation")  # fmt: skip
    assert row.mean_a == pytest.approx(whole["codebleu"].mean())
    assert row.mean_b == pytest.approx(two["codebleu"].mean())


def test_the_other_questions_do_not_see_the_mixtures():
    data = tables()
    plain = compare(CELLS, data, suite="embedded", seed=1)
    with_mixtures = compare(RQ3_CELLS, data, suite="embedded", seed=1)
    assert [row for row in with_mixtures if row.rq != "RQ3"] == plain
    reasons = {row.reason for row in with_mixtures if row.rq == "RQ3"}
    assert all(reason.startswith("not scored for mt-qlora-2b-") for reason in reasons)
