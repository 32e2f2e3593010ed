"""``bench reanalyse``: the same facts in terminal, Markdown and JSON; bad input told in lines."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from bench import cli
from bench.data import problems
from bench.errors import DataError
from bench.report import audits, folder, page, publish, reanalysis, terminal
from tests.amended import seal_again
from tests.fabricated_run import SMOKE, fabricate

ROW = (
    "rq",
    "task",
    "language",
    "size",
    "comparison",
    "metric",
    "adjust",
    "p_adj",
    "effect",
    "printed_p_adj",
    "printed_effect",
    "status",
    "corrected_p_adj",
    "corrected_effect",
    "note",
)


class Reanalysed(NamedTuple):
    """What the command said and wrote, and what it had found."""

    code: int
    said: str
    json: Path
    markdown: Path
    redone: reanalysis.Redone
    cpu_s: float


@pytest.fixture(scope="module")
def command(mirror, tmp_path_factory):
    """The command, given once: what it found serves the tests of every rendering."""
    folder = tmp_path_factory.mktemp("reanalysed")
    json_path, markdown_path = folder / "new" / "out.json", folder / "out.md"
    options = ["--json", str(json_path), "--markdown", str(markdown_path)]
    found, redo = [], reanalysis.redo
    started = time.process_time()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(reanalysis, "redo", lambda *given: found.append(redo(*given)) or found[0])
        code = cli.main(["reanalyse", "--mirror", str(mirror), *options])
    cpu_s = time.process_time() - started
    return Reanalysed(code, said.getvalue(), json_path, markdown_path, found[0], cpu_s)


@pytest.fixture(scope="module")
def redone(command):
    return command.redone


@pytest.fixture(scope="module")
def report(redone):
    return reanalysis.build(redone)


def shown(report, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.render(report))
    return console.file.getvalue()


def test_the_json_has_the_documented_schema(redone):
    content = json.loads(reanalysis.json_text(redone))
    assert set(content) == {"schema", "rows", "audits"} and content["schema"] == 1
    assert all(tuple(row) == ROW for row in content["rows"])
    assert all(set(one) == {"audit", "where", "count", "of", "detail"} for one in content["audits"])
    assert {row["status"] for row in content["rows"]} <= set(reanalysis.STATUSES)
    numbers = [name for name in ROW if name.endswith(("p_adj", "effect"))]
    assert all(isinstance(row[n], float | None) for row in content["rows"] for n in numbers)
    assert {"RQ1", "RQ2", "RQ3"} == {row["rq"] for row in content["rows"]}


def test_every_rendering_tells_what_was_reproduced_and_what_flips(redone, report):
    lead = "345 of the 345 rows with printed values and inputs are equal in every printed digit"
    markdown = page.markdown(report)
    assert redone.reproduced
    for text in (shown(report, 80), markdown):
        assert lead in " ".join(text.split())
        assert "read from its own track's files" in " ".join(text.split())
        assert "lost prefixes and stray openings" in " ".join(text.split())
    for flip in redone.analysis.flips:
        assert flip.row.metric.replace("_", "\\_") in markdown
    assert markdown.count("| equal |") == 346  # with the heading of the counts
    wide = [line for line in shown(report, 80).splitlines() if len(line) > 80]
    assert wide == []


def test_claims_on_both_readings_stand_in_the_report(report):
    titles = [section.title for section in report.sections]
    assert sum("Claims" in title for title in titles) == 2


def test_without_findings_the_section_says_so():
    section = audits.section(audits.Audited((), ("x: y",)))
    assert section.text == ("No audit found anything.", "Not audited: x: y.") and not section.tables


def test_the_command_writes_what_is_asked_for(command):
    assert command.code == 0
    assert len(json.loads(command.json.read_text())["rows"]) == 638
    assert command.markdown.read_text().startswith("# The published statistics")
    assert "345 of the 345 rows" in command.said
    assert command.cpu_s < 120


def test_an_absent_folder_is_one_line_with_the_next_step(tmp_path, capsys):
    for where in (tmp_path / "nowhere", tmp_path):
        assert cli.main(["reanalyse", "--mirror", str(where)]) == DataError.exit_code
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 2 and str(where) in told[0] and "next:" in told[1]


def small_mirror(mirror, tmp_path):
    """The package's Pylint and pass@1 values with the printed files of one question."""
    source, target = mirror / "paper_package", tmp_path / "paper_package"
    for tool in ("pylint", "pass1"):
        where = target / "per-instance-value" / tool
        shutil.copytree(source / "per-instance-value" / tool, where, copy_function=shutil.copyfile)
    (target / "r_outputs").mkdir()
    for path in (source / "r_outputs").glob("rq2_*_CLEAN.txt"):
        shutil.copyfile(path, target / "r_outputs" / path.name)
    return target


