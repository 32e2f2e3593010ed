"""How a stage is asked to end (SIGTERM), and how one that has much to lose ends in its own time.

A request ends most stages where they stand: ``Stopped`` is raised, ``finally`` clauses run.
A training defers it: it looks at the end of each optimizer step whether it has been asked,
writes a checkpoint, and raises ``Stopped`` itself. A further request ends it at once.
"""

from __future__ import annotations

import dataclasses
import time

#: Requests so close together are one: a scheduler tells a whole group of processes, and the
#: runner, which was told too, tells its stages again.
SAME_REQUEST_S = 3.0


class Stopped(BaseException):
    """A stage was asked to end; its work is kept, and its record says so."""


@dataclasses.dataclass(slots=True)
class _Request:
    deferred: bool = False
    asked_s: float | None = None


_request = _Request()


def ask() -> None:
    """Ask this process to end: what its handler of SIGTERM does.

    Raises:
        Stopped: unless the end is deferred, and this is the first request.
    """
    now = time.monotonic()
    if _request.deferred:
        if _request.asked_s is None:
            _request.asked_s = now
            return
        if now - _request.asked_s < SAME_REQUEST_S:
            return
    raise Stopped


def defer() -> None:
    """From here on somebody looks regularly whether the process is ``asked`` to end."""
    _request.deferred, _request.asked_s = True, None


def asked() -> bool:
    """Whether the process was asked to end while that was deferred."""
    return _request.asked_s is not None


def settle() -> None:
    """Nobody looks any more: from here on a request ends the process where it stands.

    Raises:
        Stopped: there was one already.
    """
    was_asked = asked()
    _request.deferred, _request.asked_s = False, None
    if was_asked:
        raise Stopped
