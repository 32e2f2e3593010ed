"""What the kit asks of NVIDIA's management library, answered for the devices of FAKE_GPUS."""

from __future__ import annotations

import json
import os
import types

_GPUS = json.loads(os.environ.get("FAKE_GPUS", "[]"))


class NVMLError(Exception):
    pass


def nvmlInit():
    pass


def nvmlSystemGetDriverVersion():
    return "575.57.08"


def nvmlDeviceGetCount():
    return len(_GPUS)


def nvmlDeviceGetHandleByIndex(index):
    return _GPUS[index]


def nvmlDeviceGetHandleByUUID(uuid):
    for gpu in _GPUS:
        if gpu["uuid"] == uuid:
            return gpu
    raise NVMLError(f"no device {uuid}")


def nvmlDeviceGetUUID(handle):
    return handle["uuid"]


def nvmlDeviceGetMemoryInfo(handle):
    total, free = handle["total_bytes"], handle["free_bytes"]
    return types.SimpleNamespace(total=total, free=free, used=total - free)


def nvmlDeviceGetComputeRunningProcesses(handle):
    return [
        types.SimpleNamespace(pid=pid, usedGpuMemory=used_bytes)
        for pid, used_bytes in handle.get("others", ())
    ]
