"""GPUs by the names of their driver; a disk by the folder that is to be made on it."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.grid import devices

FOUND = {"cpu": "x", "memory_bytes": 1, "gpus": []}


def here(folder, *gpus, gpu=None):
    seen = [{"name": name, "memory_bytes": size} for name, size in gpus]
    return devices.machine({**FOUND, "gpus": seen}, folder, folder / "a" / "b", gpu)


def test_the_smallest_gpu_counts(tmp_path):
    found = here(tmp_path, ("NVIDIA H200", 150), ("NVIDIA L4", 24))
    assert (found.gpu.name, found.gpu.memory_bytes) == ("NVIDIA L4", 24)
    assert found.gpu.limits.flops == 121e12
    assert here(tmp_path).gpu is None


def test_an_unknown_gpu_has_no_limits(tmp_path):
    found = here(tmp_path, ("NVIDIA GeForce GTX 970", 4)).gpu
    assert (found.limits, found.memory_bytes) == (None, 4)


def test_a_gpu_that_is_asked_for_comes_from_the_table(tmp_path):
    found = here(tmp_path, gpu="NVIDIA H200")
    assert found.imagined
    assert found.gpu.memory_bytes == 140 * 2**30
    with pytest.raises(BenchError, match="unknown GPU 'H200'") as told:
        here(tmp_path, gpu="H200")
    assert "NVIDIA H200" in told.value.hint


def test_every_listed_gpu_is_plausible():
    for name, row in devices._table().items():
        limits = devices.limits(name)
        assert name.startswith("NVIDIA ")
        assert 50e12 < limits.flops < 3000e12
        assert 200e9 < limits.bandwidth < 10_000e9
        assert 16 <= row["memory_gib"] <= 200


def test_a_folder_that_is_not_there_lies_on_its_parents_disk(tmp_path):
    found = here(tmp_path)
    assert found.cache.device == found.results.device == tmp_path.stat().st_dev
    assert found.cache.free_bytes > 0
    assert not (tmp_path / "a").exists()
