"""What NVML tells of the devices that this process computes on: memory, energy, utilisation.

Each figure is over all devices that torch sees, by anyone who uses them, and None where the
driver or the device does not give it. ``cuda`` is ``torch.cuda``, handed in so that nothing
here imports torch or starts a device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_MISSING = "NVML is not installed"
_REFUSED = "the driver gives neither energy nor power"


class Devices:
    """The visible devices. Handles are looked up once, at the first question."""

    def __init__(self) -> None:
        self._handles: list[Any] | None = None
        self._lacks: str | None = None

    def used_bytes(self, cuda: Any) -> int | None:
        """Memory in use."""
        return self._summed(cuda, lambda nvml, one: int(nvml.nvmlDeviceGetMemoryInfo(one).used))

    def energy_j(self, cuda: Any) -> float | None:
        """Joules since the driver was loaded: a counter, where the device has one."""
        joules = self._summed(
            cuda, lambda nvml, one: nvml.nvmlDeviceGetTotalEnergyConsumption(one) / 1000
        )
        if joules is None and self._lacks is None:
            self._lacks = "the device has no energy counter"
        return joules

    def energy_lacks(self) -> str | None:
        """Why the counter could not be read; None where it could, or was never asked."""
        return self._lacks

    def power_w(self, cuda: Any) -> float | None:
        """Watts drawn now."""
        return self._summed(cuda, lambda nvml, one: nvml.nvmlDeviceGetPowerUsage(one) / 1000)

    def utilisation(self, cuda: Any) -> float | None:
        """The share of the last sampling period in which a kernel ran, 0 to 1: their mean."""
        total = self._summed(
            cuda, lambda nvml, one: nvml.nvmlDeviceGetUtilizationRates(one).gpu / 100
        )
        return None if total is None else total / max(1, len(self._handles or ()))

    def _summed(self, cuda: Any, ask: Callable[[Any, Any], float]) -> Any | None:
        try:
            import pynvml
        except ImportError:
            self._lacks = _MISSING
            return None
        try:
            if not self._handles:
                pynvml.nvmlInit()
                ids = [
                    f"GPU-{cuda.get_device_properties(index).uuid}"
                    for index in range(cuda.device_count())
                ]
                self._handles = [pynvml.nvmlDeviceGetHandleByUUID(name) for name in ids]
            told = [ask(pynvml, handle) for handle in self._handles]
            return sum(told) if told else None
        except (pynvml.NVMLError, AttributeError):  # AttributeError: a torch without uuid
            return None


class Usage:
    """Energy and utilisation from when this was made on: the counter's, else sampled power's."""

    def __init__(self, devices: Devices, cuda: Any) -> None:
        self._devices = devices
        self._cuda = cuda
        self._start_j = devices.energy_j(cuda)
        self._sampled_j = 0.0
        self._power: tuple[float, float] | None = None
        self._powered = False
        self._busy: list[float] = []

    def sample(self) -> None:
        """Take power (where there is no counter) and utilisation as they are now."""
        busy = self._devices.utilisation(self._cuda)
        if busy is not None:
            self._busy.append(busy)
        if self._start_j is not None:
            return
        watts, now_s = self._devices.power_w(self._cuda), time.perf_counter()
        if watts is None:
            self._power = None
            return
        if self._power is not None:
            before_w, before_s = self._power
            self._sampled_j += (before_w + watts) / 2 * (now_s - before_s)
            self._powered = True
        self._power = watts, now_s

    def energy(self) -> tuple[float | None, str]:
        """Joules so far and where they come from (``counter``, ``power samples``), or why none."""
        if self._start_j is not None:
            end_j = self._devices.energy_j(self._cuda)
            if end_j is not None:
                return end_j - self._start_j, "counter"
        if self._powered:
            return self._sampled_j, "power samples"
        lacks = self._devices.energy_lacks()
        return None, _MISSING if lacks == _MISSING else _REFUSED

    def utilisation(self) -> float | None:
        """The mean of the samples, 0 to 1."""
        return sum(self._busy) / len(self._busy) if self._busy else None
