"""Which GPUs can be computed on: asked in a child, each refusal in one line with its remedy."""

from __future__ import annotations

import sys

import pytest

from bench.run import doctor, gpuprobe, provenance
from bench.run.gpuprobe import Found, OtherProcess
from tests.fake_gpus import GB, NAME, asked_anew, device, driver, found, install, uuid

__all__ = ["asked_anew"]  # a fixture
pytestmark = pytest.mark.usefixtures("asked_anew")


def test_each_gpu_is_told_and_a_kernel_has_run_on_it(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, 2, free_bytes=50 * GB, others=[(7, 3 * GB)])
    seen = gpuprobe.here()
    assert [one.uuid for one in seen.usable] == [uuid(0), uuid(1)]
    first = seen.devices[0]
    assert (first.name, first.total_bytes, first.free_bytes) == (NAME, 85 * GB, 50 * GB)
    assert (first.capability, first.others) == ("9.0", (OtherProcess(7, 3 * GB),))
    assert (seen.cuda, seen.driver) == ("12.8", "575.57.08")
    assert gpuprobe.problem(seen) is None
    # Nobody initialised CUDA here, nor even imported torch for it.
    assert "torch" not in sys.modules or not sys.modules["torch"].cuda.is_initialized()
    assert provenance.gpus()[1] == {
        "name": NAME,
        "memory_bytes": 85 * GB,
        "driver": "575.57.08",
    }
    check = doctor._gpu()
    assert check.ok
    assert "47 of 79 GiB free" in check.detail
    assert "a kernel ran" in check.detail
    assert "2 other processes" in check.detail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [("old-driver", "is too old"), ("broken-kernel", "no kernel image")],
)
def test_a_gpu_that_torch_cannot_use_is_none(monkeypatch, tmp_path, fault, words):
    install(monkeypatch, tmp_path, 1, fault)
    assert gpuprobe.here().usable == ()
    why = gpuprobe.problem(gpuprobe.here())
    assert why is not None
    assert words in why[0]
    assert provenance.gpus() == []
    assert [one["name"] for one in provenance.shown_gpus()] == [NAME]
    check = doctor._gpu()
    assert (check.ok, check.remedy) == (False, why[1])


@pytest.mark.slow
def test_a_cpu_build_beside_a_driver_is_named(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.version.cuda is not None:
        pytest.skip("needs the CPU build of torch")
    driver(monkeypatch, tmp_path)
    why = gpuprobe.problem(gpuprobe.here())
    assert why is not None
    assert "is the CPU build, though an NVIDIA driver is here" in why[0]
    assert "remove .venv" in why[1]


def test_without_any_sign_of_a_gpu_nobody_is_asked(monkeypatch):
    monkeypatch.setattr(gpuprobe, "signs", lambda: False)
    monkeypatch.setattr(gpuprobe.subprocess, "run", None)
    assert gpuprobe.here() == Found()
    assert gpuprobe.problem(Found()) is not None


@pytest.mark.parametrize(
    ("seen", "variables", "words", "remedy"),
    [
        (Found(said="no torch"), {}, "no torch", "remove .venv"),
        (Found("2.13.0+cpu"), {}, "is the CPU build", "remove .venv"),
        (
            Found("2.13.0+cu128", "12.8", "470.1", said="too old"),
            {},
            "torch 2.13.0+cu128 (CUDA 12.8) can use none with the driver 470.1: too old",
            "update the NVIDIA driver",
        ),
        (found(device(problem="wrong")), {}, "no kernel runs on it (wrong)", "nvidia-smi -q"),
        (found(), {"CUDA_VISIBLE_DEVICES": ""}, "hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
        (found(), {"CUDA_VISIBLE_DEVICES": "-1"}, "hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
    ],
)
def test_each_reason_has_its_remedy(monkeypatch, seen, variables, words, remedy):
    monkeypatch.setattr(gpuprobe, "signs", lambda: True)
    why = gpuprobe.problem(seen, variables)
    assert why is not None
    assert words in why[0]
    assert remedy in why[1]
    assert "\n" not in "".join(why)


@pytest.mark.parametrize(
    ("shown", "names"),
    [(None, [0, 1]), ("1,0", [1, 0]), (uuid(1), [1]), ("", []), ("1,9,0", [1])],
)
def test_where_torch_is_absent_the_driver_is_asked(monkeypatch, tmp_path, shown, names):
    """Outside containers it need not be there; inside one a kernel is run before a stage."""
    driver(monkeypatch, tmp_path)
    lines = "".join(f"{uuid(index)}, {NAME}, 81559, 80000\n" for index in (0, 1))
    (tmp_path / "programs" / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    assert gpuprobe._shown({} if shown is None else {gpuprobe.VISIBLE: shown}) == tuple(
        device(index, total_bytes=81559 << 20, free_bytes=80000 << 20, capability="")
        for index in names
    )


def test_a_torch_that_cannot_be_loaded_is_said_to_be_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    seen = gpuprobe.look()
    assert seen.absent
    assert "torch" in seen.said
    assert not Found(said="it crashed").absent


@pytest.mark.parametrize("stdout", ["", "no json", '{"devices": 3}'])
def test_a_probe_that_dies_is_told_by_its_last_words(stdout):
    assert gpuprobe.read(stdout, "a\nSegmentation fault\n").said == "Segmentation fault"
    assert gpuprobe.read(stdout, "").said == "it ended without an answer"


def test_what_libraries_print_before_the_answer_does_no_harm():
    answer = '{"torch": "2.13.0", "cuda": null, "driver": null, "devices": [], "said": ""}'
    assert gpuprobe.read(f"hello\n{answer}\n", "").torch == "2.13.0"
