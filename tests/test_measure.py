"""The meter counts what a stage and everything below it used, phase by phase."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.measure import Meter, descendants, tree_cpu_s, tree_rss_bytes
from bench.records import DevicePeak, DeviceUse

MIB = 2**20
ROOT = Path(__file__).parents[1]


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def alone(test: Callable[[], None]) -> Callable[[], None]:
    """Run a test in a process of its own: what others left running or freed would count."""

    @functools.wraps(test)
    def run() -> None:
        code = f"from {test.__module__} import {test.__name__} as test; test.__wrapped__()"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return run


def python(code: str) -> subprocess.Popen[str]:
    """A Python that runs some code, says a line, and stays until its input closes."""
    code = f"import sys, time\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-S", "-c", code]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


@alone
def test_phases_have_their_own_time() -> None:
    with Meter(threads=2) as meter:
        with meter.phase("work"):
            burn(0.2)
        with meter.phase("wait"):
            time.sleep(0.2)
    work, wait = meter.phases
    assert (work.name, wait.name) == ("work", "wait")
    assert 0.2 <= work.cpu_s < 0.4
    assert wait.cpu_s < 0.1
    assert 0.2 <= wait.wall_s < 30
    assert meter.total is not None
    assert meter.total.cpu_s >= work.cpu_s + wait.cpu_s - 1e-6
    assert meter.total.wall_s >= work.wall_s + wait.wall_s
    assert work.contention == pytest.approx(work.wall_s * 2 / work.cpu_s)
    assert wait.contention is not None
    assert wait.contention > 4


@alone
def test_a_peak_belongs_to_its_phase() -> None:
    """The kernel's own mark: a peak far shorter than the sampling interval counts."""
    with Meter(threads=1, interval_s=60) as meter:
        with meter.phase("before"):
            pass
        with meter.phase("large"):
            block = bytearray(64 * MIB)
            del block
        with meter.phase("after"):
            pass
    before, large, after = (phase.peak_rss_bytes for phase in meter.phases)
    assert large - before > 50 * MIB
    assert after - before < 16 * MIB
    assert meter.total is not None
    assert meter.total.peak_rss_bytes == large


@alone
def test_processes_below_count() -> None:
    with Meter(threads=1, interval_s=0.02) as meter, meter.phase("child"):
        before = tree_rss_bytes(os.getpid())
        child = python(
            "block = bytearray(48 * 2**20)\nend = time.process_time() + 0.3\n"
            "while time.process_time() < end: pass"
        )
        time.sleep(0.1)
        assert [pid for pid, _ in descendants(os.getpid())] == [child.pid]
        child.communicate()
    (phase,) = meter.phases
    assert phase.peak_rss_bytes - before > 45 * MIB
    assert phase.cpu_s > 0.28


@alone
def test_time_of_a_live_process_below_is_counted_once() -> None:
    start = tree_cpu_s()
    child = python("end = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
    live = tree_cpu_s() - start
    child.communicate()
    reaped = tree_cpu_s() - start
    assert 0.28 < live < 1
    assert 0 <= reaped - live < 0.2


@alone
def test_a_child_before_its_exec_does_not_double_the_sum() -> None:
    """Between fork and exec a child shows its parent's memory as its own."""
    block = bytearray(32 * MIB)
    alone = tree_rss_bytes(os.getpid())
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        assert tree_rss_bytes(os.getpid()) - alone < 16 * MIB
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(pid, 0)
        del block


def test_a_phase_that_raises_is_kept() -> None:
    meter = Meter(threads=1)
    with pytest.raises(KeyError), meter, meter.phase("broken"):
        raise KeyError
    assert [phase.name for phase in meter.phases] == ["broken"]
    assert meter.total is not None


def test_a_phase_alone_measures_itself() -> None:
    meter = Meter(threads=1)
    with meter.phase("one"):
        pass
    with meter.phase("two"):
        pass
    assert [phase.name for phase in meter.phases] == ["one", "two"]


def test_phases_do_not_nest() -> None:
    with (
        Meter(threads=1) as meter,
        meter.phase("outer"),
        pytest.raises(RuntimeError, match="phase 'inner' inside another"),
        meter.phase("inner"),
    ):
        pass


def test_measuring_costs_little() -> None:
    start = time.process_time()
    for _ in range(100):
        tree_rss_bytes(os.getpid())
    assert (time.process_time() - start) / 100 < 0.005


class FakeCuda(types.SimpleNamespace):
    """Two devices; ``use`` moves what torch would report."""

    def __init__(self) -> None:
        super().__init__(allocated=[0, 0], synchronized=[], resets=0)

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def synchronize(self, index: int) -> None:
        self.synchronized.append(index)

    def max_memory_allocated(self, index: int) -> int:
        return int(self.allocated[index])

    def max_memory_reserved(self, index: int) -> int:
        return int(self.allocated[index]) * 2

    def reset_peak_memory_stats(self, index: int) -> None:
        self.resets += 1
        self.allocated[index] = 0


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=fake))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "pynvml", None)  # type: ignore[arg-type]
    return fake


