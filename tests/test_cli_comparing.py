"""``bench compare``: exit codes, one line for what cannot be compared, data for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import cli
from tests import compared_runs
from tests.compared_runs import TABLE, change, few, plant, worse


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: ``smoke``, an equal one, and a worse one."""
    folder = tmp_path_factory.mktemp("reports")
    smoke = few(compared_runs.run(folder / "smoke"))
    shutil.copytree(smoke, folder / "equal")
    plant(shutil.copytree(smoke, folder / "worse"), TABLE, worse)
    return folder


def test_equal_runs_end_with_0(reports, capsys):
    assert cli.main(["compare", str(reports / "smoke"), str(reports / "equal")]) == 0
    assert capsys.readouterr().out.startswith("No difference in any of ")


def test_a_worse_run_ends_with_1(reports, capsys):
    results = ["--results", str(reports)]
    assert cli.main(["compare", "smoke", "worse", *results]) == 1
    told = capsys.readouterr().out
    assert told.startswith("B is worse in 1 of ")
    assert "CodeBLEU" in told
    assert cli.main(["compare", "worse", "smoke", *results, "--full"]) == 0
    assert "  pylint" not in capsys.readouterr().out


def test_data_for_programs(reports, capsys):
    assert cli.main(["compare", str(reports / "smoke"), str(reports / "worse"), "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert (content["exit_code"], content["counts"]["worse"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["smoke", "nowhere"], "error: not comparable: nowhere: there is no such file"),
        (["smoke"], "error: neither B nor --published"),
        (["smoke", "equal", "--published"], "error: both B and --published"),
        (["smoke", "text"], "error: not comparable: "),
        (["smoke", "--published"], "error: not comparable: smoke has the suites embedded"),
    ],
)
def test_what_cannot_be_compared_ends_with_2_and_one_line(reports, capsys, arguments, told):
    (reports / "text").write_text("no archive")
    arguments = [str(reports / one) if one == "text" else one for one in arguments]
    assert cli.main(["compare", *arguments, "--results", str(reports)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    problem, hint = said.err.splitlines()
    assert problem.startswith(told)
    assert hint.startswith("  next: ")


def test_an_altered_value_is_named(reports, tmp_path, capsys):
    other = shutil.copytree(reports / "smoke", tmp_path / "altered")
    change(
        other,
        TABLE,
        lambda table: table.__setitem__("chrf", table["chrf"].replace(table["chrf"][3], 0.999)),
    )
    assert cli.main(["compare", str(reports / "smoke"), str(other)]) == 2
    told = capsys.readouterr().err
    assert "was altered" in told
    assert "problem_03 chrf" in told
    assert "→ 0.999" in told
