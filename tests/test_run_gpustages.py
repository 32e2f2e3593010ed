"""A stage with a GPU starts fresh, on that GPU alone; under an emulated CUDA build it computes.

The emulation is ``tests/fake_cuda``: it answers as a CUDA build of torch does, and computes
on the CPU.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.containers.engine import Engine
from bench.errors import MachineError
from bench.grid import store, study
from bench.grid.store import Store
from bench.records import Outcome, StageRecord
from bench.run import container, local, server
from bench.run.child import Task
from bench.run.container import Containers, Surroundings
from bench.run.job import Job
from bench.run.local import Local
from bench.run.outcomes import bare_record
from bench.run.slots import CPU, Slot
from tests.fake_gpus import GB, NAME, install
from tests.test_run_local import until_exit

OWNER, KEY = "cells/mt-qlora-tiny/multi-task", "a" * 64
TINY = Path(__file__).parent / "studies" / "tiny.toml"
NAMES = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "TORCH_DISABLE_NATIVE_JIT",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "RAYON_NUM_THREADS",
)
STAGES = """
import os, sys
from bench.run.job import StageResult

def tell(job, work, meter, progress):
    told = {"loaded": [name for name in ("torch", "bitsandbytes") if name in sys.modules]}
    told |= {"preloaded": "wsgiref" in sys.modules, "server": os.getppid()}
    return StageResult(details={**told, **{name: os.environ.get(name) for name in %r}})

def use(job, work, meter, progress):
    import torch
    torch.cuda.init()
    return StageResult(details={"count": torch.cuda.device_count()})

def look(job, work, meter, progress):
    import torch, bitsandbytes
    return StageResult(details={"cuda": torch.cuda.is_available()})
"""
INITIALISING = """
import sys, types
cuda = types.SimpleNamespace(is_initialized=lambda: True, _is_in_bad_fork=lambda: False)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda)
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    (tmp_path / "gpu_stages.py").write_text(STAGES % (NAMES,))
    (tmp_path / "initialising.py").write_text(INITIALISING)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Job(
        id=f"{OWNER}/train",
        stage="train",
        key=KEY,
        study=study.load(str(TINY)),
        cell="mt-qlora-tiny",
        method="mt-qlora",
        size="tiny",
        model="multi-task",
        tasks=("generation", "summarization", "translation"),
        inputs={},
    )


def run_on(executor: Local, job: Job, slot: Slot, folder: Path, function: str) -> StageRecord:
    results = Store(folder)
    job = dataclasses.replace(job, slot=slot)
    work, resumed = results.prepare(OWNER, "train", KEY)
    executor.start(Task(job, function, work, resumed), None)
    until_exit(executor, 900)
    record = store.read_record(work)
    assert record is not None
    assert record.outcome is Outcome.OK, (work / "log.txt").read_text()
    return record


def test_a_gpu_stage_gets_a_fresh_server_and_its_gpu_alone(job: Job, tmp_path: Path) -> None:
    with Local(preload=("wsgiref",)) as executor:
        slots = (Slot((2,), 3), Slot(("GPU-1a",), 1), CPU, CPU)
        told = [run_on(executor, job, slot, tmp_path / "run", "gpu_stages:tell") for slot in slots]
        assert set(executor._servers) == {1}  # the GPUs' have ended with their stages
    first, second, *rest = (record.details for record in told)
    assert {name: first[name] for name in NAMES} == {
        "CUDA_VISIBLE_DEVICES": "2",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "TORCH_DISABLE_NATIVE_JIT": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "RAYON_NUM_THREADS": "3",
    }
    assert first["slot"] == {"gpus": [2], "threads": 3}
    assert second["CUDA_VISIBLE_DEVICES"] == "GPU-1a"
    assert (first["loaded"], first["preloaded"]) == ([], False)
    for details in rest:
        assert details["CUDA_VISIBLE_DEVICES"] == ""
        assert details["preloaded"]
    assert len({details["server"] for details in (first, second, *rest)}) == 3


def test_a_server_that_has_initialised_cuda_forks_nothing(job: Job, tmp_path: Path) -> None:
    with (
        Local(preload=("initialising",)) as executor,
        pytest.raises(MachineError, match="CUDA was initialised before the stages were forked"),
    ):
        run_on(executor, job, CPU, tmp_path / "run", "gpu_stages:tell")


def test_the_check_lets_a_server_without_torch_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(server.sys.modules, "torch", raising=False)
    server.check_cuda()


