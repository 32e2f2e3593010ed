"""Suites whose tests are programs: the test in one jail, the model's code in another.

A tester is one process per batch that runs the suites' own tests, so that nothing that
decides a verdict is ever in a process with model-written code. For every sample it gets a
job, connects to the sample over a socket in a folder that only it can open, and states the
outcome. What the sample sends is a claim about values, read there within bounds; a tester
that dies of it is started anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.records import Verdict
from bench.scoring.sandbox.cases import said
from bench.scoring.sandbox.jail import Jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits, result
from bench.scoring.sandbox.watch import Prisoner

#: To start and connect on a busy machine; to finish a test whose sample has ended.
_START_S = 120.0
_REPLY_S = 60.0
_HEAD = 8
_LONGEST_REPLY = 1 * MIB
#: What the system takes as the path of a socket, with room for its name.
_LONGEST_FOLDER = 90


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A program of the kit's, and what its jail needs."""

    command: Sequence[str]
    mounts: Sequence[Path]
    limits: Limits


class Tester:
    """Runs suites' tests in the process of ``tests``, against one ``sample`` each.

    A context manager; the process starts with the first job.
    """

    def __init__(self, jail: Jail, tests: Program, sample: Program) -> None:
        self._jail, self._tests, self._sample = jail, tests, sample
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def verdict(self, id_: str, job: bytes, total: int) -> Verdict:
        """Let the suite's test of ``total`` parts decide on a sample.

        A tester that is gone is not this sample's fault unless a fresh one goes, too.
        """
        for _ in range(2):
            fresh = self._running is None
            running = self._running = self._running or _Running(self._jail, self._tests)
            connection = running.begin(job)
            if connection is not None:
                end, reply = self._meet(running, connection)
                if reply is not None:
                    return _judged(id_, reply, end, total)
            self._end()
            if fresh and connection is None:
                detail = f"the tester did not start: {running.said}"
                return Verdict(id_, "not-run", 0, total, detail)
            if fresh:
                break
        detail = "the test ended on what the model's code returned"
        return Verdict(id_, "error", 0, total, detail)

    def _meet(
        self, running: _Running, connection: socket.socket
    ) -> tuple[JailResult, bytes | None]:
        """Start a sample at its end of a connection: how it ended, and what the tester says."""
        limits = self._sample.limits
        with connection:
            prisoner = self._jail.start(
                self._sample.command,
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                mounts=self._sample.mounts,
                limits=limits,
            )
        stop = running.control.fileno()
        end = prisoner.wait(limits.wall_s, MIB, limits.printed_bytes, stop)
        return result(end, limits), running.reply()

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
        self._running = None


class _Running:
    """A tester's process: it takes jobs over a socket, and connects to samples over another."""

    def __init__(self, jail: Jail, tests: Program) -> None:
        short = len(tempfile.gettempdir()) < _LONGEST_FOLDER
        self._folder = Path(tempfile.mkdtemp(prefix="bench-", dir=None if short else "/tmp"))  # noqa: S108
        place = self._folder / "samples"
        user = jail.draw()
        self._samples = socket.socket(socket.AF_UNIX)
        self._samples.bind(str(place))
        self._samples.listen()
        self._samples.settimeout(_START_S)
        for path in (place, self._folder):
            os.chown(path, jail.owner(user), -1)
        self.said = ""
        self.control, theirs = socket.socketpair()
        self.control.settimeout(_START_S)
        with theirs:
            self._prisoner: Prisoner = jail.start(
                [*tests.command, str(place)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                mounts=[*tests.mounts, self._folder],
                limits=tests.limits,
                user=user,
            )

    def begin(self, job: bytes) -> socket.socket | None:
        """Hand over a job; the socket for its sample, None where the tester does not work."""
        try:
            self.control.sendall(len(job).to_bytes(_HEAD, "big") + job)
            return self._accepted()
        except OSError:
            end = self._prisoner.wait(0, MIB, MIB)
            self.said = end.printed.decode(errors="replace").strip()[-300:]
            return None

    def _accepted(self) -> socket.socket:
        """The connection of a tester; it fails early where the tester ends instead."""
        ready, _, _ = select.select([self._samples, self.control], [], [], _START_S)
        if self._samples not in ready:
            raise ConnectionError("no tester")
        return self._samples.accept()[0]

    def reply(self) -> bytes | None:
        """The report on the job; None where there is none."""
        self.control.settimeout(_REPLY_S)
        with contextlib.suppress(OSError):
            size = int.from_bytes(self._received(_HEAD), "big")
            if 0 < size <= _LONGEST_REPLY:
                return self._received(size)
        return None

    def _received(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = self.control.recv(size - len(received))
            if not data:
                raise ConnectionError("the tester ended")
            received += data
        return bytes(received)

    def end(self) -> None:
        """End the process and remove its folder."""
        self.control.close()
        self._samples.close()
        if self._prisoner.process.returncode is None:
            self._prisoner.kill()
            self._prisoner.wait(0, MIB, MIB)
        shutil.rmtree(self._folder, ignore_errors=True)


def _judged(id_: str, reply: bytes, end: JailResult, total: int) -> Verdict:
    """The tester's word, and where the sample died under it, how the sample ended."""
    outcome, held, detail = reply.decode(errors="replace").split(" ", 2)
    if outcome == "not-run":
        return Verdict(id_, outcome, 0, total, f"{detail}; {said(end)}")
    if outcome == "died":
        outcome = end.outcome if end.outcome not in ("exited", "stopped") else "error"
        detail = f"{detail}; {said(end)}"
    return Verdict(id_, outcome, int(held), total, detail)
