"""NVML: figures over all visible devices, energy by counter or power, and why there is none."""

from __future__ import annotations

import sys
import types

import pytest

from bench import nvml
from bench.nvml import Devices, Usage


class NVMLError(Exception):
    pass


@pytest.fixture
def cuda():
    """Two visible devices."""
    return types.SimpleNamespace(
        device_count=lambda: 2,
        get_device_properties=lambda index: types.SimpleNamespace(uuid="ab"[index]),
    )


@pytest.fixture
def driver(monkeypatch):
    """A driver whose figures the tests set, by device; a missing one is not supported."""
    made = types.SimpleNamespace(energy_mj={}, power_mw={}, busy={})

    def ask(figures):
        def answer(name):
            if name not in figures:
                raise NVMLError
            return figures[name]

        return answer

    monkeypatch.setitem(
        sys.modules,
        "pynvml",
        types.SimpleNamespace(
            NVMLError=NVMLError,
            nvmlInit=lambda: None,
            nvmlDeviceGetHandleByUUID=lambda name: name,
            nvmlDeviceGetTotalEnergyConsumption=ask(made.energy_mj),
            nvmlDeviceGetPowerUsage=ask(made.power_mw),
            nvmlDeviceGetUtilizationRates=lambda name: types.SimpleNamespace(gpu=made.busy[name]),
        ),
    )
    return made


@pytest.fixture
def clock(monkeypatch):
    made = types.SimpleNamespace(now_s=0.0)
    made.perf_counter = lambda: made.now_s
    monkeypatch.setattr(nvml, "time", made)
    return made


def test_energy_is_the_counters_of_all_devices(cuda, driver):
    driver.energy_mj |= {"GPU-a": 1_000, "GPU-b": 2_000}
    driver.busy |= {"GPU-a": 50, "GPU-b": 100}
    usage = Usage(Devices(), cuda)
    usage.sample()
    driver.energy_mj |= {"GPU-a": 11_000, "GPU-b": 4_000}
    driver.busy |= {"GPU-a": 0, "GPU-b": 50}
    usage.sample()
    assert usage.energy() == (12.0, "counter")
    assert usage.utilisation() == pytest.approx((0.75 + 0.25) / 2)


def test_without_a_counter_power_is_integrated(cuda, driver, clock):
    driver.power_mw |= {"GPU-a": 100_000, "GPU-b": 200_000}
    driver.busy |= {"GPU-a": 1, "GPU-b": 1}
    usage = Usage(Devices(), cuda)
    usage.sample()
    clock.now_s = 2.0
    driver.power_mw["GPU-b"] = 400_000
    usage.sample()
    assert usage.energy() == (2 * (300 + 500) / 2, "power samples")


def test_no_figure_has_a_reason_and_is_never_zero(cuda, driver, monkeypatch):
    driver.busy |= {"GPU-a": 1, "GPU-b": 1}
    usage = Usage(Devices(), cuda)
    usage.sample()
    assert usage.energy() == (None, "the driver gives neither energy nor power")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    devices = Devices()
    usage = Usage(devices, cuda)
    usage.sample()
    assert usage.energy() == (None, "NVML is not installed")
    assert usage.utilisation() is None
    assert devices.energy_lacks() == "NVML is not installed"
