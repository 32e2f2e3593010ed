"""Numbers on the command line: each with its unit, or one line that says what is wrong."""

from __future__ import annotations

import argparse
import math


def hours(text: str) -> float:
    """A positive number of hours."""
    return _amount(text, "hours")


def minutes(text: str) -> float:
    """A positive number of minutes."""
    return _amount(text, "minutes")


def positive(text: str) -> int:
    """A positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _amount(text: str, unit: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of {unit}")
    return amount
