"""The claims in a run's report and in claims.json: nothing said that was not decided."""

from __future__ import annotations

import copy
import json

import pytest

from bench.analysis.claims import Cost
from bench.errors import MachineError
from bench.grid.study import HubBase
from bench.records import Track
from bench.report import claims, folder, page, results
from bench.report.publish import publish
from tests.fabricated_run import GOLDEN, SMOKE, fabricate, printed, reported

WORDS = {"supported", "contradicted", "inconclusive", "depends on the setting", "not run"}


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    run = folder.read(fabricate(tmp_path_factory.mktemp("run"), oom=("mt-fft-6m",)), SMOKE)
    summary = results.results(run)
    return summary, claims.of_run(run, summary, folder.tables(run))


@pytest.fixture(scope="module")
def section():
    report = reported("mt-fft-6m")[2]
    return next(part for part in report.sections if part.title == claims.TITLE)


def test_tiny_bases_are_said_to_prove_no_quality_and_real_ones_are_not(decided, section):
    assert section.text[0] == claims.NOT_QUALITY
    real = tuple(
        HubBase(kind="hub", name=base.name, repository="a/b", revision="0" * 40)
        for base in SMOKE.sizes
    )
    study = SMOKE.model_copy(update={"sizes": real})
    assert claims.NOT_QUALITY not in claims.of_study(decided[1], study).text


def test_each_claim_is_a_sentence_and_a_group_of_the_table(decided, section):
    whole = [verdict for verdict in decided[1] if verdict.whole]
    table, *details = section.tables
    assert [group.label for group in table.groups] == [verdict.label for verdict in whole]
    for verdict, group in zip(whole, table.groups, strict=True):
        assert f"{verdict.verdict.capitalize()}: {verdict.text}." in section.text
        assert (group.rows[0].label, group.rows[0].cells[0].text) == ("as a whole", verdict.verdict)
    assert [column.label for column in table.columns] == ["all sizes", "0.5m", "2m", "6m"]
    words = {cell.text for group in table.groups for row in group.rows for cell in row.cells}
    assert words <= WORDS | {""} and len(words) > 3
    assert all(detail.detail for detail in details) and len(details) == len(whole)


def test_the_table_holds_every_part_once(decided, section):
    parts = [verdict for verdict in decided[1] if not verdict.whole]
    cells = [c for group in section.tables[0].groups for row in group.rows for c in row.cells]
    filled = [cell for cell in cells if cell.text]
    assert len(filled) == len(parts) + 6
    assert sum(cell.best for cell in filled) == 6


def test_a_lost_cell_is_not_run_with_a_note_that_names_it(section):
    table = section.tables[0]
    group = next(group for group in table.groups if group.label == "MT-QLoRA against MT-FFT")
    lost = {row.label: row.cells[3] for row in group.rows if row.label != "as a whole"}
    assert {cell.text for cell in lost.values()} == {"not run"}
    assert "of mt-fft-6m" in table.notes[lost["generation"].note - 1]
    assert claims.NOT_SCORED in section.text


def test_the_evidence_shows_values_interval_limit_and_pairs(decided, section):
    table = next(table for table in section.tables if "single-task" in table.title)
    labels = [column.label for column in table.columns]
    assert labels[:2] == ["MT-QLoRA", "ST-QLoRA"]
    assert table.caption.startswith("Decided by: in every task")
    part = next(v for v in decided[1] if v.id == "mt-qlora-vs-st-qlora/summarization/2m")
    group = next(group for group in table.groups if group.label == "summarization at 2m")
    for row, shown in zip(part.evidence, group.rows, strict=True):
        cells = dict(zip(labels, (cell.text for cell in shown.cells), strict=True))
        assert cells["MT-QLoRA"] == f"{100 * row.values['mt-qlora-2m']:.2f}"
        assert cells["limit"] == "2.00" and cells["pairs"] == "30"
        assert cells["verdict"] == (row.finding.ruling if row.decides else "shown only")
        assert " … " in cells["95 % interval"]
    costs = next(table for table in section.tables if "resources" in table.title)
    cells = [cell.text for cell in costs.groups[0].rows[0].cells]
    assert costs.groups[0].rows[0].label == "CPU seconds a million tokens, as published"
    assert cells[-2:] == [
        "not run",
        "time of mt-qlora-0.5m, mt-fft-0.5m is not measured (add --with published-cost)",
    ]
    cells = [cell.text for cell in costs.groups[0].rows[1].cells]
    assert costs.groups[0].rows[1].label == "CPU seconds a million tokens, at its best setting"
    assert cells[2].endswith(" %") and cells[3] == "" and cells[4] == "10 %"


