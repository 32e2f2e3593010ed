"""Stages in containers: one container per cell and image, with the fork server inside.

A container sees the checkout, the caches and its inputs read-only, at the paths that they
have outside, and can write into its cell's folder alone. Its first process is the server of
``bench.run.server``, connected to the runner by a socket: loading the libraries once a cell
rather than once a stage is what keeps small studies cheap. A container runs one stage at a
time, so that what its control group is charged is that stage's. A stage that has a GPU gets
a container of its own, with that GPU alone and a server that loads nothing beforehand (CUDA
does not survive a fork); it ends with the stage.

Containers end by themselves when their runner is gone, however it went: the server sees
its socket close. Whatever an engine left behind all the same is removed by its label, by
this runner at its end or by the next one at its start.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench import cgroups
from bench.containers.engine import ContainerSpec, Engine, Mount
from bench.data.sources import ROOT
from bench.errors import MachineError
from bench.grid import keys
from bench.run import gpuprobe
from bench.run.child import Task
from bench.run.instance import CONTROL, PREFIX, SOCKET, Instance, Socket
from bench.run.link import LinkClosed
from bench.run.local import PRELOAD, environment
from bench.run.slots import CPU, Gpu, Slot

#: Labels a container with the run folder that it works for.
LABEL = "bench.run"
PYTHON = "/opt/bench/venv/bin/python"
#: Only the package is imported from the checkout: its folder ``datasets`` would pass for the
#: library of that name, which the image ``run`` does without.
_SERVE = (
    "import sys; sys.path.insert(0, {root!r}); import bench; del sys.path[0]; "
    "from bench.run.server import connect; connect({path!r}, {modules!r})"
)
#: What a container can serve: an image, the folder that it may write, and the GPUs it sees.
Group = tuple[str, Path, tuple[Gpu, ...]]
_PROBE = (
    "import sys; sys.path.insert(0, {root!r}); import bench; del sys.path[0]; "
    "from bench.run import gpuprobe; gpuprobe.print_found()"
)
_PROBE_S = 180
_WITHOUT = "nox -s doctor checks the engine; --executor venv does without; so does --gpus none"
#: A container that neither its server nor its runner has ended by then is ended by the engine.
_LAST_RESORT_S = 14 * 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What all containers of a run have in common.

    ``readable`` are files and folders that stages read (the checkout, caches, a mirror),
    ``variables`` what they need in their environment. ``memory_bytes`` and ``cpus`` are for
    one container. ``shared`` are folders below the readable ones that trainings write: what
    one has prepared, the others take.
    """

    readable: Sequence[Path]
    variables: Mapping[str, str]
    memory_bytes: int
    cpus: float
    shared: Sequence[Path] = ()


