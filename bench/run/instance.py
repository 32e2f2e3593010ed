"""One running container: from its command to its end, with the server inside at its socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.containers.engine import ContainerSpec, Engine, cause
from bench.errors import MachineError
from bench.run.child import Task
from bench.run.link import Link, LinkClosed
from bench.run.slots import Gpu

#: Where a container sees the folder with its socket, and the socket's name there.
CONTROL = Path("/run/bench")
SOCKET = "socket"
#: The folder outside begins so, within the run's folder.
PREFIX = ".control-"
_END_S = 15.0


class Socket:
    """A listening socket in a folder of its own, which goes once the server has connected."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # By a short name: a socket's path ends at 107 bytes.
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._socket.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.close(descriptor)
        self._socket.listen(1)

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def accept(self) -> socket.socket:
        """The server's connection; nobody else can follow."""
        connection, _ = self._socket.accept()
        self.close()
        return connection

    def close(self) -> None:
        """Leave nothing of it."""
        self._socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Instance:
    """A container that runs one stage at a time.

    ``group`` is what it can serve. ``stage`` and ``work`` are the id and the folder of the
    stage that it runs, None while it waits for one.
    """

    def __init__(
        self,
        engine: Engine,
        spec: ContainerSpec,
        group: tuple[str, Path, tuple[Gpu, ...]],
        listening: Socket,
        task: Task,
        lock_fd: int | None,
    ) -> None:
        self.name = spec.name
        self.group = group
        self.stage: str | None = task.job.id
        self.work: Path | None = task.work
        self._engine = engine
        self._listening: Socket | None = listening
        self._link: Link | None = None
        self._first = task
        self._lock_fd = lock_fd
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the container
        self._process = subprocess.Popen(
            engine.run_command(spec),
            # podman's monitor leaves a file "oom" where it was started.
            cwd=listening.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
        )

    def fileno(self) -> int:
        """For ``select``: readable where ``advance`` has something to do."""
        waited_for = self._link or self._listening
        assert waited_for is not None
        return waited_for.fileno()

    def start(self, task: Task) -> None:
        """Run a further stage.

        Raises:
            LinkClosed: the container has ended.
        """
        assert self._link is not None
        self._link.start(task)
        self.stage, self.work = task.job.id, task.work

    def advance(self) -> Mapping[str, Any] | None:
        """Take the server's connection, or its next message.

        Raises:
            LinkClosed: the container has ended.
        """
        if self._link is not None:
            return self._link.receive()
        assert self._listening is not None
        self._link = Link(self._listening.accept(), self._lock_fd)
        self._listening = None
        self._link.start(self._first)
        return None

    def check_begun(self) -> None:
        """Find out whether a container that has not connected yet still can.

        Raises:
            MachineError: it ended before, with the last that it or the engine said.
        """
        if self._link is None and self._process.poll() is not None:
            self._said.seek(0)
            last = cause(self._said.read().decode(errors="replace"))
            code = self._process.returncode
            raise MachineError(
                f"the container of {self.stage} could not be started (code {code}): {last}",
                hint="nox -s doctor tries the engine; --executor venv does without",
            )

    def stop(self, how: signal.Signals) -> bool:
        """Send a signal to its stage; False where the container is not up, or no more."""
        if self._link is None or self.stage is None:
            return False
        with contextlib.suppress(LinkClosed):
            self._link.stop(self.stage, how)
            return True
        return False

    def close(self) -> int:
        """End the container, whatever its state, and leave nothing of it; its exit code."""
        if self._link is not None:
            self._link.close()  # its server ends its stages, then itself
        if self._listening is not None:
            self._listening.close()
            self._engine.remove(self.name)
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._engine.remove(self.name)
            self._process.kill()
            code = self._process.wait()
        self._said.close()
        # What a shell makes of a signal (137 for SIGKILL) is what engines say, too.
        return -(code - 128) if 128 < code < 160 else code