def test_device_peaks_are_reset_per_phase_and_summed_over_devices(cuda: FakeCuda) -> None:
    with Meter(threads=1) as meter:
        with meter.phase("load"):
            cuda.allocated = [10, 20]
        with meter.phase("train"):
            cuda.allocated = [1, 2]
    load, train = meter.phases
    assert load.device == DevicePeak(30, 60, None)
    assert load.device_use == DeviceUse(None, "NVML is not installed", None)
    assert train.device == DevicePeak(3, 6, None)
    assert meter.total is not None
    assert meter.total.device == DevicePeak(30, 60, None)
    assert set(cuda.synchronized) == {0, 1}


@pytest.mark.parametrize("initialized", [True, False])
def test_an_unused_gpu_is_left_alone(monkeypatch: pytest.MonkeyPatch, initialized: bool) -> None:
    asked: list[str] = []
    ask: Callable[[], bool] = lambda: bool(asked.append("initialized"))  # noqa: E731
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=ask))
    if initialized:
        monkeypatch.setitem(sys.modules, "torch", torch)  # type: ignore[arg-type]
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    with Meter(threads=1) as meter, meter.phase("plan"):
        pass
    assert meter.phases[0].device is meter.phases[0].device_use is None
    assert bool(asked) == initialized


def test_energy_and_utilisation_are_those_of_the_phase(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    joules = [0.0]
    pynvml = types.SimpleNamespace(
        NVMLError=OSError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetMemoryInfo=lambda _name: types.SimpleNamespace(used=1),
        nvmlDeviceGetTotalEnergyConsumption=lambda _name: 1000 * joules[0],
        nvmlDeviceGetUtilizationRates=lambda _name: types.SimpleNamespace(gpu=80),
    )
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)  # type: ignore[arg-type]
    cuda.get_device_properties = lambda index: types.SimpleNamespace(uuid=str(index))
    with Meter(threads=1, interval_s=60) as meter:
        with meter.phase("load"):
            joules[0] += 5
        with meter.phase("train"):
            joules[0] += 100
    load, train = (phase.device_use for phase in meter.phases)
    assert load == DeviceUse(10.0, "counter", 0.8)  # of two devices
    assert train == DeviceUse(200.0, "counter", 0.8)
    assert meter.total is not None
    assert meter.total.device_use is not None
    assert meter.total.device_use.energy_j == 210.0


def test_device_wide_memory_is_asked_of_the_visible_devices(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NVMLError(Exception):
        pass

    used = {"GPU-a": 100, "GPU-b": 200, "GPU-other": 4000}
    pynvml = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetMemoryInfo=lambda name: types.SimpleNamespace(used=used[name]),
    )
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)  # type: ignore[arg-type]
    cuda.get_device_properties = lambda index: types.SimpleNamespace(uuid="ab"[index])
    with Meter(threads=1) as meter, meter.phase("train"):
        cuda.allocated = [10, 20]
    assert meter.phases[0].device == DevicePeak(30, 60, 300)

    def broken() -> None:
        raise NVMLError

    pynvml.nvmlInit = broken
    with Meter(threads=1) as meter, meter.phase("train"):
        pass
    assert meter.phases[0].device == DevicePeak(0, 0, None)
