"""How a command's stages are started: in containers where an engine answers, or right here."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bench import places
from bench.containers import engine as engines
from bench.containers import images
from bench.containers.engine import Engine
from bench.containers.images import Image, Wanted
from bench.errors import BenchError, MachineError
from bench.gpus import gpu_visible
from bench.grid import keys
from bench.grid.study import Study
from bench.run import container, local, runner
from bench.run.slots import Slots
from bench.run.surroundings import surroundings

Name = Literal["container", "venv"]
NAMES: tuple[Name, ...] = ("container", "venv")
#: What ``--executor`` is where it is not given.
VARIABLE = "BENCH_EXECUTOR"


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """How stages are started, why so, and in which of the kit's images that are built."""

    name: Name
    why: str
    engine: Engine | None = None
    images: Mapping[str, Image] = dataclasses.field(default_factory=dict)

    @property
    def ids(self) -> dict[str, str | None] | None:
        """The id of each image, None for one that is not built; None without containers."""
        if self.engine is None:
            return None
        names = dict.fromkeys(keys.IMAGES.values())
        return {name: self.images[name].id if name in self.images else None for name in names}

    @property
    def unbuilt(self) -> bool:
        """Whether an image has to be built before anything can start."""
        return self.engine is not None and len(self.images) < len(_names())

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run's provenance says of it."""
        if self.engine is None:
            return {"executor": self.name}
        return {
            "executor": self.name,
            "engine": {
                "name": self.engine.name,
                "version": self.engine.version,
                "limits": self.engine.limits,
            },
            "images": {
                name: {"reference": image.reference, "id": image.id}
                for name, image in self.images.items()
            },
        }


def choose(options: argparse.Namespace) -> Choice:
    """The executor that was asked for, or the default one.

    Raises:
        BenchError: an executor of that name does not exist, or cannot be had here.
    """
    asked = options.executor or os.environ.get(VARIABLE) or None
    if asked not in (None, *NAMES):
        raise BenchError(
            f"{VARIABLE}: no executor {asked!r}", hint=f"it is one of {', '.join(NAMES)}"
        )
    if asked == "venv":
        return Choice("venv", "as asked")
    try:
        engine = _engine()
    except MachineError as error:
        if asked == "container":
            raise
        return Choice("venv", f"the default: {error.problem}")
    why = "as asked" if asked else f"the default where {engine.name} answers"
    here = {name: images.here(engine, name, _wanted()) for name in _names()}
    found = {name: image for name, image in here.items() if image is not None}
    return Choice("container", why, engine, found)


def built(choice: Choice, say: Callable[[str], None], *, offline: bool) -> Choice:
    """The choice with all its images; what is missing is fetched and built.

    Raises:
        MachineError: something that an image is made of cannot be had, or it cannot be built.
    """
    if choice.engine is None or not choice.unbuilt:
        return choice
    found = images.ensure(choice.engine, _names(), _wanted(), offline=offline, progress=say)
    return dataclasses.replace(choice, images=found)


@contextlib.contextmanager
def started(
    choice: Choice, study: Study, folder: Path, mirror: Path | None, slots: Slots
) -> Iterator[runner.Executor]:
    """The executor of a run in ``folder``, which is locked; it ends with all that it started.

    Raises:
        MachineError: a GPU of the ``slots`` cannot be used in containers.
    """
    if choice.engine is None:
        with local.Local() as executor:
            yield executor
        return
    around = surroundings(study, mirror, at_once=slots.count)
    references = {name: image.reference for name, image in choice.images.items()}
    if slots.gpus:
        container.require_gpus(choice.engine, references["run"], slots.gpus, around)
    with container.Containers(choice.engine, references, folder, around) as containers:
        yield containers


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, so that the images are to use it."""
    return gpu_visible()


def _engine() -> Engine:
    """The engine, of a checkout on a machine that the images' locks are for."""
    places.require_checkout("containers need")
    here = f"{sys.platform}-{platform.machine()}"
    if here != "linux-x86_64":
        raise MachineError(
            f"the images are for linux-x86_64, and this is {here}", hint="use --executor venv"
        )
    return engines.find()


def _wanted() -> Wanted:
    return Wanted(gpu=has_gpu())


def _names() -> list[str]:
    return list(dict.fromkeys(keys.IMAGES.values()))
