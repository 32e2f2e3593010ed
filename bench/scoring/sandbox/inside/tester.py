"""Inside a jail of its own: runs a suite's tests against model-written code in another jail.

For every problem the parent sends a job. A forked child connects to the sample and runs the
test; what the test calls is a proxy that asks the sample. The child states the outcome over a
pipe, which nothing model-written can reach.
"""

from __future__ import annotations

import builtins
import os
import random
import socket
import sys
from collections.abc import Iterator
from typing import Any

import wire  # type: ignore[import-not-found]  # beside this file, see __init__

_LONGEST_LINE = 8 * 1024 * 1024
_LONGEST_DETAIL = 1000
_HEAD = 8


class SampleDied(BaseException):
    """The sample closed its side; not an Exception, so that no test can swallow it."""


class Link:
    """The requests to a sample, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")

    def send(self, message: Any) -> Any:
        """The decoded reply; what the model's code raised is raised here."""
        try:
            self.connection.sendall(wire.line(message))
        except OSError:
            raise SampleDied("it ended") from None
        return self.receive()

    def receive(self) -> Any:
        """The next reply."""
        try:
            text = self.file.readline(_LONGEST_LINE)
        except OSError:
            text = b""
        if not text.endswith(b"\n"):
            raise SampleDied("it ended before it answered")
        message = wire.parse(text)
        if "raised" in message:
            raise _exception(message)
        if "ready" in message:
            return True
        return wire.decode(message["value"], lambda number: Remote(self, number))

    def ask(self, operation: str, *operands: Any) -> Any:
        """Carry out an operation there."""
        return self.send(
            [operation, *(wire.encode(operand, _by_reference) for operand in operands)]
        )


class NotPlain(TypeError):
    """A test hands on a value that it has from the sample and that cannot be sent back."""


def _by_reference(value: Any) -> Any:
    if type(value) is Remote:
        return {"t": "ref", "v": object.__getattribute__(value, "_number")}
    what = f"the test passes a {type(value).__name__}"
    nested = isinstance(value, (list, tuple, dict, set, frozenset))
    if nested or (isinstance(value, type) and value.__module__ != "test"):
        raise NotPlain(f"{what} that it has from the model's code")
    raise wire.Unsupported(what)


def _exception(message: dict[str, Any]) -> BaseException:
    """What the model's code raised, as the nearest built-in exception (never an exit)."""
    for name in message["raised"]:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(str(message["text"]))
            except TypeError:  # a class that wants more arguments
                continue
    return RuntimeError(str(message["text"]))


class Remote:
    """An object of the sample: it can be used, but decides no comparison here."""

    __slots__ = ("_link", "_number")

    def __init__(self, link: Link, number: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)

    def _ask(self, operation: str, *operands: Any) -> Any:
        link: Link = object.__getattribute__(self, "_link")
        try:
            return link.ask(operation, self, *operands)
        except wire.Unsupported as error:  # the model chose to return an object
            raise NotPlain(str(error)) from None

    def __getattr__(self, name: str) -> Any:
        return Remote._ask(self, "attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        Remote._ask(self, "assign", name, value)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it there."""
        return Remote._ask(self, "call", list(arguments), keywords)

    def __bool__(self) -> bool:
        return bool(Remote._ask(self, "truth"))

    def __str__(self) -> str:
        return str(Remote._ask(self, "text"))

    def __len__(self) -> int:
        try:
            measure = Remote._ask(self, "attribute", "__len__")
        except AttributeError as error:
            raise TypeError(str(error)) from None
        return int(measure())

    def __getitem__(self, key: Any) -> Any:
        return Remote._ask(self, "attribute", "__getitem__")(key)

    def __iter__(self) -> Iterator[Any]:
        step = Remote._ask(self, "attribute", "__iter__")().__next__
        while True:
            try:
                yield step()
            except StopIteration:
                return


class Names(dict[str, Any]):
    """The globals of a test: its own, standard modules, and last what the sample defines."""

    def __init__(self, link: Link) -> None:
        super().__init__(__name__="test", __builtins__=builtins)
        self._link = link

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        if name in sys.stdlib_module_names:
            return __import__(name)
        try:
            return self._link.ask("name", name)
        except NameError:
            raise KeyError(name) from None


class Entry:
    """The function under test: called by name, so that it need not be fetched first."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it there."""
        return self._link.ask("call", self._name, list(arguments), keywords)


class Run:
    """One problem: its outcome, how many tests held, and why it ended."""

    def __init__(self, job: dict[str, Any], link: Link) -> None:
        self.job, self.link = job, link
        self.names = Names(link)
        self.entry = Entry(link, job["entry"])
        self.held = 0

    def outcome(self) -> tuple[str, str]:
        """Run the tests and say how it went."""
        try:
            self.prepare()
        except SampleDied as died:
            return "not-run", f"the sample did not start: {died}"
        except Exception as error:  # noqa: BLE001  # the suite's own text is at fault
            return "not-run", f"the suite's prompt: {type(error).__name__}: {error}"
        try:
            self.tests()
        except SampleDied as died:
            return "died", f"test {self.held}: {died}"
        except wire.Unsupported as error:
            return "not-run", f"test {self.held}: {error}"
        except AssertionError as error:
            return "failed", f"test {self.held}: {error}"
        except MemoryError as error:
            return "memory", f"test {self.held}: {error}"
        except BaseException as error:  # noqa: BLE001  # the entry of the child process
            return "error", f"test {self.held}: {type(error).__name__}: {error}"[:400]
        return "passed", ""

    def prepare(self) -> None:
        """Wait for the sample's process and define what the prompt defines."""
        self.link.receive()
        exec(compile(self.job["prompt"], "prompt.py", "exec"), self.names)  # noqa: S102
        self.names[self.job["entry"]] = self.entry
        random.seed(0)  # some tests draw their inputs

    def tests(self) -> None:
        """Load the model's code and run the tests; returns only if they all hold."""
        self.link.send(self.job["source"])
        exec(compile(self.job["setup"], "setup.py", "exec"), self.names)  # noqa: S102
        for test in self.job["asserts"]:
            exec(compile(test, "test.py", "exec"), self.names)  # noqa: S102
            self.held += 1
        if self.job["test"]:
            exec(compile(self.job["test"], "test.py", "exec"), self.names)  # noqa: S102
            self.names["check"](self.entry)
            self.held += 1


def child(job: dict[str, Any], place: str, report: int) -> None:
    """Run one problem and state its outcome."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    run = Run(job, Link(connection))
    outcome, detail = run.outcome()
    os.write(report, f"{outcome} {run.held} {detail[:_LONGEST_DETAIL]}".encode(errors="replace"))


def supervise(job: dict[str, Any], place: str) -> bytes:
    """The report of a forked child, or how it died: its limits bound what a test can spend."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(job, place, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        report = file.read()
    _, status = os.waitpid(pid, 0)
    if report:
        return report
    outcome = "timeout" if os.WIFSIGNALED(status) else "error"
    return f"{outcome} 0 the test ended with status {status} on what the code returned".encode()


def _received(control: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = control.recv(size - len(received))
        if not data:
            break
        received += data
    return bytes(received)


def main() -> None:
    """Serve problems until the parent closes; samples are met at the place that is given."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    while True:
        head = _received(control, _HEAD)
        if len(head) < _HEAD:
            return
        job = wire.parse(_received(control, int.from_bytes(head, "big")))
        report = supervise(job, sys.argv[1])
        control.sendall(len(report).to_bytes(_HEAD, "big") + report)
