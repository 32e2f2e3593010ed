"""Which GPUs torch can compute on here, found out in a process of its own.

``nvidia-smi`` shows what the driver sees. Whether torch can use it is another question: it
may be a build for CPUs, or built for a newer driver. Asking initialises CUDA, which then
survives no fork and takes device memory; so a child is asked, runs a kernel on each GPU,
checks its result, and ends.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

_TIMEOUT_S = 180
#: What is there where an NVIDIA driver is, WSL's included; without any nobody is asked.
_SIGNS = ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia/version")
_PROBE = (
    "import sys; sys.path[:] = {path!r}; from bench.run import gpuprobe; gpuprobe.print_found()"
)
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclasses.dataclass(frozen=True, slots=True)
class OtherProcess:
    """A process that computes on a GPU already; ``used_bytes`` None where the driver hides it."""

    pid: int
    used_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """A GPU that torch sees. ``problem`` says why a kernel did not run on it; None: it did."""

    name: str
    uuid: str | None
    total_bytes: int
    free_bytes: int
    capability: str
    problem: str | None = None
    others: tuple[OtherProcess, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What torch says of the GPUs that are visible to it.

    ``torch`` is its version, ``cuda`` that of the toolkit it was built for (None: a build for
    CPUs), ``said`` what it said when it found no GPU that it can use. ``absent``: torch is not
    installed, as it need not be outside containers; then the devices are those that
    ``nvidia-smi`` shows, and no kernel has run on them.
    """

    torch: str | None = None
    cuda: str | None = None
    driver: str | None = None
    devices: tuple[Device, ...] = ()
    said: str = ""
    absent: bool = False

    @property
    def usable(self) -> tuple[Device, ...]:
        """The GPUs on which a kernel ran."""
        return tuple(one for one in self.devices if one.problem is None)


_FOUND = pydantic.TypeAdapter(Found)


@functools.cache
def here() -> Found:
    """What is found on this machine, asked once a process."""
    if not signs():
        return Found()
    path = [str(Path(entry).resolve()) for entry in sys.path]
    order = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE.format(path=path)],
            env=order,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Found(said=f"torch did not answer within {_TIMEOUT_S} s")
    found = read(done.stdout, done.stderr)
    return dataclasses.replace(found, devices=_shown(os.environ)) if found.absent else found


def _shown(environment: Mapping[str, str]) -> tuple[Device, ...]:
    """The GPUs that ``nvidia-smi`` shows, without those that the caller hides."""
    query = "--query-gpu=uuid,name,memory.total,memory.free"
    try:
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    by_name: dict[str, Device] = {}
    for number, line in enumerate(done.stdout.strip().splitlines()):
        uuid, name, *sizes = (part.strip() for part in line.split(","))
        if len(sizes) == 2 and all(size.isdecimal() for size in sizes):
            total_bytes, free_bytes = (int(size) * 2**20 for size in sizes)
            device = Device(name, uuid, total_bytes, free_bytes, "")
            by_name |= {str(number): device, uuid: device}
    shown = environment.get(VISIBLE)
    if shown is None:
        return tuple(dict.fromkeys(by_name.values()))
    words = itertools.takewhile(by_name.__contains__, map(str.strip, shown.split(",")))
    return tuple(by_name[word] for word in words)


def read(stdout: str, stderr: str) -> Found:
    """What a probe has printed; libraries may have spoken before it."""
    last = (stdout.strip().splitlines() or [""])[-1]
    try:
        return _FOUND.validate_json(last)
    except pydantic.ValidationError:
        return Found(said=(stderr.strip().splitlines() or ["it ended without an answer"])[-1])


def signs() -> bool:
    """Whether anything speaks for an NVIDIA GPU."""
    return shutil.which("nvidia-smi") is not None or any(Path(one).exists() for one in _SIGNS)


def problem(found: Found, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Why no GPU can be used, and the remedy; None where one can."""
    if found.usable:
        return None
    if not signs():
        return (
            "this machine shows none",
            "run it where nvidia-smi finds one, or choose another study: --study smoke",
        )
    hidden = environment.get(VISIBLE)
    if hidden is not None and not found.devices and hidden.strip() in ("", "-1", "none"):
        return f"{VISIBLE}={hidden!r} hides every GPU", f"unset {VISIBLE}"
    rebuild = "remove .venv: the next nox session installs the CUDA build"
    if found.torch is None:
        return f"torch cannot be asked for one ({found.said or 'not installed'})", rebuild
    if found.cuda is None:
        return f"torch {found.torch} is the CPU build, though an NVIDIA driver is here", rebuild
    if not found.devices:
        said = f": {found.said}" if found.said else ""
        return (
            f"torch {found.torch} (CUDA {found.cuda}) can use none with the driver "
            f"{found.driver or 'that is here'}{said}",
            "update the NVIDIA driver; nvidia-smi names the newest CUDA that it serves",
        )
    first = found.devices[0]
    return f"{first.name}: no kernel runs on it ({first.problem})", "nvidia-smi -q tells its state"


def print_found() -> None:
    """Print what ``look`` finds as one line of JSON: the whole program of the child."""
    found = look()
    print(json.dumps(dataclasses.asdict(found)), flush=True)
    os._exit(0)  # nothing is left to do, and a driver's clean-up can hang


def look() -> Found:
    """Ask torch in this process, which initialises CUDA here."""
    driver, used = _nvml()  # before torch, whose context would count as another's memory
    try:
        import torch
    except ImportError as error:
        return Found(driver=driver, said=str(error), absent=True)
    version, cuda = str(torch.__version__), torch.version.cuda
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        words = str(said[0].message).strip().splitlines()[0] if said else ""
        return Found(version, cuda, driver, said=words)
    devices = tuple(_device(torch, index, used) for index in range(torch.cuda.device_count()))
    return Found(version, cuda, driver, devices)


@dataclasses.dataclass(frozen=True, slots=True)
class _Use:
    total_bytes: int
    free_bytes: int
    others: tuple[OtherProcess, ...]


def _device(torch: Any, index: int, used: Mapping[str, _Use]) -> Device:
    properties = torch.cuda.get_device_properties(index)
    uuid = getattr(properties, "uuid", None)
    uuid = None if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"
    use = used.get(uuid or "")
    if use is None:  # a part of a GPU (MIG), or no NVML
        free_bytes, total_bytes = torch.cuda.mem_get_info(index)
        use = _Use(total_bytes, free_bytes, ())
    return Device(
        properties.name,
        uuid,
        use.total_bytes,
        use.free_bytes,
        f"{properties.major}.{properties.minor}",
        _kernel_problem(torch, index),
        use.others,
    )


def _kernel_problem(torch: Any, index: int) -> str | None:
    """Why a product of small whole numbers, which is exact in any arithmetic, is not right."""
    left = torch.arange(64.0).reshape(8, 8)
    right = left.T.contiguous()
    try:
        product = (left.to(f"cuda:{index}") @ right.to(f"cuda:{index}")).cpu()
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]
    return None if torch.equal(product, left @ right) else "a product of matrices is wrong"


def _nvml() -> tuple[str | None, dict[str, _Use]]:
    """The driver's version and, by UUID, the memory and the processes of each GPU."""
    try:
        import pynvml
    except ImportError:
        return None, {}
    used = {}
    try:
        pynvml.nvmlInit()
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            others = tuple(
                OtherProcess(int(one.pid), one.usedGpuMemory)
                for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            )
            uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
            used[uuid] = _Use(int(memory.total), int(memory.free), others)
    except pynvml.NVMLError:
        return None, used
    return driver, used


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
