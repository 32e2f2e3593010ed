"""Inside the jail: runs model-written Python and answers calls to it.

Reads one message per line from standard input: first the source, then requests. Replies
go to what was standard output; the model's own prints go to standard error. Nothing here
is trusted by the other side: a reply is a claim about a value, never about success.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from typing import Any

import wire  # type: ignore[import-not-found]  # beside this file, see __init__

_EXCEPTIONS = {
    value: name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


class Sample:
    """The model's module, and the objects of it that the other side holds."""

    def __init__(self, source: str) -> None:
        self.module = type(sys)("solution")
        sys.modules["solution"] = self.module
        self.objects: list[Any] = []
        self.operations: dict[str, Callable[..., Any]] = {
            "name": self.name,
            "call": self.call,
            "attribute": getattr,
            "assign": setattr,
            "truth": bool,
            "text": str,
        }
        exec(compile(source, "solution.py", "exec"), self.module.__dict__)  # noqa: S102

    def name(self, name: str) -> Any:
        """A global of the model's module."""
        try:
            return self.module.__dict__[name]
        except KeyError:
            raise NameError(f"name {name!r} is not defined") from None

    def call(self, function: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Call an object, or a global by its name."""
        target = self.name(function) if isinstance(function, str) else function
        return target(*arguments, **keywords)

    def reference(self, value: Any) -> dict[str, Any]:
        """Keep an object here and send its number."""
        self.objects.append(value)
        return {"t": "ref", "v": len(self.objects) - 1}

    def answer(self, request: list[Any]) -> Any:
        """Carry out one request."""
        operation, *operands = (wire.decode(part, self.objects.__getitem__) for part in request)
        return wire.encode(self.operations[operation](*operands), self.reference)


def raised(error: BaseException) -> dict[str, Any]:
    """A reply that names the built-in classes of an exception."""
    names = [_EXCEPTIONS[kind] for kind in type(error).__mro__ if kind in _EXCEPTIONS]
    try:
        text = f"{type(error).__name__}: {error}"[:300]
    except BaseException:  # noqa: BLE001  # a hostile __str__ ends its own sample at most
        text = type(error).__name__
    return {"raised": names, "text": text}


def main() -> None:
    """Serve until the other side closes."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)

    def reply(message: Any) -> None:
        data = wire.line(message)
        while data:
            data = data[os.write(replies, data) :]

    reply({"ready": True})
    sample: Sample | None = None
    for request in requests:
        try:
            message = wire.parse(request)
            if sample is None:
                sample = Sample(message)
                reply({"value": None})
            else:
                reply({"value": sample.answer(message)})
        except BaseException as error:  # noqa: BLE001  # the entry of the child process
            reply(raised(error))
            if sample is None:
                break
    os._exit(0)
