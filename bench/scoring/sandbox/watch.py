"""Watching a prisoner: capped output, the wall clock, and the memory of its process tree."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import selectors
import signal
import subprocess
import time

from bench.scoring.sandbox import memory
from bench.scoring.sandbox.memory import Group

_LOOK_EVERY_S = 0.05
#: Every so many looks the maps of all processes are read, which takes longer.
_DEEP_LOOK = 8
_CHUNK = 65536
_PATIENCE_S = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. ``stopped_by`` names what ended it, None if it ended itself.

    ``stopped_by`` is ``timeout``, ``memory``, ``output-limit`` or ``stopped``.
    """

    stopped_by: str | None
    exit_code: int
    channel: bytes
    printed: bytes
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


def _ends_within(pid: int, seconds: float) -> bool:
    """Whether a child process ends (without reaping it) within some seconds."""
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


class Prisoner:
    """A started process, not yet waited for."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        started_s: float,
        memory_bytes: int,
        feed: bytes,
        group: Group | None = None,
    ) -> None:
        self.process = process
        self._group = group
        self._looks = 0
        self.started_s = started_s
        self.memory_bytes = memory_bytes
        self._feed = memoryview(feed)
        self._peak = 0

    def kill(self) -> None:
        """End it and everything it started: its namespace dies with its first process.

        That process is the child of bubblewrap, which then reports the CPU time of all;
        killing bubblewrap first would lose it.
        """
        pid = self.process.pid
        for child in memory.children(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if not _ends_within(pid, _PATIENCE_S):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def wait(
        self, wall_s: float, channel_bytes: int, printed_bytes: int, stop: int | None = None
    ) -> Exit:
        """Read what it writes until it ends, or end it.

        ``stop`` is a file descriptor: once readable, the caller has what it wanted and the
        prisoner is killed unless it ends on its own at once.
        """
        deadline = self.started_s + wall_s
        buffers = {"channel": bytearray(), "printed": bytearray()}
        caps = {"channel": channel_bytes, "printed": printed_bytes}
        stopped_by: str | None = None
        ended = os.pidfd_open(self.process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ, "ended")
            if stop is not None:
                selector.register(stop, selectors.EVENT_READ, "stopped")
            for name, pipe in (("channel", self.process.stdout), ("printed", self.process.stderr)):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe.fileno(), selectors.EVENT_READ, name)
            self._write(selector)
            look_s = time.monotonic() + _LOOK_EVERY_S
            while True:
                left_s = max(0.0, look_s - time.monotonic())
                names = {key.data for key, _ in selector.select(left_s)}
                now_s = time.monotonic()
                if "feed" in names:
                    self._write(selector)
                for name in names & buffers.keys():
                    self._read(selector, name, buffers[name], caps[name])
                if any(len(buffers[name]) > caps[name] for name in buffers):
                    stopped_by = "output-limit"
                elif "ended" in names:
                    break
                elif "stopped" in names:
                    if _ends_within(self.process.pid, _PATIENCE_S):
                        break  # it saw its caller go, or was ending for a reason of its own
                    stopped_by = "stopped"
                elif now_s > deadline:
                    stopped_by = "timeout"
                elif now_s >= look_s:  # by the clock: a busy prisoner is looked at, too
                    if self._used() > self.memory_bytes:
                        stopped_by = "memory"
                    look_s = time.monotonic() + _LOOK_EVERY_S
                if stopped_by is not None:
                    self.kill()
                    break
        os.close(ended)
        return self._end(stopped_by, buffers, caps)

    def _write(self, selector: selectors.BaseSelector) -> None:
        """Feed what the pipe takes now; close it after the last byte."""
        pipe = self.process.stdin
        if pipe is None or pipe.closed:
            return
        descriptor = pipe.fileno()
        os.set_blocking(descriptor, False)
        try:
            while self._feed:
                self._feed = self._feed[os.write(descriptor, self._feed) :]
        except BlockingIOError:
            if descriptor not in selector.get_map():
                selector.register(descriptor, selectors.EVENT_WRITE, "feed")
            return
        except BrokenPipeError:  # it does not want the rest
            pass
        if descriptor in selector.get_map():
            selector.unregister(descriptor)
        pipe.close()

    def _read(
        self, selector: selectors.BaseSelector, name: str, buffer: bytearray, cap: int
    ) -> None:
        pipe = self.process.stdout if name == "channel" else self.process.stderr
        assert pipe is not None
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if data:
            buffer += data[: max(0, cap + 1 - len(buffer))]
        else:
            selector.unregister(pipe.fileno())

    def _end(
        self, stopped_by: str | None, buffers: dict[str, bytearray], caps: dict[str, int]
    ) -> Exit:
        _, status, usage = os.wait4(self.process.pid, 0)
        wall_s = time.monotonic() - self.started_s
        self.process.returncode = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(ProcessLookupError):  # left behind, without a namespace
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.stdin is not None:
            self.process.stdin.close()
        for name, pipe in (("channel", self.process.stdout), ("printed", self.process.stderr)):
            if pipe is None:
                continue
            room = caps[name] + 1 - len(buffers[name])
            while room > 0:
                try:
                    data = os.read(pipe.fileno(), min(room, _CHUNK))
                except BlockingIOError:
                    break
                if not data:
                    break
                buffers[name] += data
                room -= len(data)
            pipe.close()
            if len(buffers[name]) > caps[name]:
                stopped_by = stopped_by or "output-limit"
        if self._group is not None:
            if stopped_by is None and self._group.exceeded():
                stopped_by = "memory"
            self._group.remove()
        return Exit(
            stopped_by,
            self.process.returncode,
            bytes(buffers["channel"]),
            bytes(buffers["printed"]),
            wall_s,
            usage.ru_utime + usage.ru_stime,
            max(self._peak, usage.ru_maxrss * 1024),
        )

    def _used(self) -> int:
        """Bytes of memory that the process tree uses now."""
        pids = memory.tree(self.process.pid)
        used = memory.resident_bytes(pids)
        self._looks += 1
        if self._group is None and self._looks % _DEEP_LOOK == 0:
            used += memory.shared_bytes(pids)
        self._peak = max(self._peak, used)
        return used
