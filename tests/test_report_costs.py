"""The costs: sums over a cell's models, the highest peak, and charts of quality and cost."""

from __future__ import annotations

import copy

import pytest

from bench.report import costs, scoreboard
from tests.fabricated_run import SMOKE, printed, reported


@pytest.fixture
def run():
    content, rows, _ = reported("mt-fft-6m")
    content = copy.deepcopy(content)
    return content, scoreboard.gather(content, rows, ["embedded"])


def row_of(table, size, label):
    group = next(group for group in table.groups if group.label == size)
    return dict(
        zip(
            (column.label for column in table.columns),
            next(row.cells for row in group.rows if row.label == label),
            strict=True,
        )
    )


def test_single_task_models_are_summed_and_their_highest_peak_counts(run):
    content, scores = run
    single = next(cell for cell in content["cells"] if cell["id"] == "st-qlora-2m")
    train = [model["stages"][0] for model in single["models"]]
    train[1]["peak_rss_bytes"] = 900 * 2**20
    train[0]["wall_s"], train[1]["wall_s"], train[2]["wall_s"] = 10.0, 20.5, 5.0
    row = row_of(costs.cost_table(content, scores), "2m", "ST-QLoRA")
    assert row["wall s"].text == "35.5"
    assert row["RSS MiB"].text == "900"
    assert row["tokens trained"].text == "57.0k"
    assert row["device MiB"].text == "no GPU"
    assert (row["eval s"].text, row["save s"].text) == ("1.8", "0.6")


def test_a_missing_measurement_is_a_dash_with_the_reason_not_a_smaller_sum(run):
    content, scores = run
    single = next(cell for cell in content["cells"] if cell["id"] == "st-qlora-2m")
    single["models"][1]["stages"][0]["cpu_s"] = None
    table = costs.cost_table(content, scores)
    row = row_of(table, "2m", "ST-QLoRA")
    assert row["CPU s"].text == "–"
    assert table.notes[row["CPU s"].note - 1] == "not measured"
    lost = row_of(table, "6m", "MT-FFT")
    assert (lost["wall s"].text, lost["tokens real"].text) == ("12.5", "–")
    assert table.notes[lost["tokens real"].note - 1].startswith("train: oom")


def test_with_a_gpu_its_peak_is_shown(run):
    content, scores = run
    content["notes"] = {}
    for cell in content["cells"]:
        for model in cell["models"]:
            model["stages"][0]["peak_device_bytes"] = 3 * 2**30
    row = row_of(costs.cost_table(content, scores), "2m", "MT-FFT")
    assert row["device MiB"].text == "3\u2009072"
    time, memory = costs.charts(content, scores, SMOKE.tasks)
    assert "wall seconds" in time.x_label and "device" in memory.x_label
    assert {point.x for panel in memory.panels for point in panel.points} == {3072.0}


def test_steady_steps_are_told_under_each_setting_that_was_measured():
    content, rows, _ = reported(options=("published-cost",))
    table = costs.steady_table(content, scoreboard.gather(content, rows, ["embedded"]))
    labels = [row.label for row in table.groups[0].rows]
    assert labels == [
        "ST-QLoRA tuned",
        "MT-QLoRA tuned",
        "MT-QLoRA published",
        "MT-FFT tuned",
        "MT-FFT published",
    ]
    tuned, published = (row_of(table, "2m", f"MT-QLoRA {plan}") for plan in ("tuned", "published"))
    assert (tuned["rows at once"].text, published["rows at once"].text) == ("2", "1")
    assert (tuned["base"].text, published["base"].text) == ("copy", "4-bit")
    assert float(published["step s"].text) > float(tuned["step s"].text)
    assert tuned["MFU %"].text == tuned["kJ / Mtoken"].text == "no GPU"


def test_a_figure_that_is_bound_by_launches_is_marked(run):
    content, scores = run
    content["notes"] = {}
    cell = next(cell for cell in content["cells"] if cell["id"] == "mt-qlora-2m")
    stage = cell["models"][0]["stages"][0]
    stage["peak_device_bytes"] = 2**30
    stage["cost"] |= {"mfu": 0.056}
    stage["cost"]["steady"] |= {"device_idle_share": 0.9, "energy_j_per_step": 500.0}
    table = costs.steady_table(content, scores)
    row = row_of(table, "2m", "MT-QLoRA tuned")
    assert table.notes[row["step s"].note - 1].startswith("launch-bound")
    assert row["MFU %"].text == "5.6"
    assert row["kJ / Mtoken"].text == "1\u2009000.0"
    assert row["peak MiB"].text == "1\u2009024"
    assert [column.label for column in table.columns][2] == "slots / GPU s"


def test_a_training_without_steady_steps_says_why(run):
    content, scores = run
    cell = next(cell for cell in content["cells"] if cell["id"] == "mt-qlora-2m")
    cell["models"][0]["stages"][0]["cost"] |= {"steady": None, "steady_reason": "too few steps"}
    table = costs.steady_table(content, scores)
    row = row_of(table, "2m", "MT-QLoRA tuned")
    assert {cell.text for cell in row.values()} == {"–"}
    assert table.notes[row["step s"].note - 1] == "too few steps"


def test_the_tables_stay_within_a_terminal():
    report = reported(options=("published-cost",))[2]
    text = printed(report, 100).partition("Costs ─")[2].partition("Claims of")[0]
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("step") and text.count("MT-QLoRA published") == 3, "in one piece"


def test_charts_draw_each_method_and_name_the_absent_one(run):
    content, scores = run
    time, memory = costs.charts(content, scores, SMOKE.tasks)
    assert [panel.title for panel in time.panels] == ["0.5m", "2m", "6m"]
    assert [point.label for point in time.panels[0].points] == ["ST-QLoRA", "MT-QLoRA", "MT-FFT"]
    assert [panel.absent for panel in memory.panels] == [(), (), ("MT-FFT",)]
    assert all(panel.baseline < panel.points[0].y for panel in time.panels)


def test_the_summary_adds_up_every_stage(run):
    content, _ = run
    entries = [stage for base in content["bases"] for stage in base["stages"]]
    entries += [s for c in content["cells"] for m in c["models"] for s in m["stages"]]
    total = sum(stage["cpu_s"] or 0 for stage in entries)
    assert costs.summary(content).startswith(f"CPU seconds of all stages: {total:.0f} (base ")
