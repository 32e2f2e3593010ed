"""What a user of partial reruns sees: which options go together, what is lacking, what is next."""

from __future__ import annotations

import shutil

import pytest

from bench import cli
from tests.fabricated_run import fabricate
from tests.tiny_run import STUDY, Place, executed, finished, undisturbed

__all__ = ["finished", "undisturbed"]


def run(capsys, *arguments):
    """The exit code, and all that was printed, of one command."""
    code = cli.main([*map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["--task", "translation"], "--task: of a file", "--generations FILE"),
        (["--study", "smoke", "--metric", "lizard"], "--metric: of a file", "leave them out"),
        (["--generations", "x", "--cells", "st-*"], "--cells a run", "the one or the other"),
        (["--generations", "x", "--from", "y"], "--from a run", "the one or the other"),
        (["--generations", "x"], "lacks --task, --language, --csv", "for example"),
        (["--generations", "x", "--task", "t", "--csv", "c"], "lacks --language", "for example"),
    ],
)
def test_a_file_and_a_run_are_two_things(capsys, arguments, problem, hint):
    code, _, err = run(capsys, "score", *arguments)
    lines = err.strip().splitlines()
    assert code == 2
    assert len(lines) == 2
    assert problem in lines[0]
    assert hint in lines[1]


@pytest.mark.parametrize("command", ["score", "generate", "report"])
def test_without_anything_stored_the_next_step_is_told(capsys, tmp_path, command):
    code, _, err = run(capsys, command, "--study", "smoke", "--results", tmp_path)
    assert code == 2
    assert "holds no stage of a run" in err
    assert "bench run --study smoke" in err
    assert "--from PATH" in err
    assert not list(tmp_path.iterdir()), "an empty run folder is left behind"


@pytest.mark.parametrize("command", ["score", "generate", "report", "run"])
def test_an_earlier_run_that_is_not_there_is_told(capsys, tmp_path, command):
    code, _, err = run(
        capsys, command, "--study", "smoke", "--results", tmp_path, "--from", tmp_path / "a.zip"
    )
    assert code == 3
    assert "a.zip: there is no such file or folder" in err


def test_what_cannot_be_scored_names_the_cell_the_stage_and_the_session(capsys, tmp_path):
    fabricate(tmp_path / "smoke")
    for owner in (*(tmp_path / "smoke/cells").glob("*/*"), *(tmp_path / "smoke/bases").iterdir()):
        shutil.rmtree(owner / "generate")
    code, _, err = run(
        capsys, "score", "--study", "smoke", "--results", tmp_path, "--cells", "st-qlora-2m"
    )
    assert code == 2
    told = "nothing can be scored: st-qlora-2m (generation, summarization, translation): "
    assert told + "no generations stored (stage generate)" in err
    assert "nox -s generate -- --study smoke --cells st-qlora-2m" in err


def test_a_report_of_an_archive_says_that_the_stages_were_adopted(capsys, tmp_path):
    fabricate(tmp_path / "before" / "smoke")
    packed = shutil.make_archive(tmp_path / "run", "zip", tmp_path / "before")
    arguments = ("--study", "smoke", "--results", tmp_path / "results", "--from", packed)
    code, out, _ = run(capsys, "report", *arguments)
    assert code == 0
    assert f"54 stages taken from {packed}" in out
    report = (tmp_path / "results" / "smoke" / "report.md").read_text()
    assert "Adopted: 54 stages are told as they lie" in report[:1500]


def test_the_plan_of_a_rerun_shows_what_is_adopted(capsys, tmp_path):
    fabricate(tmp_path / "smoke")
    arguments = ("--study", "smoke", "--results", tmp_path, "--cells", "mt-fft-2m")
    _, out, _ = run(capsys, "plan", "--start", "score", *arguments)
    assert "generate adopted" in " ".join(out.split())
    _, out, _ = run(capsys, "plan", *arguments)
    assert "adopted" not in out


@pytest.mark.slow
def test_scores_and_generations_are_made_again_from_what_is_stored(finished: Place, tmp_path):
    """Another learning rate makes every training stale; scoring still needs none of them."""
    own = tmp_path / "tiny.toml"
    text = STUDY.read_text()
    assert "learning_rate = " in text
    own.write_text(text.replace("learning_rate = ", "learning_rate = 0.9", 1))

    def again(command: str, *options: str) -> list[str]:
        before = finished.stamps()
        done = finished.execute("--study", str(own), *options, name=command)
        assert done.code == 0, done.said
        return executed(before, finished)

    outputs = finished.outputs()
    assert again("score") == [], "the same generations, the same scoring: done"
    model = "cells/mt-qlora-tiny/multi-task"
    shutil.rmtree(finished.run / model / "score")
    shutil.rmtree(finished.run / model / "train")
    assert again("score") == [f"{model}/score"]
    shutil.rmtree(finished.run / "cells/mt-fft-tiny/multi-task/generate")
    changed = again("generate", "--cells", "mt-fft-tiny")
    assert changed == ["cells/mt-fft-tiny/multi-task/generate"]
    made = {name: digest for name, digest in outputs.items() if f"{model}/train" not in name}
    assert finished.outputs() == made
