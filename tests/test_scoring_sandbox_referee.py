"""What a jailed program said is read and judged where a process may die of it."""

from __future__ import annotations

import os
import signal

import pytest

from bench.scoring.sandbox import binary, lines, referee
from bench.scoring.sandbox.inside import wire
from bench.scoring.sandbox.limits import JailResult

CHECK = {"types": {"args": [], "result": "int"}, "cases": [{"args": [], "result": 4}]}
LOADED = lines.READY + wire.line({"value": None})
#: They leave the same remainder by the prime that Python's hash of integers divides by.
COLLIDING = [((1 << 61) - 1) * number for number in range(100_000)]


def decided(channel: bytes, form="lines", check=CHECK):
    end = JailResult("exited", 0, channel, b"", 0.1, 0.1, 0)
    return referee.decide(form, "id", check, end)


def answer(value: object) -> bytes:
    return LOADED + wire.line({"value": value})


def test_answers_of_both_forms_are_judged():
    right = bytes([binary.READY, binary.LOADED, binary.VALUE]) + binary.write(4)
    assert decided(answer(4)).outcome == "passed"
    assert decided(right, "binary").outcome == "passed"
    wrong = decided(answer(5))
    assert (wrong.outcome, wrong.detail) == ("failed", "case 0: returned 5, expected 4")


def test_code_that_did_not_load_is_told_in_its_own_words():
    channel = lines.READY + wire.line({"raised": ["MemoryError"], "text": "MemoryError: x"})
    found = decided(channel)
    assert (found.outcome, found.detail) == ("memory", "MemoryError: x")
    assert decided(lines.READY).outcome == "error"


@pytest.mark.parametrize("form", ["set", "frozenset", "dict"])
def test_colliding_members_cost_their_own_sample(monkeypatch, form):
    monkeypatch.setattr(referee, "CPU_S", 1)
    members = [[one, 1] for one in COLLIDING] if form == "dict" else COLLIDING
    found = decided(answer({"t": form, "v": members}))
    assert (found.outcome, found.cases_passed) == ("failed", 0)
    assert "too slow" in found.detail
    assert decided(answer(4)).outcome == "passed"


def test_colliding_members_of_the_binary_form(monkeypatch):
    monkeypatch.setattr(referee, "CPU_S", 1)
    members = b"".join(binary.write(one) for one in COLLIDING)
    body = b"S" + binary.integer(len(COLLIDING)) + members
    channel = bytes([binary.READY, binary.LOADED, binary.VALUE]) + body
    assert "too slow" in decided(channel, "binary").detail


@pytest.mark.parametrize(
    "value",
    [
        {"t": "Fraction", "v": "1e999999999"},
        {"t": "int", "v": "f" * 900_000},
        {"t": "ref", "v": 0},
        {"t": "range", "v": ["0", "f" * 99_999, "1"]},
        "x" * 5_000_000,
        [[]] * 500_000,
        {"key": []},
    ],
    ids=lambda value: str(value)[:20],
)
def test_large_and_odd_values_are_wrong_ones(value):
    found = decided(answer(value))
    assert found.outcome in ("failed", "error")
    assert len(found.detail) < 500


def test_a_nested_list_is_a_wrong_answer():
    found = decided(LOADED + b'{"value":' + b"[" * 700 + b"]" * 700 + b"}\n")
    assert "nested too deeply" in found.detail


def test_time_is_counted_anew_for_each_sample(monkeypatch):
    monkeypatch.setattr(referee, "CPU_S", 1)
    process = referee._referee(os.getpid())._process
    for _ in range(12):  # together they take more than a second
        assert decided(answer([[]] * 150_000)).outcome == "failed"
    assert referee._referee(os.getpid())._process is process


def test_a_process_that_was_killed_is_started_again():
    assert decided(answer(4)).outcome == "passed"
    process = referee._referee(os.getpid())._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert decided(answer(4)).outcome == "passed"
