"""The bytes that cross to and from Java and C#."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import casetypes
from bench.scoring.sandbox import binary
from bench.scoring.sandbox.binary import OPAQUE, Reader

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters()),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=20,
)


@given(plain)
def test_values_survive(value):
    assert Reader(binary.write(value)).value() == value


def test_types_decide_the_form():
    char = casetypes.parse("list[char]")
    assert binary.write(["a"], char) == b"l\0\0\0\1c\0a"
    assert binary.write({"type": "char", "value": "a"}, casetypes.parse("any")) == b"c\0a"
    assert binary.write({1: "x"}, casetypes.parse("map[int,char]"))[:5] == b"m\0\0\0\1"
    assert binary.write(None, casetypes.parse("optional[int]")) == b"n"


def test_lists_within_sets_become_hashable():
    nested = b"S\0\0\0\1l\0\0\0\1i" + bytes(7) + b"\5"
    assert Reader(nested).value() == {(5,)}
    assert Reader(b"o").value() is OPAQUE
    assert OPAQUE != 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"i\0",
        b"s\x7f\xff\xff\xff",
        b"s\xff\xff\xff\xff",
        b"l\x7f\xff\xff\xff",
        b"m\xff\xff\xff\xff",
        b"l\0\0\0\1" * 500,
        b"I\0\0\0\1\0x",
    ],
    ids=lambda data: repr(data[:8]),
)
def test_cut_or_forged_values_are_refused(data):
    with pytest.raises(ValueError):  # whatever it says, it is this class
        Reader(data).value()


def test_answers_end_where_the_data_is_cut():
    whole = bytes([binary.VALUE]) + binary.write(7)
    answers = Reader(whole * 2 + whole[:-1]).answers()
    assert [answer.value for answer in answers] == [7, 7]


@given(st.binary(max_size=300))
def test_noise_yields_answers_without_an_accident(noise):
    Reader(noise).answers()
    Reader(bytes([binary.VALUE]) + noise).answers()