class Containers:
    """Starts stages in containers of an engine.

    ``images`` are the references of the images ``run`` and ``score``; ``folder`` is the
    run's. ``preload`` names the modules that the server in a container of each image imports,
    where it serves stages without a GPU.
    """

    def __init__(
        self,
        engine: Engine,
        images: Mapping[str, str],
        folder: Path,
        surroundings: Surroundings,
        *,
        preload: Mapping[str, Sequence[str]] = PRELOAD,
    ) -> None:
        self._engine = engine
        self._images = images
        self._folder = folder.resolve()
        self._around = surroundings
        self._preload = preload
        self._running: list[Instance] = []
        self._started = 0
        self._told: collections.deque[Mapping[str, Any]] = collections.deque()

    def __enter__(self) -> Self:
        self._sweep()
        for folder in self._around.shared:
            _own(folder, *self._engine.user)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for instance in list(self._running):
            self._close(instance)
        for folder in self._around.shared:
            _own(folder, os.geteuid(), os.getegid())
        self._sweep()

    def warm(self, stage: str, work: Path) -> bool:
        """Whether a stage could start in a container that waits for work."""
        group = self._group(stage, work)
        return any(one.group == group and one.stage is None for one in self._running)

    def start(self, task: Task, lock_fd: int | None) -> None:
        """Start a stage in a waiting container of its cell, or in a new one."""
        task = _resolved(task)
        group = self._group(task.job.stage, task.work, task.job.slot)
        _own(task.work, *self._engine.user)
        idle = [one for one in self._running if one.stage is None]
        for instance in sorted(idle, key=lambda one: one.group != group):
            if instance.group == group:
                with contextlib.suppress(LinkClosed):  # else it ended while it waited
                    instance.start(task)
                    return
            self._close(instance)
        self._running.append(self._launch(group, task, lock_fd))

    def poll(self, timeout_s: float) -> Mapping[str, Any] | None:
        """The next message of a stage or its server; None when none comes in time.

        Raises:
            MachineError: a container did not come up.
        """
        if not self._told:
            poll = select.poll()
            for instance in self._running:
                poll.register(instance, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
            for instance in list(self._running):
                if instance.fileno() in ready:
                    self._advance(instance)
                else:
                    self._check(instance)
        return self._told.popleft() if self._told else None

    def stop(self, stage: str, how: signal.Signals) -> None:
        """Send a signal to a stage; one whose container is not up yet ends with that."""
        for instance in list(self._running):
            if instance.stage == stage and not instance.stop(how):
                self._ended(instance)

    def _group(self, stage: str, work: Path, slot: Slot = CPU) -> Group:
        """The image of a stage, the folder that its container may write (its cell's), its GPUs."""
        place = work.resolve().relative_to(self._folder)
        writable = self._folder.joinpath(*place.parts[:2])
        return self._images[keys.IMAGES[stage]], writable, slot.gpus

    def _launch(self, group: Group, task: Task, lock_fd: int | None) -> Instance:
        self._started += 1
        listening = Socket(self._folder)
        _own(listening.folder, *self._engine.user)
        spec = self._spec(group, task, listening.folder)
        return Instance(self._engine, spec, group, listening, task, lock_fd)

    def _spec(self, group: Group, task: Task, control: Path) -> ContainerSpec:
        image, writable, gpus = group
        slot, kind = task.job.slot, keys.IMAGES[task.job.stage]
        return ContainerSpec(
            f"{prefix(self._folder)}{os.getpid()}-{self._started}",
            image,
            [PYTHON, "-c", self._serving(kind, slot)],
            self._around.memory_bytes,
            max(self._around.cpus, float(slot.threads)),
            mounts=self._mounts(task, writable, control, kind),
            environment={
                # Whatever their numbers outside, inside its GPUs are the only ones.
                **environment(slot, ",".join(map(str, range(len(gpus))))),
                **self._around.variables,
                cgroups.VARIABLE: self._engine.name,
                "HOME": "/tmp",  # noqa: S108 - the container's own
            },
            labels={LABEL: label(self._folder)},
            time_limit_s=_LAST_RESORT_S,
            gpus=gpus,
            nested=kind == "score",
        )

    def _serving(self, kind: str, slot: Slot) -> str:
        """The program of a container's first process."""
        modules = () if slot.gpus else tuple(self._preload.get(kind, ()))
        return _SERVE.format(root=str(ROOT), path=str(CONTROL / SOCKET), modules=modules)

    def _mounts(self, task: Task, writable: Path, control: Path, kind: str) -> list[Mount]:
        inputs = {path.parent for path in task.job.inputs.values()}
        outside = sorted(path for path in inputs if not path.is_relative_to(writable))
        shared = self._around.shared if kind == "run" else ()
        return [
            *(Mount(path) for path in dict.fromkeys([*self._around.readable, *outside])),
            *(Mount(path, writable=True) for path in shared),
            Mount(writable, writable=True),
            Mount(control, target=CONTROL),
        ]

    def _advance(self, instance: Instance) -> None:
        try:
            message = instance.advance()
        except LinkClosed:
            self._ended(instance)
            return
        if message is not None:
            if message["event"] == "exit":
                self._take(instance)
                if instance.group[2]:
                    self._close(instance)  # and its GPU is free
            self._told.append(message)

    def _check(self, instance: Instance) -> None:
        try:
            instance.check_begun()
        except MachineError:
            self._close(instance)
            raise

    def _ended(self, instance: Instance) -> None:
        """Tell that a container is gone, and its stage with it."""
        stage = instance.stage
        code = self._close(instance)
        if stage is not None:
            told = {"event": "exit", "id": stage, "code": code}
            self._told.append({**told, "cpu_s": None, "peak_rss_bytes": None})

    def _close(self, instance: Instance) -> int:
        self._running.remove(instance)
        code = instance.close()
        self._take(instance)
        return code

    def _take(self, instance: Instance) -> None:
        """A container's stage is over: what it wrote becomes the caller's again."""
        if instance.work is not None:
            _own(instance.work, os.geteuid(), os.getegid())
        instance.stage = instance.work = None

    def _sweep(self) -> None:
        """Remove what a killed runner of this folder has left, and this one, should it."""
        with contextlib.suppress(MachineError):
            self._engine.remove(*self._engine.names(f"{LABEL}={label(self._folder)}"))
        for control in self._folder.glob(f"{PREFIX}*"):
            shutil.rmtree(control, ignore_errors=True)


def require_gpus(engine: Engine, image: str, gpus: Sequence[Gpu], around: Surroundings) -> None:
    """Find out in a container of an image whether torch computes on each of some GPUs there.

    Raises:
        MachineError: it does not; with why not, and the remedy.
    """
    slot = Slot(tuple(gpus))
    spec = ContainerSpec(
        f"bench-gpus-{os.getpid()}",
        image,
        [PYTHON, "-c", _PROBE.format(root=str(ROOT))],
        around.memory_bytes,
        around.cpus,
        mounts=[Mount(ROOT)],
        environment={
            **environment(slot, ",".join(map(str, range(len(gpus))))),
            "HOME": "/tmp",  # noqa: S108 - the container's own
        },
        time_limit_s=_PROBE_S,
        gpus=gpus,
    )
    command = engine.run_command(spec)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        engine.remove(spec.name)
        raise MachineError(
            f"no GPU answers in a container within {_PROBE_S} s", hint=_WITHOUT
        ) from None
    found = gpuprobe.read(done.stdout, done.stderr)
    if len(found.usable) == len(gpus):
        return
    why = gpuprobe.problem(found, {})
    told = why[0] if why else f"{len(found.usable)} of {len(gpus)} can be used there"
    last = found.said or "a kernel has run on each that it sees"
    raise MachineError(f"in a container: {told} ({last})", hint=_WITHOUT)


def _resolved(task: Task) -> Task:
    """A task with the paths that hold wherever one stands: a container's server stands in /."""
    inputs = {name: path.resolve() for name, path in task.job.inputs.items()}
    job = dataclasses.replace(task.job, inputs=inputs)
    return dataclasses.replace(task, job=job, work=task.work.resolve())


def label(folder: Path) -> str:
    """The value of the label of a run folder's containers."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def prefix(folder: Path) -> str:
    """How the names of a run folder's containers begin."""
    return f"bench-{label(folder)[:8]}-"


def _own(path: Path, uid: int, gid: int) -> None:
    """Give a folder and all below it to a user; only root can, and only root has to."""
    if os.geteuid() == 0:
        for one in (path, *path.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                os.chown(one, uid, gid, follow_symlinks=False)
