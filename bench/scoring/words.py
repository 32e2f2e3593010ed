"""Words of a text in any script, for the metrics that compare words.

Their tokenizers were made for English: one knows no letter but a to z, all take a Chinese
sentence for one word. Here each character is a word where a script is written without blanks
between words. Text of ASCII stays what it is.
"""

from __future__ import annotations

import unicodedata

import regex

#: The reason where a reference holds nothing that a metric compares.
NOTHING_SEEN = "the reference holds nothing that {metric} compares"

#: A character, with its marks, of a script without blanks between words.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tibetan}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Javanese}\p{Balinese}"
    r"&&[\p{L}\p{N}]]\p{M}*",
    regex.VERSION1,
)
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")


def spaced(text: str) -> str:
    """The text with blanks around each word that has none, its accents in one spelling."""
    if text.isascii():
        return text
    return str(_UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFC", text)))


def words(text: str) -> list[str]:
    """The runs of letters and digits, in lower case."""
    return list(map(str, _WORD.findall(spaced(text).lower())))