def test_broken_files_are_told_at_their_place_and_the_rest_goes_on(mirror, tmp_path, capsys):
    package = small_mirror(mirror, tmp_path)
    values = package / "per-instance-value" / "pylint" / "generation"
    broken = values / "r-pylint_cg_3b-mt-fft.csv"
    broken.write_text(broken.read_text().replace(",0,", ",none,", 1))
    (package / "r_outputs" / "rq2_cg_java_CLEAN.txt").write_text("disk full")
    code = cli.main(["reanalyse", "--mirror", str(tmp_path), "--json", str(tmp_path / "out.json")])
    assert code == 1
    content = json.loads((tmp_path / "out.json").read_text())
    unread = [one["where"] for one in content["audits"] if one["audit"] == "not read"]
    assert any("changed" in line and broken.name in line for line in unread)
    assert any("'none'" in line and f"{broken.name}:" in line for line in unread)
    assert any("holds no row" in line for line in unread)
    rows = {
        (row["size"], row["metric"]): row["status"]
        for row in content["rows"]
        if row["rq"] == "RQ2" and row["language"] == "python" and row["task"] == "generation"
    }
    assert rows["0.5B", "Pylint_Err"] == rows["1.5B", "Pylint_Conv"] == "equal"
    assert rows["0.5B", "pass@1"] == rows["3B", "pass@1"] == "equal"
    assert rows["0.5B", "Lizard_LoC"] == "inputs missing"
    assert "inputs missing" in {rows["3B", f"Pylint_{name}"] for name in ("Err", "War", "Conv")}
    told = " ".join(capsys.readouterr().out.split())
    assert "Not read" in told and "train/test overlap of translation" in told


@pytest.mark.slow
def test_outputs_are_audited_and_restored_where_they_are_given(mirror, tmp_path):
    source = mirror.parent / "golden" / "generated" / "translation" / "cs_java" / "3b_mt-qlora"
    if not source.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    outputs = tmp_path / "translation" / "cs_java"
    for method in ("mt-qlora", "mt-fft"):  # the same outputs twice: both sides are then restored
        (outputs / f"3b_{method}").mkdir(parents=True)
        lines = (source / "outputs.jsonl").read_text().splitlines()
        (outputs / f"3b_{method}" / "outputs.jsonl").write_text("\n".join(lines))
    redone = reanalysis.redo(mirror, tmp_path)
    found = {one.audit: one for one in redone.findings}
    assert (found["lost prefixes"].count, found["lost prefixes"].of) == (2 * 541, 2000)
    assert not any("lost prefixes" in told for told in redone.not_audited)
    [row] = [
        row
        for row in redone.analysis.rows
        if (row.rq, row.language, row.size, row.metric) == ("RQ2", "cs_java", "3B", "CodeBLEU")
    ]
    assert row.effect < -0.3 and row.corrected_effect == 0
    assert "CodeBLEU" not in {
        row.metric
        for row in redone.analysis.withheld
        if (row.rq, row.language) == ("RQ2", "cs_java")
    }


def test_a_run_of_the_kit_is_audited_too(tmp_path):
    fabricate(tmp_path)
    run = folder.read(tmp_path, SMOKE)
    audited = audits.of_run(run, folder.tables(run))
    assert {one.audit for one in audited.findings} == {"constant column"}
    assert audited.not_audited == ()
    path = tmp_path / "cells" / "mt-qlora-2m" / "multi-task" / "score"
    table = path / "embedded.generation-python.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:5], *lines[6:]]) + "\n")
    seal_again(path)
    report = publish.publish(tmp_path, SMOKE)
    [section] = [section for section in report.sections if section.title == audits.TITLE]
    assert "misaligned pairs (2)" in section.text[0]
    assert "misaligned pairs" in (tmp_path / "report.md").read_text()


def test_outputs_of_a_run_are_audited_where_they_are_left(tmp_path):
    fabricate(tmp_path)
    asked = problems.suite_problems(SMOKE.suites[0], SMOKE.tasks, None)
    stage = tmp_path / "cells" / "mt-fft-2m" / "multi-task" / "generate"
    lines = [
        {
            "id": problem.id,
            "suite": SMOKE.suites[0].label,
            "task": problem.track.task,
            "language": problem.track.language,
            "output": problem.reference[1:] if problem.track.language == "cs_java" else "",
        }
        for problem in asked
    ]
    (stage / audits.GENERATIONS).write_text("\n".join(map(json.dumps, lines)))
    seal_again(stage)
    run = folder.read(tmp_path, SMOKE)
    found = audits.of_run(run, folder.tables(run)).findings
    lost = [one for one in found if one.audit == "lost prefixes"]
    assert [one.where for one in lost] == ["translation/cs_java"] and lost[0].count > 20
    assert any(one.audit == "empty outputs" for one in found)
