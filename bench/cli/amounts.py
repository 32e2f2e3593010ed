"""Numbers on the command line: each with its unit, or one line that says what is wrong."""

from __future__ import annotations

import argparse
import math

#: More than anybody has, or waits: beyond these is a slip of the hand.
_MOST, _LONGEST = 10**6, 10**6
_SHOWN = 40


def hours(text: str) -> float:
    """A positive number of hours."""
    return _amount(text, "hours")


def minutes(text: str) -> float:
    """A positive number of minutes."""
    return _amount(text, "minutes")


def positive(text: str) -> int:
    """A positive whole number."""
    plain = text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST))
    if not plain or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(
            f"{text[:_SHOWN]!r} is not a positive number of at most {_MOST:,}"
        )
    return int(text)


def _amount(text: str, unit: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not text.isascii() or not 0 < amount <= _LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text[:_SHOWN]!r} is not a positive number of {unit} of at most {_LONGEST:,}"
        )
    return amount
