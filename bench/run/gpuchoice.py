"""Which GPUs a run uses: what ``--gpus`` asks for, within what its caller lets it see."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from bench.errors import BenchError, MachineError
from bench.run import gpuprobe
from bench.run.gpuprobe import VISIBLE, Device, Found
from bench.run.slots import Gpu

ALL, NONE = "all", "none"


def choose(
    asked: str | None, found: Found, environment: Mapping[str, str] = os.environ
) -> dict[Gpu, Device]:
    """The chosen GPUs as ``CUDA_VISIBLE_DEVICES`` names them, with what is known of each.

    Args:
        asked: ``all``, ``none``, numbers or UUIDs (``0,2``); None: all that can be used, which
            may be none.
        found: the GPUs that are visible, in the order of their numbers.
        environment: where the caller's own ``CUDA_VISIBLE_DEVICES`` stands: the numbers that
            are asked for count within it.

    Raises:
        BenchError: there is no such GPU, or it is named twice.
        MachineError: GPUs are asked for and none can be used.
    """
    if asked == NONE:
        return {}
    visible = _visible(found.devices, environment)
    usable = {name: one for name, one in visible.items() if one.problem is None}
    if asked is None:
        return usable
    if (why := gpuprobe.problem(found, environment)) is not None:
        raise MachineError(f"--gpus {asked}: {why[0]}", hint=f"{why[1]}; or --gpus none")
    if asked == ALL:
        return usable
    chosen: dict[Gpu, Device] = {}
    for word in asked.split(","):
        name = _named(word.strip(), visible)
        if name in chosen:
            raise BenchError(f"--gpus {asked}: {word.strip()} is named twice", hint="name it once")
        if visible[name].problem is not None:
            raise MachineError(
                f"--gpus {asked}: no kernel runs on {word.strip()} ({visible[name].problem})",
                hint="nvidia-smi -q tells its state; choose another one",
            )
        chosen[name] = visible[name]
    return chosen


def _visible(devices: Sequence[Device], environment: Mapping[str, str]) -> dict[Gpu, Device]:
    """The GPUs that torch has found, by the names under which the caller shows them."""
    shown = environment.get(VISIBLE)
    if shown is None:
        return dict(enumerate(devices))
    # CUDA reads the list up to the first name that it does not know.
    names = [_gpu(word.strip()) for word in shown.split(",") if word.strip()]
    return dict(zip(names, devices, strict=False))


def _gpu(word: str) -> Gpu:
    return int(word) if word.isdecimal() else word


def _named(word: str, visible: Mapping[Gpu, Device]) -> Gpu:
    """The GPU that a word of ``--gpus`` means: its number among the visible ones, or its UUID."""
    names = list(visible)
    if word.isdecimal() and int(word) < len(names):
        return names[int(word)]
    for name, device in visible.items():
        # A part of a GPU is not found by its whole's UUID: it goes by the name it is shown under.
        if word and not word.isdecimal() and (word == name or word == device.uuid):
            return name
    listed = ", ".join(f"{number} {one.name}" for number, one in enumerate(visible.values()))
    raise BenchError(
        f"--gpus: there is no GPU {word!r} among the visible ones ({listed})",
        hint="give their numbers or UUIDs, for example --gpus 0,1; or all, or none",
    )
