"""Reading and judging what a jailed program said, in a process that may die of it.

The readers believe nothing, but what is read can still cost: members of a set that collide,
a number that is long to print. So a small process beside the scorer reads the answers of one
sample after the other, compares them with what the cases expect and states a verdict, within
limits that are set anew for each. What it cannot read is the sample's failure and nobody
else's: a process that died of one is replaced. Nothing model-written runs here.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import bench
from bench.errors import MachineError
from bench.records import Verdict
from bench.scoring.sandbox import binary, cases, lines
from bench.scoring.sandbox.cases import Told
from bench.scoring.sandbox.limits import MIB, JailResult

#: How a program writes its answers: each as a line of JSON, or in the binary form.
Form = Literal["lines", "binary"]

_READERS: Mapping[Form, Callable[[bytes], Told]] = {"lines": lines.told, "binary": binary.told}
#: For one sample: reading the longest channel takes about a second.
CPU_S = 5
MEMORY_BYTES = 1024 * MIB
_HEAD = 8
_DETAIL = 1000
_READY = b"ready"
_UNREADABLE = "what it returned is too large, too deep or too slow to read and compare"


def decide(form: Form, id_: str, check: Mapping[str, Any], end: JailResult) -> Verdict:
    """Judge a program that did start by what it wrote, in its language's form.

    Raises:
        MachineError: no process can be started for it.
    """
    request = _request(form, id_, check, end)
    report = b""
    for _ in range(2):
        running = _referee(os.getpid())
        try:
            report = running.ask(request)
            break
        except OSError:
            _referee.cache_clear()
            if running.ended_by_time():
                break  # else it may have been ended from outside: once more
    if not report:
        return Verdict(id_, "failed", 0, len(check["cases"]), _UNREADABLE)
    outcome, held, detail = json.loads(report)
    return Verdict(id_, outcome, held, len(check["cases"]), detail)


class _Referee:
    """The process; it ends when this one does."""

    def __init__(self) -> None:
        self._scorer = os.getpid()
        self._control, theirs = socket.socketpair()
        root = str(Path(bench.__file__).parent.parent)
        start = (
            f"import sys; sys.path.insert(0, {root!r}); "
            "from bench.scoring.sandbox import referee; referee.serve()"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", start],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
        assert self._process.stderr is not None
        with self._process.stderr as errors:
            if _received(self._control) != _READY:
                said = errors.read().decode(errors="replace").strip().splitlines()
                raise MachineError(
                    f"no process to judge answers in: {said[-1] if said else 'it ended'}",
                    hint="python -m bench doctor checks the machine",
                )
        atexit.register(self.close)

    def ask(self, request: bytes) -> bytes:
        """The report on one sample; empty where it cannot be read.

        Raises:
            OSError: the process is gone.
        """
        self._control.sendall(_framed(request))
        report = _received(self._control)
        if report is None:
            self.close()
            raise ConnectionError("the process ended")
        return report

    def ended_by_time(self) -> bool:
        """Whether the last sample took all the time that one may take."""
        return self._process.returncode == -signal.SIGXCPU

    def close(self) -> None:
        """End the process; a fork of the scorer leaves it alone."""
        self._control.close()
        if os.getpid() != self._scorer:
            return
        self._process.kill()
        self._process.wait()
        atexit.unregister(self.close)


@functools.cache
def _referee(pid: int) -> _Referee:
    """The process of this process: one that was forked has none of its own yet."""
    return _Referee()


def serve() -> None:
    """Serve requests until the scorer closes; the entry of the process."""
    control = socket.socket(fileno=0)
    control.sendall(_framed(_READY))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (request := _received(control)) is not None:
        control.sendall(_framed(_report(request)))


def _request(form: Form, id_: str, check: Mapping[str, Any], end: JailResult) -> bytes:
    """One sample: a line of JSON, then the bytes of the channel and of what was printed."""
    told = {field.name: getattr(end, field.name) for field in dataclasses.fields(end)}
    channel, printed = told.pop("channel"), told.pop("printed")
    head = [form, id_, dict(check), told, len(channel), CPU_S]
    return b"%b\n%b%b" % (json.dumps(head).encode(), channel, printed)


def _report(request: bytes) -> bytes:
    """The verdict on one sample; empty where it is too much."""
    line, _, rest = request.partition(b"\n")
    form, id_, check, told, split, cpu_s = json.loads(line)
    end = JailResult(channel=rest[:split], printed=rest[split:], **told)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + cpu_s, most))
    try:
        found = cases.verdict(id_, check, _READERS[form](end.channel), end)
    except (RecursionError, MemoryError, ValueError):
        return b""
    return json.dumps([found.outcome, found.cases_passed, found.detail[:_DETAIL]]).encode()


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(_HEAD, "big") + message


def _received(control: socket.socket) -> bytes | None:
    """The next message; None where the other side is gone."""
    with control.makefile("rb", buffering=0) as file:
        head = file.read(_HEAD)
        left = int.from_bytes(head, "big") if len(head) == _HEAD else None
        if left is None:
            return None
        message = bytearray()
        while left > len(message):
            data = file.read(left - len(message))
            if not data:
                return None
            message += data
    return bytes(message)
