"""Machines with GPUs that are not there: the environment of ``tests/fake_cuda``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.run import gpuprobe
from bench.run.gpuprobe import Device, Found

GB = 10**9
NAME = "NVIDIA H100 80GB HBM3"
FAKE_CUDA = Path(__file__).parent / "fake_cuda"


def uuid(index: int) -> str:
    return f"GPU-{index:08d}-0000-0000-0000-000000000000"


def device(index: int = 0, **changes: object) -> Device:
    known = {"name": NAME, "uuid": uuid(index), "total_bytes": 85 * GB, "free_bytes": 84 * GB}
    return Device(**{**known, "capability": "9.0", **changes})  # type: ignore[arg-type]


def found(*devices: Device) -> Found:
    return Found("2.13.0+cu128", "12.8", "575.57.08", devices)


def install(
    patch: pytest.MonkeyPatch, folder: Path, count: int, fault: str = "", **changes: object
) -> None:
    """Have every process from here on find ``count`` GPUs, and an ``nvidia-smi``."""
    gpus = [
        {"name": NAME, "uuid": uuid(index), "total_bytes": 85 * GB, "free_bytes": 84 * GB}
        for index in range(count)
    ]
    patch.setenv("FAKE_GPUS", json.dumps([{**gpu, **changes} for gpu in gpus]))
    patch.setenv("FAKE_GPU_FAULT", fault)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE_CUDA), os.environ.get("PYTHONPATH", "")]))
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(patch, folder)


def driver(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have an ``nvidia-smi`` on the PATH that shows one GPU."""
    program = folder / "programs" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{NAME}, 81559, 575.57.08'\n")
    program.chmod(0o755)
    patch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    gpuprobe.here.cache_clear()


@pytest.fixture(autouse=False)
def asked_anew():
    """What was found is forgotten before and after a test."""
    gpuprobe.here.cache_clear()
    yield
    gpuprobe.here.cache_clear()
