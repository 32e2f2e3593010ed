"""Text for a terminal of few characters (ASCII, Latin-1): typography in plain letters.

Python would end in a traceback, or show the code of a dash. Letters of names stay exact: one
that cannot be shown is told by its code.
"""

from __future__ import annotations

import codecs
import io

#: The error handler's name, as a stream knows it.
HANDLER = "bench.plain"
#: What reports and messages are set in, beside letters; one character each, where one will do.
_PLAIN = {
    **dict.fromkeys("–—−‐‑─━═╌", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╞╡╪", "+"),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("“”„«»", '"'),
    **dict.fromkeys("·•", "."),
    **dict.fromkeys("█▇▆▅▄▃▂▁", "#"),
    "×": "x",
    "→": "->",
    "←": "<-",
    "≥": ">=",
    "≤": "<=",
    "≈": "~",
    "…": "...",
    "±": "+-",
    "µ": "u",
    "δ": "delta",
    "§": "section ",
    "⏎": "",
    "✓": "ok",
    "✗": "x",
    "\u00a0": " ",
    "\u202f": " ",
}
_SUPERSCRIPTS = {one: f"[{number}]" for number, one in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}


def adapt(stream: io.TextIOWrapper) -> None:
    """Let a stream show whatever its encoding lacks by its nearest letters."""
    stream.reconfigure(errors=HANDLER)


def plain(text: str) -> str:
    """Characters that cannot be shown: typography by its nearest in ASCII, others by code."""
    return "".join(_one(character) for character in text)


def _one(character: str) -> str:
    for table in (_PLAIN, _SUPERSCRIPTS):
        if character in table:
            return table[character]
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is not text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("ascii", "backslashreplace").decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


codecs.register_error(HANDLER, _replace)
