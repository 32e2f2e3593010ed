"""What crosses between model-written and trusted Python keeps its value and loses its lies."""

from __future__ import annotations

import collections
import contextlib
import decimal
import fractions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring.sandbox.inside import wire

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.integers() | st.text())
        | st.sets(st.integers())
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_values_survive(value):
    found = wire.decode(wire.parse(wire.line(wire.encode(value))))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        1 << 40000,
        -(1 << 20000),
        float("inf"),
        "\ud800 alone",
        range(0, 10**30, 7),
        collections.deque([1, 2]),
        fractions.Fraction(1, 3),
        decimal.Decimal("1.10"),
        bytearray(b"ab"),
        int,
    ],
    ids=lambda value: type(value).__name__,
)
def test_rare_values_survive(value):
    found = wire.decode(wire.parse(wire.line(wire.encode(value))))
    assert found == value
    assert type(found) is type(value)


class AlwaysEqual(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __index__(self):
        return 42


class Chatty(str):
    def __str__(self):
        return "a lie"


class Empty(list):
    def __iter__(self):
        return iter(())


def test_subclasses_arrive_as_what_they_are():
    for value, base in ((AlwaysEqual(7), 7), (Chatty("truth"), "truth"), (Empty([1]), [1])):
        found = wire.decode(wire.parse(wire.line(wire.encode(value))))
        assert found == base
        assert type(found) is type(base)


def test_other_objects_need_a_reference():
    with pytest.raises(wire.Unsupported):
        wire.encode([object()])
    held = []

    def reference(value):
        held.append(value)
        return {"t": "ref", "v": len(held) - 1}

    sent = wire.encode([object()], reference)
    assert wire.decode(sent, held.__getitem__)[0] is held[0]


def test_endless_nesting_becomes_a_reference():
    loop = []
    loop.append(loop)
    wire.line(wire.encode(loop, lambda value: {"t": "ref", "v": 0}))


@pytest.mark.parametrize(
    "message",
    [
        b"{}",
        b'{"t":"set","v":[[1]]}',
        b'{"t":"dict","v":[1]}',
        b'{"t":"os.system","v":"x"}',
        b'{"t":"ref","v":0}',
        b'{"t":"type","v":"object"}',
        b'{"t":"Decimal","v":"x"}',
        b'{"t":"Fraction","v":"1/0"}',
        b'{"t":"Fraction","v":"1e999999999"}',
        b'{"t":"Fraction","v":1}',
        b'{"t":"Decimal","v":"1E+999999999"}',
        b'{"t":"int","v":"' + b"f" * 2_000_000 + b'"}',
        b'{"t":"range","v":["0","' + b"f" * 2_000_000 + b'","1"]}',
        b"[" * 700 + b"]" * 700,
        b'{"t":"tuple","v":[' * 400 + b"]}" * 400,
        b'{"t":"dict","v":[[1,' * 400 + b"1" + b"]]}" * 400,
        b"[" * 100000,
        b"not json",
    ],
    ids=lambda message: message[:20],
)
def test_forged_messages_are_refused(message):
    with pytest.raises(ValueError):  # whatever it says, it is this class
        wire.decode(wire.parse(message))


@given(st.binary(max_size=200))
def test_noise_is_a_value_or_an_error(noise):
    with contextlib.suppress(ValueError):
        wire.decode(wire.parse(noise))
