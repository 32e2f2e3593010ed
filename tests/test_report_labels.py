"""Metric keys taken apart, and numbers as they are printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import TRACKS, Track
from bench.report import labels
from bench.report.labels import METRICS, Key

WORDS = st.from_regex(r"[a-z_-]+", fullmatch=True)


@given(
    st.sampled_from(TRACKS),
    st.sampled_from(list(METRICS)) | WORDS,
    st.just("") | WORDS,
    st.just("") | WORDS,
)
def test_a_key_survives_being_taken_apart(track, name, part, variant):
    key = Key(track, name, part, variant)
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize(
    ("text", "key", "label"),
    [
        ("generation/java/pass@1", Key(Track("generation", "java"), "pass@1"), "pass@1"),
        (
            "translation/cs_java/pass@1:humaneval@published",
            Key(Track("translation", "cs_java"), "pass@1", "humaneval", "published"),
            "pass@1 · humaneval · published",
        ),
        (
            "summarization/python/bleu@corrected",
            Key(Track("summarization", "python"), "bleu", "", "corrected"),
            "BLEU · corrected",
        ),
        ("generation/java/novel", Key(Track("generation", "java"), "novel"), "novel"),
    ],
)
def test_keys_and_their_labels(text, key, label):
    assert (Key.parse(text), key.label) == (key, label)


def test_what_is_no_key_is_refused():
    with pytest.raises(ValueError, match="not a metric key: 'pass@1'"):
        Key.parse("pass@1")


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [
        (1.234, 2, False, "1.23"),
        (-1.234, 2, False, "−1.23"),
        (1.234, 1, True, "+1.2"),
        (-0.001, 2, True, "0.00"),
        (0.0, 2, True, "0.00"),
        (1234567.8, 0, False, "1\u2009234\u2009568"),
    ],
)
def test_numbers_have_a_true_minus_and_zero_has_no_sign(value, decimals, signed, text):
    assert labels.number(value, decimals, signed=signed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.7, "1.00k"),
        (12345, "12.3k"),
        (999_600, "1.00M"),
        (7.2e8, "720M"),
    ],
)
def test_counts_keep_three_digits(value, text):
    assert labels.count(value) == text


@given(st.floats(1, 1e12))
def test_a_count_is_within_half_a_percent(value):
    text = labels.count(value)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    shown = float(text.rstrip("kMGT")) * scale
    assert shown == pytest.approx(value, rel=0.0051, abs=0.51)


def test_bytes_seconds_and_p_values():
    assert [labels.mebibytes(2**20 * v) for v in (0.514, 23.44, 415.2, 13312)] == [
        "0.51",
        "23.4",
        "415",
        "13\u2009312",
    ]
    assert [labels.seconds(v) for v in (0.04, 99.9, 123.4)] == ["0.0", "99.9", "123"]
    assert [labels.p_value(p) for p in (None, 0.0004, 0.05, 1.0)] == [
        "–",
        "< 0.001",
        "0.050",
        "1.000",
    ]
    assert [labels.stars(p) for p in (None, 0.05, 0.049, 0.009, 0.0009)] == [
        "",
        "",
        "*",
        "**",
        "***",
    ]
