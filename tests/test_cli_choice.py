"""A study is chosen for the cells that were asked for, and the reader learns which and why."""

from __future__ import annotations

import shutil

import pytest

from bench.cli.choice import choose
from bench.errors import BenchError


@pytest.fixture(params=[False, True], ids=["no GPU", "GPU"])
def has_gpu(request, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/x" if request.param else None)
    return request.param


def test_without_cells_it_is_the_default(has_gpu):
    study, why = choose(None, ())
    assert study.name == ("paper" if has_gpu else "smoke")
    assert "default" in why


def test_a_named_study_is_never_replaced(has_gpu):
    study, why = choose("smoke", (), ["mt-qlora-3b"])
    assert (study.name, why) == ("smoke", "as asked")


@pytest.mark.parametrize("cell", ["mt-qlora-3b", "mt-*-7b"])
def test_a_cell_of_the_paper_chooses_the_paper(has_gpu, cell):
    study, why = choose(None, (), [cell])
    assert study.name == "paper"
    assert ("default" in why) == has_gpu or f"it has {cell}" in why


def test_a_cell_of_several_studies_chooses_the_one_that_needs_nothing(has_gpu):
    study, why = choose(None, (), ["mt-qlora-2m"])
    assert study.name == "smoke"
    if has_gpu:
        assert "which the default study paper lacks" in why
        assert "--study mini" in why


def test_the_option_that_brings_a_cell_is_added_and_told(has_gpu):
    study, why = choose(None, (), ["mt-qlora-3b-generation-translation"])
    assert (study.name, study.with_) == ("paper", ("rq3",))
    assert "with its option rq3" in why
    study, _ = choose(None, ["rq3"], ["mt-qlora-3b-generation-translation"])
    assert (study.name, study.with_) == ("paper", ("rq3",))


def test_several_options_are_added_where_one_is_not_enough(has_gpu):
    study, _ = choose(None, (), ["mt-fft-0.5b", "mt-qlora-3b-generation-translation"])
    assert (study.name, study.with_) == ("paper", ("0.5b", "rq3"))


def test_a_cell_of_no_study_names_the_nearest_of_all(has_gpu):
    with pytest.raises(BenchError, match="unknown cell 'mt-qlora-3bb'") as told:
        choose(None, (), ["mt-qlora-3bb"])
    assert "did you mean: mt-qlora-3b" in told.value.hint


def test_a_pattern_names_the_nearest_cells(has_gpu):
    with pytest.raises(BenchError) as told:
        choose(None, (), ["mt-qlora-3mm*"])
    assert "did you mean" in told.value.hint
    assert "mt-qlora-" in told.value.hint


def test_cells_that_no_single_study_has_are_an_error_of_the_default(has_gpu):
    study, _ = choose(None, (), ["mt-qlora-3b", "mt-qlora-small"])
    assert study.name == ("paper" if has_gpu else "smoke")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('prompts = "correctd"', "prompts (FILE: prompts) 'correctd'"),
        (
            '[[suites]]\nname = "embedded"\nprompts = "kti"',
            "prompts (FILE: suites.0.prompts) 'kti'",
        ),
        ('[[suites]]\nname = "humanevil"', "suite (FILE: suites.0.name) 'humanevil'"),
        ('[data]\ncorpus = "embeded"', "corpus (FILE: data.corpus) 'embeded'"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_its_file_and_field(tmp_path, lines, told):
    file = tmp_path / "mine.toml"
    file.write_text(f'extends = "smoke"\nname = "mine"\nsummary = "mine"\n{lines}\n')
    with pytest.raises(BenchError) as error:
        choose(str(file), ())
    assert str(error.value).startswith(f"unknown {told.replace('FILE', str(file))}")
    assert error.value.hint
