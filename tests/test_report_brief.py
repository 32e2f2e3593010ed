"""The report of one screen: 40 lines at 80 columns whatever was run, and nothing untrue in them."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest
from rich.cells import cell_len

from bench.analysis.claims import Ruling
from bench.grid.study import expand
from bench.report import brief, briefterminal, content
from bench.report.document import Block, Cell, Column, Row
from tests.fabricated_run import SMOKE, briefly, reported

WIDTHS = (80, 140)
SMOKE_CELLS = expand(SMOKE)


def built(results, rows=(), verdicts=(), **changed):
    return content.build(results | changed, rows, SMOKE, verdicts)


def of_some(results, chosen):
    """Results with only some of the cells, and the bases of their sizes."""
    cells = [cell for cell in results["cells"] if chosen(cell)]
    sizes = {cell["size"] for cell in cells}
    bases = [base for base in results["bases"] if base["size"] in sizes]
    return results | {"cells": cells, "bases": bases}


def ended(results, outcome, reason, chosen=lambda cell: True):
    """Results in which the trainings of some cells ended otherwise, and nothing came of them."""
    found = copy.deepcopy(results)
    for cell in filter(chosen, found["cells"]):
        cell["metrics"] = dict.fromkeys(cell["metrics"])
        cell["notes"] = dict.fromkeys(cell["metrics"], f"train: {outcome}: {reason}")
        for model in cell["models"]:
            for place, stage in enumerate(model["stages"]):
                told = (outcome, reason) if place == 0 else ("skipped", f"train ended: {outcome}")
                stage["outcome"], stage["reason"] = told
                stage |= dict.fromkeys(("wall_s", "cpu_s", "peak_rss_bytes", "tokens", "cost"))
    return found


def more_sizes(results, count):
    """Results with so many sizes."""
    found = copy.deepcopy(results)
    for kind in ("cells", "bases"):
        found[kind] = [
            one | {"size": f"{size}.5b", "id": f"{one.get('method')}-{size}.5b"}
            for size in range(count)
            for one in found[kind]
            if one["size"] == "2m"
        ]
    return found


def few(**changed):
    """The invented results with something else in them, and their comparisons."""
    results, rows, _ = reported()
    return built(results, rows, **changed)


def of(change, *arguments):
    return built(change(reported()[0], *arguments))


def lost(outcome, reason):
    return lambda: of(ended, outcome, reason)


def with_a_third_question():
    results, rows, _ = reported()
    second = [row for row in rows if row.rq == "RQ2"]
    more = [dataclasses.replace(row, rq="RQ3", comparison="a vs b") for row in second]
    return built(results, [*rows, *more])


def on_a_gpu():
    found = copy.deepcopy(reported()[0])
    for owner in [*found["bases"], *(model for cell in found["cells"] for model in cell["models"])]:
        for stage in owner["stages"]:
            stage["peak_device_bytes"] = 80 * 2**30
    return built(found, devices={"NVIDIA H100": 8}, notes={})


NOTES = {"wall_s": "a warning " * 30, "provenance": "Mixed provenance: " + "code " * 60}
MACHINE = {"cpu": "A Processor of a Very Long Name " * 4, "cores": 2, "memory_bytes": 2**33}
#: Runs of every kind, by name.
RUNS = {
    "whole": lambda: reported()[2],
    "one cell lost": lambda: reported("mt-fft-6m")[2],
    "no claims": few,
    "one cell": lambda: of(of_some, lambda cell: cell["id"] == "mt-qlora-2m"),
    "one size": lambda: of(of_some, lambda cell: cell["size"] == "2m"),
    "no base": lambda: few(bases=[]),
    "nothing": lambda: of(of_some, lambda cell: False),
    "all failed": lost("failed", "RuntimeError: " + "a long reason " * 40),
    "a third question": with_a_third_question,
    "on a GPU": on_a_gpu,
    "never run": lost("skipped", "not run"),
    "mixed": lambda: few(notes=NOTES),
    "long names": lambda: few(provenance={"machine": MACHINE}),
    **{f"{count} sizes": lambda count=count: of(more_sizes, count) for count in (1, 4, 5, 9)},
}


@functools.cache
def run(name):
    return RUNS[name]()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_whatever_was_run_it_is_one_screen(name, width):
    lines = briefly(run(name), width)
    assert len(lines) <= briefterminal.LINES
    assert max(map(cell_len, lines)) <= width
    assert any("report.html" in line for line in lines)


@pytest.mark.parametrize("name", RUNS)
def test_a_long_path_has_its_lines_counted(name):
    lines = briefly(run(name), 80, f"/{'long-folder/' * 20}smoke")
    assert sum(max(1, -(-cell_len(line) // 80)) for line in lines) <= briefterminal.LINES


@pytest.mark.parametrize("width", [40, 60])
@pytest.mark.parametrize("name", RUNS)
def test_a_narrow_terminal_is_told_the_same_order(name, width):
    assert briefly(run(name), width)


def text(name, width=140):
    return "\n".join(briefly(run(name), width))


def test_each_block_names_the_reading_of_its_numbers():
    shown = text("whole")
    assert shown.count("corrected values") == 3
    assert "tuned setting" in shown


def test_the_best_of_a_column_has_a_mark_that_a_pipe_keeps():
    shown = text("one cell lost", 80)
    row = next(line for line in shown.splitlines() if line.startswith("  MT-FFT"))
    assert row.split() == ["MT-FFT", "52.16*", "17.78*", "61.59*", "27.78*", "–¹", "–¹"]
    assert "¹ train: oom: killed by the kernel" in shown


def test_what_a_lost_training_spent_is_not_its_cost():
    costs = text("one cell lost").partition("Training:")[2]
    row = next(line for line in costs.splitlines() if line.startswith("  MT-FFT"))
    assert row.split()[-2:] == ["oom", "–"]


def test_a_failure_is_told_with_its_reason_and_the_command_that_takes_it_up():
    shown = text("one cell lost", 80)
    assert "Failed (oom): MT-FFT 6m train: killed by the kernel for lack of memory" in shown
    assert "Again: nox -s reproduce -- --study smoke --cells mt-fft-6m" in shown
    assert "failed" not in text("whole").lower().replace("fail of", "")


def test_failures_alike_are_one_line():
    assert "and 13 more: RuntimeError" in text("all failed")
    assert "Failed: ST-QLoRA 0.5m generation train, " in text("all failed")
    assert "Not run: ST-QLoRA 0.5m generation train" in text("never run")


def test_what_was_not_measured_says_why():
    assert "Not measured: pass@1 of translation Java → C# (no .NET runtime)." in text("whole")
    assert "Not measured: train: failed: RuntimeError" not in text("whole")
    assert "0.00" not in text("nothing")
    assert "Not measured: nothing was scored." in text("nothing")
    assert "All stages: not measured." in text("nothing")


def test_a_question_that_a_run_does_not_ask_is_told():
    shown = text("one cell")
    assert "RQ1: MT-QLoRA against ST-QLoRA: not asked" in shown
    assert "None was asked of this run." in shown


def test_a_third_question_has_its_line():
    assert "RQ3: two tasks against all: better in 48 of 87" in text("a third question")


def test_on_a_gpu_the_costs_are_its_seconds_and_memory():
    shown = text("on a GPU")
    assert "Training: wall seconds, peak MiB of the GPU (tuned setting)" in shown
    assert "81 920" in shown.replace("\u2009", " ")
    assert "computed on 8 × NVIDIA H100" in shown


def test_the_largest_effect_is_one_of_the_comparisons():
    _, rows, report = reported()
    told = next(line for line in briefly(report, 200) if "RQ2" in line)
    significant = [
        row
        for row in rows
        if row.rq == "RQ2" and row.adjust == "holm" and row.significant and row.test == "wilcoxon"
    ]
    largest = max(significant, key=lambda row: abs(row.effect))
    assert f"{100 * largest.mean_a:.2f} → {100 * largest.mean_b:.2f}" in told
    assert largest.size in told
    assert f"Cliff's δ {-largest.effect:+.2f}" in told


@pytest.mark.parametrize("count", [4, 5, 9])
def test_the_largest_sizes_are_kept_where_there_is_no_room_and_the_others_named(count):
    lines = briefly(run(f"{count} sizes"), 80)
    shown = next(line for line in lines if "pass@1" in line and "similarity" not in line).split()
    assert f"{count - 1}.5b" in shown
    left_out = [f"{size}.5b" for size in range(count) if f"{size}.5b" not in shown]
    told = next((line for line in lines if "no room for" in line), "")
    assert all(size in told for size in left_out)


@pytest.mark.parametrize("ruling", list(Ruling))
def test_every_verdict_has_room_for_its_parts_at_80_columns(ruling):
    results, rows, _ = reported()
    verdicts = _verdicts(ruling)
    lines = briefly(built(results, rows, verdicts), 80)
    row = next(line for line in lines if "MT-QLoRA is as good as ST-QLoRA" in line)
    expected = "not measured" if ruling is Ruling.NOT_RUN else "of 9"
    assert row.strip().startswith(ruling.value.split()[0])
    assert expected in row or ruling is Ruling.DEPENDS


def _verdicts(ruling):
    from bench.analysis import claims
    from bench.report import claims as reported_claims
    from bench.report.labels import METRICS

    results = reported()[0]
    found = claims.decide(
        claims.load(metrics=METRICS), SMOKE_CELLS, {}, reported_claims.costs_of(results)
    )
    return [dataclasses.replace(one, verdict=ruling) for one in found]


def test_a_block_that_is_too_long_says_how_much_is_cut():
    rows = tuple(Row(f"row {place}", (Cell("text"),)) for place in range(9))
    block = Block("Title", 5, (Column("c", numeric=False),), rows)
    lines = [line.plain for line in briefterminal.render([*[block] * 9], 80)]
    assert lines[:4] == ["Title", "  row 0  text", "  row 1  text", "  row 2  text"]
    assert lines[4] == "  … and 6 more: see the whole report"


def test_nothing_needs_colour():
    report = reported()[2]
    for line in briefterminal.render((*report.brief, brief.where("r", SMOKE)), 80):
        for span in line.spans:
            if "bold" in str(span.style) and span.start:
                assert line.plain[span.start : span.end].rstrip().endswith(briefterminal.BEST)
