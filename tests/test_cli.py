"""What a user sees: one clear line for each mistake, the right exit code, nothing lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.grid import study

ROOT = Path(__file__).parents[1]


def run(capsys, *arguments):
    """The exit code, and all that was printed, of one command."""
    try:
        code = cli.main([*map(str, arguments)])
    except SystemExit as exit_:
        code = exit_.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_plan_lists_nine_cells_and_fifteen_models(capsys, tmp_path):
    code, out, _ = run(capsys, "plan", "--json", "--study", "smoke", "--results", tmp_path)
    plan = json.loads(out)
    assert code == 0
    assert plan["schema"] == 1
    assert len(plan["cells"]) == 9
    models = [model for cell in plan["cells"] for model in cell["models"]]
    assert len(models) == 15
    assert {stage["name"] for model in models for stage in model["stages"]} == {
        "train",
        "generate",
        "score",
    }
    assert {stage["state"] for model in models for stage in model["stages"]} == {"missing"}


def test_a_plan_for_people_names_the_study_and_why_first(capsys, tmp_path):
    code, out, _ = run(capsys, "plan", "--results", tmp_path, "--cells", "mt-*-2m")
    assert code == 0
    assert out.startswith("smoke (the default: no CUDA GPU is visible)") or "GPU" in out
    assert "mt-fft-2m" in out
    assert "mt-fft-6m" not in out


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["--study", "smok"], "unknown study 'smok'", "did you mean: smoke"),
        (["--study", "smoke", "--cells", "mt-qlora-3m"], "unknown cell 'mt-qlora-3m'", "mt-qlora-"),
        (["--study", "absent.toml"], "absent.toml: no such study file", "smoke"),
        (["--study", "mini"], "reads public files", "--mirror DIR"),
    ],
)
def test_a_mistake_is_told_in_two_lines(capsys, tmp_path, arguments, problem, hint):
    code, _, err = run(capsys, "run", "--results", tmp_path, *arguments)
    assert code != 0
    lines = err.strip().splitlines()
    assert len(lines) == 2
    assert problem in lines[0]
    assert hint in lines[1]


def test_what_a_user_types_is_printed_as_it_is(capsys, tmp_path):
    _, _, err = run(capsys, "plan", "--study", "[/x].toml")
    assert "[/x].toml" in err
    _, out, _ = run(capsys, "plan", "--results", tmp_path / "a[bold]")
    assert "a[bold]" in out


def test_a_number_of_jobs_is_a_number(capsys):
    code, _, err = run(capsys, "run", "--jobs", "many")
    assert code == 2
    assert "'many' is not a positive number" in err


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "long"])
def test_a_limit_that_is_no_time_is_refused(capsys, hours):
    code, _, err = run(capsys, "run", f"--stage-hours={hours}")
    assert code == 2
    assert f"'{hours}' is not a positive number of hours" in err


def test_an_unknown_option_is_told(capsys):
    code, _, err = run(capsys, "run", "--colour")
    assert code == 2
    assert "--colour" in err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("row_tokens = ", "row_tokens = -"), "row_tokens"),
        (('packing = "isolated"', 'packing = "tight"'), "packing"),
        (("seed = 42", "sead = 42"), "sead"),
        (("schema = 1", "schema = "), "TOML"),
    ],
)
def test_a_broken_study_file_names_the_field(capsys, tmp_path, change, told):
    file = tmp_path / "mine.toml"
    text = (study.STUDIES / "smoke.toml").read_text()
    assert change[0] in text
    file.write_text(text.replace(*change, 1))
    code, _, err = run(capsys, "plan", "--study", file, "--results", tmp_path)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_results_below_a_file_cannot_be_written(capsys, tmp_path):
    (tmp_path / "taken").write_text("not a folder")
    code, _, err = run(capsys, "run", "--study", "smoke", "--results", tmp_path / "taken")
    assert code == 4
    assert "taken" in err
    assert "next:" in err


def test_a_report_of_nothing_says_what_to_run(capsys, tmp_path):
    code, _, err = run(capsys, "report", "--study", "smoke", "--results", tmp_path)
    assert code == 2
    assert "run --study smoke" in err


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda file: file.unlink(), "lacks this file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "bytes"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"!"), "SHA-256"),
    ],
    ids=["missing", "truncated", "changed"],
)
def test_a_damaged_mirror_is_named_before_anything_runs(capsys, tmp_path, mirror, damage, told):
    copy = tmp_path / "mirror"
    shutil.copytree(mirror, copy)
    damage(copy / "mbpp" / "mbpp.jsonl")
    code, _, err = run(
        capsys, "run", "--study", "mini", "--mirror", copy, "--results", tmp_path / "runs"
    )
    assert code == 3
    assert "mbpp.jsonl" in err
    assert told in err
    assert not (tmp_path / "runs" / "mini" / "cells").exists()


def test_planning_imports_nothing_that_executes():
    code = (
        "import sys; from bench import cli; "
        f"cli.main(['plan', '--json', '--results', {str(ROOT / 'reports')!r}]); "
        "print(sorted({'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
