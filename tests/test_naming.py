"""One name for a model everywhere, from whatever names it."""

from __future__ import annotations

import pytest

from bench import naming
from bench.grid import study
from tests.planned import stages_of


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("mt-qlora-2m", "mt-qlora", "2m", "multi-task"), "MT-QLoRA 2m"),
        (("st-qlora-2m", "st-qlora", "2m", "generation"), "ST-QLoRA 2m generation"),
        (("st-qlora-2m", "st-qlora", "2m"), "ST-QLoRA 2m"),
        (("mt-fft-1.5b", "mt-fft", "1.5b", "multi-task"), "MT-FFT 1.5b"),
        (
            ("mt-qlora-3b-generation-translation", "mt-qlora", "3b", "multi-task"),
            "MT-QLoRA 3b, generation + translation",
        ),
        ((None, None, "2m"), "base 2m"),
    ],
)
def test_a_model_is_called_by_its_method_and_size(arguments, name):
    assert naming.model(*arguments) == name


@pytest.mark.parametrize("options", [(), ("rq3",)])
def test_ids_in_a_text_become_the_names_of_their_stages(options, tmp_path):
    for stage in stages_of(study.load("paper", options), tmp_path):
        name = naming.model(stage.cell, stage.method, stage.size, stage.model)
        assert naming.stages(f"{stage.id} ended as oom") == f"{name} {stage.stage} ended as oom"


@pytest.mark.parametrize("text", ["", "no id", "/tmp/cells/a/b/c", "cells/other-2m/x/train"])
def test_other_text_stays_as_it_is(text):
    assert naming.stages(text) == text
