"""Standard input, output and error: there, and what was written to them has arrived.

Where one is closed, the next file that is opened takes its number, and what a child prints
goes into that file. Where the output cannot be written (a full disk, a reader that has gone),
Python may say so at its very end, in a traceback, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from bench.errors import MachineError

#: The exit code of a command whose reader has gone, as a shell tells SIGPIPE.
GONE = 141


class _Stream:
    """A stream that remembers why it could not be written: flushed again, it may say nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        with self._noting():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._noting():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error
            raise


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Open what is closed, and make sure at the end that all has been written.

    Raises:
        MachineError: standard output is closed, or output or error cannot be written.
        SystemExit: nobody reads what was written any more.
    """
    for number in range(3):
        _open(number)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - until the end
    if sys.stdout is None:
        raise MachineError("standard output is closed", hint="redirect it, if only to /dev/null")
    before = sys.stdout, sys.stderr
    streams = [_Stream(one) for one in before]
    sys.stdout, sys.stderr = (cast("TextIO", one) for one in streams)
    try:
        yield
    except Exception:
        if not any(one.error for one in streams):
            raise
    finally:
        for one in streams:
            with contextlib.suppress(OSError, ValueError):
                one.flush()
        sys.stdout, sys.stderr = before
        error = next((one.error for one in streams if one.error), None)
        if error is not None:
            _give_up(streams)
            _raise(error)


def failed() -> bool:
    """Whether what was printed could not be written."""
    return any(getattr(one, "error", None) for one in (sys.stdout, sys.stderr))


def _raise(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise SystemExit(GONE) from None
    told = f"standard output or error cannot be written: {error.strerror}"
    raise MachineError(told, hint="free some space there, or send it elsewhere") from None


def _open(number: int) -> None:
    """Let a number that is free be that of a device which takes and says nothing."""
    try:
        os.fstat(number)
    except OSError:
        _nothing(number)


def _give_up(streams: list[_Stream]) -> None:
    """Drop what cannot be written, so that nothing is said of it at the very end."""
    for one in streams:
        if one.error is not None:
            with contextlib.suppress(OSError, ValueError):
                _nothing(one.fileno())


def _nothing(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