def test_the_json_says_the_same_as_the_verdicts(tmp_path, decided):
    fabricate(tmp_path)
    publish(tmp_path, SMOKE)
    content = json.loads((tmp_path / "claims.json").read_text())
    assert (content["schema"], content["study"]) == (1, "smoke")
    for claim in content["claims"]:
        assert {"id", "text", "verdict", "reason", "evidence"} <= set(claim)
        assert claim["verdict"] in WORDS and claim["reason"] and claim["variant"] == "corrected"
        for row in claim["evidence"]:
            assert row["verdict"] in WORDS or not row["decides"]
            if row["n_pairs"]:
                assert len(row["values"]) > 1
                assert row["ci_low"] is None or row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert [claim["id"] for claim in content["claims"]] == [v.id for v in decided[1]]
    assert claims.as_json(decided[1]) == json.loads(json.dumps(claims.as_json(decided[1])))


def test_a_failed_training_has_no_cost(decided):
    summary = decided[0]
    found = claims.costs_of(summary)
    assert found["mt-fft-6m"]["tuned"] == Cost(
        lacks={"": "train: oom: killed by the kernel for lack of memory"}
    )
    part = next(v for v in decided[1] if v.id == "qlora-needs-less/6m")
    assert part.verdict == "not run" and "killed by the kernel" in part.reason
    single = next(cell for cell in summary["cells"] if cell["id"] == "st-qlora-2m")
    cost = found["st-qlora-2m"]["tuned"]
    # 500 real tokens a step of 0.52 CPU seconds
    assert cost.cpu_s_per_mtoken == pytest.approx(2 * 0.26 * 1e6 / 500)
    assert cost.artifact_bytes == sum(model["artifact_bytes"] for model in single["models"])
    assert cost.wall_s_per_mtoken is cost.peak_device_bytes is None
    assert cost.lacks == {"energy": "no GPU", "mfu": "no GPU"}
    partial = copy.deepcopy(summary)
    partial["cells"][0]["models"][0]["artifact_bytes"] = None
    assert claims.costs_of(partial)["st-qlora-0.5m"]["tuned"].artifact_bytes is None


def test_the_measuring_arm_is_the_other_reading():
    summary, _, report = reported(options=("published-cost",))
    found = claims.costs_of(summary)["mt-qlora-2m"]
    assert found["published"].setting == "1 row at once, 4-bit base"
    assert found["tuned"].setting == "2 rows at once, dequantised base"
    # As invented, QLoRA is the cheaper as published, and not at the study's own setting.
    section = next(section for section in report.sections if section.title == claims.TITLE)
    assert any(line.startswith("Depends on the setting: QLoRA needs") for line in section.text)


def test_a_published_study_has_no_best_setting(decided):
    summary = copy.deepcopy(decided[0])
    for cell in summary["cells"]:
        for model in cell["models"]:
            if model["stages"][0]["cost"]:
                model["stages"][0]["cost"]["setting"]["plan"] = "published"
    found = claims.costs_of(summary)["mt-qlora-2m"]
    assert found["published"].cpu_s_per_mtoken
    assert found["tuned"] == Cost(lacks={"": 'the study says plan = "published"'})


def test_a_track_is_decided_by_its_first_suite():
    python, java = Track("generation", "python"), Track("generation", "java")
    tables = {
        "second": {"a": {python: "a2", java: "a2j"}, "b": {python: "b2"}},
        "first": {"a": {python: "a1"}, "b": {python: "b1"}},
    }
    assert claims.principal(tables, ["first", "second"]) == {
        "a": {python: "a1", java: "a2j"},
        "b": {python: "b1"},
    }


def test_a_run_without_scores_has_claims_that_were_not_run(tmp_path):
    report = publish(tmp_path, SMOKE)
    section = next(part for part in report.sections if part.title == claims.TITLE)
    found = {c.text for g in section.tables[0].groups for r in g.rows for c in r.cells}
    assert found == {"not run", ""}


def test_the_golden_pages_hold_the_section():
    markdown = (GOLDEN / "report.md").read_text(encoding="utf-8")
    text = markdown.partition(f"## {claims.TITLE}\n")[2].partition("\n## ")[0]
    assert "| *MT-QLoRA against ST-QLoRA* | | | | |" in text
    assert "No GPU, time or memory figure is published anywhere" in markdown
    terminal = (GOLDEN / "report-80.txt").read_text(encoding="utf-8")
    shown = terminal.partition(claims.TITLE)[2].partition("Published figures")[0]
    assert "this proves the pipeline, not quality" in shown
    assert "MT-QLoRA against ST-QLoRA" in shown and "95 % interval" not in shown


def test_the_verdicts_fit_80_columns_in_one_grid():
    text = printed(reported("mt-fft-6m")[2], 80)
    shown = text.partition(claims.TITLE)[2].partition("Published figures")[0]
    assert shown.count("MT-QLoRA against ST-QLoRA") == 1


def test_html_folds_the_evidence(section):
    html = page.html(reported("mt-fft-6m")[2])
    part = html.partition(f'<h2 id="{page.slug(claims.TITLE)}"')[2].partition("</section>")[0]
    assert part.index("Verdicts") < part.index("<details>") < part.index("Decided by")


def test_a_forbidden_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        claims.write(tmp_path / "file" / "claims.json", "smoke", [])
