"""Words in any script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from bench.scoring.words import spaced, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Count the vowels, x_1!", ["count", "the", "vowels", "x", "1"]),
        ("naïve na\u0131\u0308ve", ["naïve", "na\u0131\u0308ve"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("返回 sum 和。", ["返", "回", "sum", "和"]),
        ("スキップ", ["ス", "キ", "ッ", "プ"]),
        ("합을 돌려준다", ["합을", "돌려준다"]),
        ("संख्या", ["संख्या"]),
        ("คืนค่า", ["คื", "น", "ค่", "า"]),
        ("\N{GRINNING FACE} ...", []),
        ("", []),
    ],
)
def test_the_words_of_a_text(text, expected):
    assert words(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_text_of_ascii_has_the_words_of_the_library(text):
    assert spaced(text) == text
    assert words(text) == DefaultTokenizer().tokenize(text)


@given(st.text())
def test_no_character_gets_lost(text):
    assert "".join(spaced(text).split()) == "".join(unicodedata.normalize("NFC", text).split())