@pytest.mark.slow
def test_what_is_preloaded_spoils_cuda_only_where_gpus_are_seen(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything in PRELOAD: hidden from the GPUs it forks well; before them it must not fork."""
    install(monkeypatch, tmp_path, 1)
    with Local() as executor:
        record = run_on(executor, job, CPU, tmp_path / "run", "gpu_stages:look")
        assert record.details["cuda"] is False
    seeing = {**local.environment(CPU), "CUDA_VISIBLE_DEVICES": "0"}
    monkeypatch.setattr(local, "environment", lambda _: seeing)
    with (
        Local() as executor,
        pytest.raises(MachineError, match="CUDA was initialised before the stages were forked"),
    ):
        run_on(executor, job, CPU, tmp_path / "run", "gpu_stages:look")


def test_a_fork_from_the_empty_server_can_initialise_cuda(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, 4)
    with Local() as executor:
        record = run_on(executor, job, Slot((3,), 1), tmp_path / "run", "gpu_stages:use")
    assert record.details["count"] == 1
    assert record.details["device"] == NAME


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A tiny base with random weights, as the stage ``base`` leaves one."""
    from tests.tiny_model import model, tokenizer

    folder = tmp_path / "base"
    model().save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    store.seal(folder, bare_record(KEY, "base", Outcome.OK, None))
    return {"base": folder}


def trained(job: Job, slot: Slot, folder: Path, inputs: dict[str, Path], **options: Any) -> Any:
    folder.mkdir()
    options = {"cache": str(folder / "cache"), "mirror": None, **options}
    job = dataclasses.replace(job, inputs=inputs, options=options)
    with Local(preload=()) as executor:
        return run_on(executor, job, slot, folder / "run", "bench.run.stages:train")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mt-qlora", "mt-fft"])
def test_of_four_devices_a_training_has_one_and_measures_it(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Path], method: str
) -> None:
    job = dataclasses.replace(job, method=method)
    plain = trained(job, CPU, tmp_path / "cpu", inputs)
    install(monkeypatch, tmp_path, 4, free_bytes=60 * GB)
    try:
        record = trained(job, Slot((2,), 2), tmp_path / "gpu", inputs)
    except AssertionError as error:
        # One run in six, while two others held the cores: what patches torch for the whole
        # process and the meter's thread, which asks it meanwhile, met. No product does that.
        print(error)
        record = trained(job, Slot((2,), 2), tmp_path / "again", inputs)
    assert plain.details["types"]["device"] == "cpu"
    assert record.details["types"]["device"] == "cuda"
    assert (plain.details["device"], record.details["device"]) == ("cpu", NAME)
    # One device: as many rows a step, and so as many steps and tokens, as on the CPU; but for
    # the padding, which is not computed there.
    for what in ("steps", "documents"):
        assert record.details[what] == plain.details[what]
    assert (record.tokens.real, record.tokens.trained) == (plain.tokens.real, plain.tokens.trained)
    assert record.tokens.real <= record.tokens.processed < plain.tokens.processed
    assert plain.peak_device_bytes is None
    assert record.peak_device_bytes > 0
    (training,) = (phase for phase in record.phases if phase.name == "train")
    assert training.device.device_wide_bytes == 25 * GB  # of its own device, by its UUID
    assert record.details["rows_cache"] == plain.details["rows_cache"] == "made"


@pytest.mark.slow
def test_a_training_that_sees_four_devices_is_refused(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Path]
) -> None:
    install(monkeypatch, tmp_path, 4)
    with pytest.raises(AssertionError, match="sees 4 GPUs"):
        trained(job, Slot((0, 1, 2, 3), 1), tmp_path / "gpu", inputs)


# containers


def containers(folder: Path, name: str = "podman") -> Containers:
    engine = Engine(name, name, "5.0", False, 2)  # type: ignore[arg-type]
    around = Surroundings([], {}, 1 << 30, 1.0, (folder / "cache" / "rows",))
    return Containers(engine, {"run": "run:1", "score": "score:1"}, folder, around)


def command(folder: Path, job: Job, slot: Slot, name: str = "podman") -> list[str]:
    made = containers(folder, name)
    task = Task(dataclasses.replace(job, slot=slot), "x:y", folder / OWNER / "train.partial", False)
    group = made._group(job.stage, task.work, slot)
    return made._engine.run_command(made._spec(group, task, folder / "control"))


def test_a_container_sees_its_gpu_alone_and_preloads_nothing(job: Job, tmp_path: Path) -> None:
    podman = command(tmp_path, job, Slot((2,), 4))
    assert "--device=nvidia.com/gpu=2" in podman
    assert not any("gpu=all" in one or "gpus=all" in one for one in podman)
    # Inside, the device that it has is the first.
    assert "--env=CUDA_VISIBLE_DEVICES=0" in podman
    assert "--cpus=4" in podman
    assert podman[-1].endswith("())")
    docker = command(tmp_path, job, Slot(("GPU-1a",)), "docker")
    assert "--gpus=device=GPU-1a" in docker
    assert "--env=CUDA_VISIBLE_DEVICES=0" in docker


def test_a_container_without_a_gpu_sees_none(job: Job, tmp_path: Path) -> None:
    plain = command(tmp_path, job, CPU)
    assert not any("nvidia" in one for one in plain)
    assert "--env=CUDA_VISIBLE_DEVICES=" in plain
    assert "'torch'" in plain[-1]


def test_only_trainings_may_write_the_shared_rows(job: Job, tmp_path: Path) -> None:
    rows = tmp_path / "cache" / "rows"
    mount = f"--mount=type=bind,src={rows},dst={rows}"
    assert mount in command(tmp_path, job, CPU)
    scoring = dataclasses.replace(job, stage="score")
    assert not any(str(rows) in one for one in command(tmp_path, scoring, CPU))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"torch": "2.13.0+cu128", "cuda": "12.8", "said": "no CUDA-capable device"},
            "can use none",
        ),
        ({"torch": "2.13.0+cpu"}, "is the CPU build"),
        (None, "cannot find CDI device"),
    ],
)
def test_an_engine_that_hands_over_no_gpu_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | None, words: str
) -> None:
    program = tmp_path / "podman"
    said = f"echo '{json.dumps(answer)}'" if answer else f"echo '{words}' >&2; exit 125"
    program.write_text(f"#!/bin/sh\n{said}\n")
    program.chmod(0o755)
    monkeypatch.setattr(container.gpuprobe, "signs", lambda: True)
    engine = Engine("podman", str(program), "5.0", False, 2)
    around = Surroundings([], {}, 1 << 30, 1.0)
    with pytest.raises(MachineError, match="in a container: ") as told:
        container.require_gpus(engine, "run:1", (0,), around)
    assert words in str(told.value)
    assert "--executor venv" in told.value.hint
    assert os.linesep not in str(told.value)
