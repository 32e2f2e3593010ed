"""The tables of scores: deltas, marks, bold, and nulls that say why."""

from __future__ import annotations

import dataclasses

import pytest

from bench.records import TRACKS, Track
from bench.report import scoreboard
from bench.report.labels import Key
from tests.fabricated_run import SMOKE, reported

SUITES = ["embedded"]


@pytest.fixture(scope="module")
def run():
    content, rows, _ = reported("mt-fft-6m")
    return content, rows, scoreboard.gather(content, rows, SUITES)


def cell(table, group, row, column):
    rows = next(g.rows for g in table.groups if g.label == group)
    return next(r.cells[column] for r in rows if r.label == row)


def test_a_delta_is_the_difference_of_the_values_beside_it(run):
    content, rows, scores = run
    main, _ = scoreboard.track_tables(scores, Track("generation", "python"))
    values = {
        c["method"]: c["metrics"]["generation/python/codebleu"]
        for c in content["cells"]
        if c["size"] == "2m"
    }
    shown = cell(main, "CodeBLEU", "MT-FFT", 1)
    assert shown.text == f"{100 * values['mt-fft']:.2f}"
    assert shown.delta == f"+{100 * (values['mt-fft'] - values['mt-qlora']):.2f}"
    test = next(
        r
        for r in rows
        if (r.rq, r.size, r.language, r.task) == ("RQ2", "2m", "python", "generation")
        and (r.metric, r.adjust) == ("codebleu", "holm")
    )
    assert test.p_adj < 0.001
    assert (shown.mark, shown.tone, shown.best) == ("***", "better", True)
    assert cell(main, "CodeBLEU", "zero-shot", 1).delta == ""
    assert cell(main, "CodeBLEU", "ST-QLoRA", 1).delta == ""


def test_significance_is_after_holm_and_its_colour_follows_the_direction(run):
    scores = run[2]
    for track in TRACKS:
        for table in scoreboard.track_tables(scores, track):
            for group in table.groups:
                for row in group.rows:
                    for shown in row.cells:
                        assert not shown.tone or shown.mark
                        if shown.tone and not table.detail:
                            assert (shown.delta[0] == "+") == (shown.tone == "better")
    worse = dict(scores.tests)
    place = ("RQ1", "2m", "generation/python/lizard_ccn")
    worse[place] = dataclasses.replace(worse[place], p_adj=0.01, significant=True)
    spoilt = dataclasses.replace(scores, tests=worse)
    _, detail = scoreboard.track_tables(spoilt, Track("generation", "python"))
    shown = cell(detail, "cyclomatic complexity (Lizard)", "MT-QLoRA", 1)
    assert (shown.mark, shown.tone) == ("*", "worse" if shown.delta[0] == "+" else "better")


def test_a_lost_cell_shows_dashes_with_one_note_and_never_zero(run):
    _, _, scores = run
    for track in TRACKS:
        for table in scoreboard.track_tables(scores, track):
            for group in table.groups:
                for row in group.rows:
                    if row.label == "MT-FFT":
                        lost = row.cells[2]
                        assert (lost.text, lost.delta) == ("–", "")
                        assert table.notes[lost.note - 1].startswith("train: oom")


def test_what_is_nowhere_measured_takes_one_row(run):
    _, _, scores = run
    main, _ = scoreboard.track_tables(scores, Track("translation", "java_cs"))
    groups = {group.label: group.rows for group in main.groups}
    assert [row.label for row in groups["pass@1"]] == ["all"]
    assert {shown.text for shown in groups["pass@1"][0].cells} == {"–"}
    assert main.notes[0] == "not run: no .NET runtime"
    assert "pass@1 · near" not in groups


def test_parts_of_pass_are_main_and_code_quality_is_detail(run):
    _, _, scores = run
    main, detail = scoreboard.track_tables(scores, Track("generation", "java"))
    assert [group.label for group in main.groups] == [
        "pass@1",
        "pass@1 · near",
        "pass@1 · far",
        "CodeBLEU",
        "chrF",
    ]
    assert detail.detail and not main.detail
    assert main.caption == "suite embedded, 30 problems"
    assert "cyclomatic complexity (Lizard)" in [group.label for group in detail.groups]


def test_equal_values_are_not_called_best(run):
    _, _, scores = run
    _, detail = scoreboard.track_tables(scores, Track("generation", "java"))
    rows = next(g.rows for g in detail.groups if g.label == "functions found (Lizard)")
    assert not any(shown.best for row in rows for shown in row.cells)


def test_a_mean_over_part_of_the_problems_is_footnoted(run):
    content, rows, _ = run
    spoilt = [
        cell | {"notes": cell["notes"] | {"generation/java/chrf": "2 of 30 outputs have no value"}}
        if cell["id"] == "mt-qlora-2m"
        else cell
        for cell in content["cells"]
    ]
    scores = scoreboard.gather(content | {"cells": spoilt}, rows, SUITES)
    main, _ = scoreboard.track_tables(scores, Track("generation", "java"))
    shown = cell(main, "chrF", "MT-QLoRA", 1)
    assert shown.text != "–" and main.notes[shown.note - 1] == scoreboard.PARTIAL


def test_the_comparison_of_another_suite_marks_that_suites_key(run):
    _, rows, _ = run
    row = next(r for r in rows if r.metric == "bleu")
    track = Track(row.task, row.language)
    other = dataclasses.replace(row, suite="humaneval", metric="bleu@published")
    assert scoreboard.test_key(row, {track: "embedded"}) == f"{track}/bleu"
    assert scoreboard.test_key(other, {track: "embedded"}) == f"{track}/bleu:humaneval@published"


def test_the_overview_compares_with_the_base_and_counts_no_partial_mean(run):
    _, _, scores = run
    table = scoreboard.overview(scores, SMOKE.tasks)
    assert [group.label for group in table.groups] == ["all tasks", *SMOKE.tasks]
    mean = scoreboard.mean_similarity(scores, "st-qlora", "2m", ["translation"])
    base = scoreboard.mean_similarity(scores, "base", "2m", ["translation"])
    shown = cell(table, "translation", "ST-QLoRA", 1)
    assert (shown.text, shown.delta) == (f"{100 * mean:.2f}", f"+{100 * (mean - base):.2f}")
    metrics = dict(scores.entries["st-qlora", "2m"].metrics)
    metrics["translation/cs_java/similarity"] = None
    entry = dataclasses.replace(scores.entries["st-qlora", "2m"], metrics=metrics)
    partial = dataclasses.replace(scores, entries={**scores.entries, ("st-qlora", "2m"): entry})
    assert scoreboard.mean_similarity(partial, "st-qlora", "2m", ["translation"]) is None


def test_verdicts_count_every_comparison_with_a_direction_once(run):
    _, rows, scores = run
    table = scoreboard.verdicts(scores)
    for group, question in zip(table.groups, ("RQ1", "RQ2"), strict=True):
        for row in group.rows:
            expected = [
                r
                for r in rows
                if (r.rq, r.size, r.adjust) == (question, row.label, "holm")
                and Key.parse(f"{r.task}/{r.language}/{r.metric}").metric.better
            ]
            assert sum(int(shown.text) for shown in row.cells) == len(expected)
    lost = table.groups[1].rows[2]
    assert [shown.text for shown in lost.cells[:3]] == ["0", "0", "0"]
