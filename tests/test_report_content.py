"""What a report says: its first line, its outcomes, and every comparison once."""

from __future__ import annotations

import dataclasses

import pytest

from bench.grid.study import HubBase
from bench.report import content, folder, results
from tests.fabricated_run import PROVENANCE, SMOKE, fabricate, reported


def section(report, title):
    return next(part for part in report.sections if part.title == title)


def test_the_first_line_says_what_ran_on_what_and_what_it_proves():
    report = reported()[2]
    assert report.lead[0] == (
        "Study smoke: 9 cells, 15 models · commit 0123456789 · Example CPU 3000, 2 cores, 8.0 GiB"
        " · no GPU · torch 2.13.0+cpu · proves the pipeline, not quality"
    )


def test_a_study_of_real_models_is_not_called_a_pipeline_check():
    results, rows, _ = reported()
    sizes = tuple(
        HubBase(kind="hub", name=base.name, repository="a/b", revision="0" * 40)
        for base in SMOKE.sizes
    )
    study = SMOKE.model_copy(update={"sizes": sizes})
    assert "pipeline" not in content.build(results, rows, study).lead[0]


def test_what_is_unknown_of_the_provenance_is_left_out():
    assert content.provenance_line({}) == []
    assert content.provenance_line({"git": None, "libraries": {"torch": None}}) == []
    gpus = [{"name": "Example GPU"}, {"name": "Example GPU"}]
    line = content.provenance_line(
        {
            "git": {"commit": "f" * 40, "dirty": True},
            "machine": PROVENANCE["machine"] | {"cpu": None, "gpus": gpus},
        }
    )
    assert line == ["commit ffffffffff (modified)", "2 cores, 8.0 GiB", "2 × Example GPU"]


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ({}, "NVIDIA H100"),  # an older run, whose stages do not say
        ({"NVIDIA H100": 1}, "computed on NVIDIA H100"),
        ({"NVIDIA H100": 2}, "computed on 2 × NVIDIA H100"),
        ({"NVIDIA H100": 1, "cpu": 1}, "computed on NVIDIA H100 and in part on the CPU"),
        ({"cpu": 1}, "computed on the CPU, though NVIDIA H100 is here"),
    ],
)
def test_the_device_that_computed_is_named_not_the_one_that_is_there(devices, told):
    machine = {"gpus": [], "gpus_shown": ["NVIDIA H100"]}
    assert content.provenance_line({"machine": machine}, devices)[-1] == told
    assert content.provenance_line({"machine": {"gpus": []}}, {"cpu": 1})[-1] == "no GPU"


def test_the_devices_are_those_that_the_stages_say(tmp_path):
    run = folder.read(fabricate(tmp_path), SMOKE)
    assert results.results(run)["devices"] == {}
    gpu = {"device": "NVIDIA H100"}
    told = {
        "train": [{**gpu, "slot": {"gpus": [number]}} for number in (0, 1)],
        "score": [{"device": "cpu", "slot": {"gpus": []}}] * 2,
    }
    records = dict(run.records)
    for stage, details in told.items():
        names = [name for name, one in records if one == stage and name.startswith("cells")]
        for name, one in zip(names, details, strict=False):
            record = records[name, stage]
            records[name, stage] = dataclasses.replace(record, details=one)
    assert results.results(dataclasses.replace(run, records=records))["devices"] == {
        "NVIDIA H100": 2
    }


def test_a_run_without_failures_says_so_in_one_line():
    outcomes = section(reported()[2], "Outcomes")
    assert (outcomes.text, outcomes.tables) == (("All 54 stages ended ok.",), ())


def test_a_failure_is_one_row_with_its_reason_and_the_next_command():
    outcomes = section(reported("mt-fft-6m")[2], "Outcomes")
    assert outcomes.text == ("51 of 54 stages ended ok.",)
    (row,) = outcomes.tables[0].groups[0].rows  # the stages after it are not listed
    assert row.label == "MT-FFT 6m train"
    assert [cell.text for cell in row.cells] == [
        "oom",
        "killed by the kernel for lack of memory",
        "nox -s reproduce -- --study smoke --cells mt-fft-6m",
    ]


def test_stages_that_never_ran_are_one_row_per_model():
    results, rows, _ = reported("mt-fft-6m")
    for stage in (cells := [dict(cell) for cell in results["cells"]]):
        if stage["id"] == "st-qlora-2m":
            stage["models"] = [
                model
                | {
                    "stages": [
                        entry | {"outcome": "skipped", "reason": "not run"}
                        for entry in model["stages"]
                    ]
                }
                for model in stage["models"]
            ]
    report = content.build(results | {"cells": cells}, rows, SMOKE)
    labels = [row.label for row in section(report, "Outcomes").tables[0].groups[0].rows]
    assert labels == [
        "ST-QLoRA 2m generation train",
        "ST-QLoRA 2m summarization train",
        "ST-QLoRA 2m translation train",
        "MT-FFT 6m train",
    ]


def test_every_comparison_is_listed_once_with_both_adjustments():
    _, rows, report = reported("mt-fft-6m")
    tables = section(report, "Every comparison").tables
    listed = [row for table in tables for group in table.groups for row in group.rows]
    assert len(listed) == len(rows) / 2
    assert len(tables) == 2 * 6
    first = next(r for r in rows if r.adjust == "holm")
    bh = next(
        r
        for r in rows
        if r.adjust == "BH"
        and dataclasses.replace(r, adjust="holm", p_adj=first.p_adj, significant=first.significant)
        == first
    )
    cells = [cell.text for cell in listed[0].cells]
    assert cells[5:8] == [content.p_value(p) for p in (first.p, first.p_adj, bh.p_adj)]


@pytest.mark.parametrize(("n_unpaired", "n_missing", "text"), [(0, 0, "30"), (2, 1, "30 (3 lost)")])
def test_pairs_that_were_lost_are_counted_beside_the_pairs(n_unpaired, n_missing, text):
    results, rows, _ = reported()
    rows = [dataclasses.replace(r, n_unpaired=n_unpaired, n_missing=n_missing) for r in rows]
    table = section(content.build(results, rows, SMOKE), "Every comparison").tables[0]
    assert table.groups[0].rows[0].cells[-1].text == text


def test_models_better_than_their_base_are_counted():
    glance = section(reported("mt-fft-6m")[2], "At a glance")
    assert glance.text[0].startswith("14 of 14 trained models")


def test_a_run_without_any_score_still_has_a_report():
    results, _, _ = reported()
    empty = [entry | {"metrics": {}, "notes": {}} for entry in results["cells"]]
    bases = [entry | {"metrics": {}, "notes": {}} for entry in results["bases"]]
    report = content.build(results | {"cells": empty, "bases": bases}, [], SMOKE)
    assert section(report, "Scores").tables == ()
    assert section(report, "Costs").charts == ()
