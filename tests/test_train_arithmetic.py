"""What models compute in on a CPU follows the switch, else the CPU's own abilities."""

from __future__ import annotations

import pytest

from bench.data.sources import ROOT
from bench.errors import MachineError
from bench.grid import keys, study
from bench.run import ingredients
from bench.train import arithmetic

CPUS = {
    "flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_tile": "bf16",
    "flags\t\t: fpu avx512f amx_bf16": "bf16",
    "flags\t\t: fpu sse2 avx2 avx512f avx512_vnni": "fp32",
    "model name\t: Processor avx512_bf16x": "fp32",
    "Features\t: fp asimd bf16": "fp32",
    "processor\t: 0": "fp32",
    "": "fp32",
}


@pytest.mark.parametrize("told", CPUS)
def test_it_is_what_the_cpu_multiplies(monkeypatch, tmp_path, told):
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(arithmetic, "_CPU", tmp_path / "cpuinfo")
    monkeypatch.delenv(arithmetic.VARIABLE, raising=False)
    assert arithmetic.on_cpu() == CPUS[told]
    for asked in ("fp32", "bf16"):
        monkeypatch.setenv(arithmetic.VARIABLE, asked)
        assert arithmetic.on_cpu() == asked


def test_a_system_that_tells_nothing_has_fp32(monkeypatch, tmp_path):
    monkeypatch.delenv(arithmetic.VARIABLE, raising=False)
    monkeypatch.setattr(arithmetic, "_CPU", tmp_path / "absent")
    assert arithmetic.on_cpu() == "fp32"
    (tmp_path / "odd").write_bytes(b"flags : \xff avx512_bf16")
    monkeypatch.setattr(arithmetic, "_CPU", tmp_path / "odd")
    assert arithmetic.on_cpu() == "bf16"


def test_what_is_none_is_refused(monkeypatch):
    monkeypatch.setenv(arithmetic.VARIABLE, "fp16")
    with pytest.raises(MachineError, match="BENCH_CPU_ARITHMETIC is 'fp16'") as caught:
        arithmetic.on_cpu()
    assert "bf16 or fp32" in caught.value.hint


def test_it_decides_the_keys_of_what_computes_and_of_nothing_else(monkeypatch):
    monkeypatch.setattr(keys, "sources", lambda *_: {})
    found = {}
    for asked in ("fp32", "bf16"):
        monkeypatch.setenv(arithmetic.VARIABLE, asked)
        found[asked] = ingredients.present(study.load("smoke"), ROOT, None).machine
    for stage in ("base", "train", "generate"):
        assert found["fp32"][stage] == {"arithmetic": "fp32"}
        assert found["bf16"][stage] == {"arithmetic": "bf16"}
    assert found["fp32"]["score"] == found["bf16"]["score"]
    assert found["fp32"]["embed"] == found["bf16"]["embed"]


def test_a_study_of_hub_models_is_planned_alike_on_every_cpu():
    assert arithmetic.deciding(study.load("paper")) == {}
