"""A CUDA build of torch, emulated on the CPU build, for the tests that take a GPU's branches.

Python imports this module at its start where the tests put its folder on PYTHONPATH; nothing
in the package knows of it. ``FAKE_GPUS`` lists the devices. What is computed is computed on
the CPU; what is asked (counts, names, memory, capability, whether CUDA was initialised, and in
which process) is answered as a CUDA build would. As soon as something was placed on a device,
every tensor says that it is there, save those that were fetched with ``cpu()``.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import os
import sys
import threading
import time
import types
from pathlib import Path

GPUS = json.loads(os.environ.get("FAKE_GPUS", "[]"))
#: ``old-driver`` or ``broken-kernel``.
FAULT = os.environ.get("FAKE_GPU_FAULT")
_HERE = Path(__file__).parent
_FACTORIES = (
    *("arange", "as_tensor", "empty", "empty_like", "empty_strided", "eye", "full", "full_like"),
    *("linspace", "ones", "ones_like", "rand", "rand_like", "randn", "randn_like", "randint"),
    *("scalar_tensor", "tensor", "zeros", "zeros_like"),
)


class State:
    """What a CUDA runtime knows of its process."""

    counted = initialized = forked = placed = False
    importing_bitsandbytes = None  # the thread that does: others go on measuring
    placed_bytes = 0


def visible():
    """The devices that CUDA_VISIBLE_DEVICES leaves, in its order."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return GPUS
    found = []
    for word in shown.split(","):
        word = word.strip()
        if word.isdecimal() and int(word) < len(GPUS):
            found.append(GPUS[int(word)])
        elif any(gpu["uuid"] == word for gpu in GPUS):
            found += [gpu for gpu in GPUS if gpu["uuid"] == word]
        else:
            break
    return found


def patch(torch):
    """Make a CPU build of torch answer as a CUDA build."""
    torch.version.cuda = "12.8"
    _patch_cuda(torch)
    _patch_tensors(torch)
    _patch_attention(torch)


def _use():
    if not State.counted:
        State.counted = True
        os.register_at_fork(after_in_child=lambda: setattr(State, "forked", True))


def _count():
    if FAULT == "old-driver" or State.importing_bitsandbytes == threading.get_ident():
        return 0
    _use()
    return len(visible())


def _initialize():
    _use()
    if State.forked:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
    State.initialized = True


def _available():
    if FAULT == "old-driver":
        import warnings

        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old", stacklevel=2
        )
    return _count() > 0


def _patch_cuda(torch):
    cuda = torch.cuda

    def number(device=None):
        index = getattr(device, "index", device)
        if isinstance(device, str):
            index = torch.device(device).index
        return index or 0

    def asked(answer):
        def ask(device=None, *_, **__):
            _initialize()
            return answer(number(device))

        return ask

    def properties(index):
        gpu = visible()[index]
        return types.SimpleNamespace(
            name=gpu["name"],
            uuid=gpu["uuid"].removeprefix("GPU-"),
            total_memory=gpu["total_bytes"],
            major=9,
            minor=0,
            multi_processor_count=132,
        )

    class Event:
        """A mark that the device passes as soon as it is set."""

        def __init__(self, enable_timing=False, **_):
            _initialize()
            self.set_s = None

        def record(self, stream=None):
            self.set_s = time.perf_counter()

        def query(self):
            return True

        def synchronize(self):
            pass

        def elapsed_time(self, end):
            return 1000 * (end.set_s - self.set_s)

    cuda.Event = Event
    answers = {
        "get_device_properties": asked(properties),
        "get_device_name": asked(lambda index: visible()[index]["name"]),
        "get_device_capability": asked(lambda index: (9, 0)),
        "mem_get_info": asked(lambda i: (visible()[i]["free_bytes"], visible()[i]["total_bytes"])),
        "synchronize": asked(lambda index: None),
        "set_device": asked(lambda index: None),
        "current_device": asked(lambda index: 0),
        "empty_cache": lambda: None,
        "ipc_collect": lambda: None,
    }
    for name in (
        "memory_allocated",
        "max_memory_allocated",
        "memory_reserved",
        "max_memory_reserved",
    ):
        answers[name] = asked(lambda index: State.placed_bytes)
    for name in ("reset_peak_memory_stats", "reset_max_memory_allocated"):
        answers[name] = asked(lambda index: None)
    for name, answer in answers.items():
        setattr(cuda, name, answer)
        if hasattr(cuda.memory, name):
            setattr(cuda.memory, name, answer)
    cuda.is_available, cuda.device_count = _available, _count
    cuda.init = cuda._lazy_init = _initialize
    cuda.is_initialized = lambda: State.initialized and not State.forked
    cuda._is_in_bad_fork = lambda: State.forked
    cuda.is_bf16_supported = lambda *_, **__: True
    for home in (cuda, cuda.random):
        home.manual_seed = home.manual_seed_all = lambda seed: None
        home.get_rng_state = lambda device=None: torch.get_rng_state()
        home.get_rng_state_all = lambda: [torch.get_rng_state() for _ in visible()]
        home.set_rng_state = home.set_rng_state_all = lambda *_, **__: None


