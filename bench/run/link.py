"""The runner's end of the socket to a process that forks stages (``bench.run.server``).

JSON in packets. The lock of the run folder travels with the first one as a descriptor, so
that whatever the server starts holds it as long as it lives, in a container, too.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Mapping
from typing import Any

from bench.run.child import TASK, Task
from bench.run.server import MESSAGE_BYTES


class LinkClosed(Exception):
    """The server is gone."""


class Link:
    """A connected socket. ``lock_fd`` is handed over with the first task."""

    def __init__(self, control: socket.socket, lock_fd: int | None) -> None:
        self._control = control
        self._handed = [] if lock_fd is None else [lock_fd]

    def fileno(self) -> int:
        """For ``select``."""
        return self._control.fileno()

    def start(self, task: Task) -> None:
        """Have a stage started.

        Raises:
            LinkClosed: the server is gone.
        """
        self._send(TASK.dump_json(task, by_alias=True))

    def stop(self, stage: str, how: signal.Signals) -> None:
        """Have a signal sent to a stage.

        Raises:
            LinkClosed: the server is gone.
        """
        self._send(json.dumps({"id": stage, "signal": how}).encode())

    def receive(self) -> Mapping[str, Any]:
        """The next message; waits for it.

        Raises:
            LinkClosed: the server is gone.
        """
        try:
            packet = self._control.recv(MESSAGE_BYTES)
        except OSError:
            packet = b""
        if not packet:
            raise LinkClosed
        message: Mapping[str, Any] = json.loads(packet)
        return message

    def close(self) -> None:
        """Tell the server that it is over: it ends its stages, then itself."""
        self._control.close()

    def _send(self, packet: bytes) -> None:
        try:
            if self._handed:
                socket.send_fds(self._control, [packet], self._handed)
                self._handed = []
            else:
                self._control.sendall(packet)
        except OSError:
            raise LinkClosed from None
