"""Answers as lines of tagged JSON: what a jailed Python program writes (``inside/wire.py``)."""

from __future__ import annotations

from bench.scoring.sandbox.cases import Answer, Told
from bench.scoring.sandbox.inside import wire

#: What the interpreter writes before it reads anything of a model's.
READY = wire.line({"ready": True})


class _Opaque:
    """A value that is not plain: equal to nothing."""

    def __repr__(self) -> str:
        return "an object"


def told(channel: bytes) -> Told:
    """What a program said behind ``READY``: how its source loaded, then one answer a call."""
    loaded, *answers = [_answer(line) for line in channel.split(b"\n")[1:-1]] or [Answer()]
    return Told(answers, loaded if loaded.raised is not None else None)


def _answer(reply: bytes) -> Answer:
    try:
        message = wire.parse(reply)
        if "value" in message:
            return Answer(wire.decode(message["value"], lambda number: _Opaque()))
        return Answer(raised=tuple(map(str, message["raised"])), text=str(message["text"]))
    except (ValueError, TypeError, KeyError) as error:
        return Answer(raised=(), text=f"malformed answer: {error}")