def _patch_attention(torch):
    """Attention over sequences of different lengths, whose kernels are CUDA's alone."""
    from torch.nn.attention import varlen

    def attend(query, key, value, bounds, _, longest, __, *, scale, window_size, enable_gqa=False):
        assert window_size == (-1, 0), "causal"
        found = []
        ends = bounds.tolist()
        for start, end in itertools.pairwise(ends):
            assert end - start <= longest
            parts = [one[start:end].transpose(0, 1)[None] for one in (query, key, value)]
            one = torch.nn.functional.scaled_dot_product_attention(
                *parts, is_causal=True, scale=scale, enable_gqa=enable_gqa
            )
            found.append(one[0].transpose(0, 1))
        return torch.cat(found)

    varlen.varlen_attn = attend


def _patch_tensors(torch):
    base = torch._C.TensorBase
    device_of = base.device.__get__

    def swapped(args, kwargs):
        """The arguments with the CPU for a GPU, and the device that was named."""
        named = None

        def one(value):
            nonlocal named
            is_device = isinstance(value, torch.device) or (
                isinstance(value, str) and value.partition(":")[0] in ("cuda", "cpu")
            )
            if not is_device:
                return value
            named = torch.device(value)
            if named.type != "cuda":
                return value
            if FAULT == "broken-kernel":
                raise RuntimeError("CUDA error: no kernel image is available")
            _initialize()
            if (named.index or 0) >= len(visible()):
                raise RuntimeError("CUDA error: invalid device ordinal")
            return torch.device("cpu")

        args = tuple(one(value) for value in args)
        if "device" in kwargs:
            kwargs["device"] = one(kwargs["device"])
        return args, kwargs, named

    def settled(tensor, before, named):
        if named is None:
            return tensor
        if named.type == "cuda":
            State.placed = True
            State.placed_bytes += tensor.numel() * tensor.element_size()
            return tensor
        if tensor is before and State.placed:
            tensor = before.detach() if not before.requires_grad else before.view_as(before)
        tensor.fetched = True
        return tensor

    real_to = base.to

    def to(self, *args, **kwargs):
        args, kwargs, named = swapped(args, kwargs)
        return settled(real_to(self, *args, **kwargs), self, named)

    torch.Tensor.to = to
    torch.Tensor.cuda = lambda self, device=0, **_: self.to(torch.device("cuda", number_of(device)))
    torch.Tensor.cpu = lambda self, *_, **__: self.to(torch.device("cpu"))

    def number_of(device):
        return device if isinstance(device, int) else torch.device(device).index or 0

    def device(self):
        real = device_of(self)
        if real.type != "cpu" or not State.placed or getattr(self, "fetched", False):
            return real
        return torch.device("cuda", 0)

    torch.Tensor.device = property(device)
    torch.Tensor.is_cuda = property(lambda self: self.device.type == "cuda")
    for name in _FACTORIES:
        setattr(torch, name, _factory(getattr(torch, name), swapped, settled))
    real_autocast = torch.autocast.__init__

    def autocast(self, device_type, *args, **kwargs):
        real_autocast(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    torch.autocast.__init__ = autocast


def _factory(real, swapped, settled):
    def make(*args, **kwargs):
        _, kwargs, named = swapped((), kwargs)
        kwargs.pop("pin_memory", None)  # the CPU build has no such memory
        return settled(real(*args, **kwargs), None, named)

    return make


class _After(importlib.abc.Loader):
    """A loader that does something around the real one."""

    def __init__(self, loader, name):
        self.loader, self.name = loader, name

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        if self.name == "torch":
            self.loader.exec_module(module)
            patch(module)
            return
        # Its import asks for the devices' capability. It shall take its library for CPUs, too.
        import torch

        if torch.cuda.is_available():
            torch.cuda.get_device_capability(0)
        State.importing_bitsandbytes = threading.get_ident()
        try:
            self.loader.exec_module(module)
        finally:
            State.importing_bitsandbytes = None

    def __getattr__(self, name):
        return getattr(self.loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pynvml":
            return importlib.util.spec_from_file_location(name, _HERE / "pynvml.py")
        if name not in ("torch", "bitsandbytes"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _After(spec.loader, name)
        return spec


if GPUS:
    sys.meta_path.insert(0, _Finder())
