"""A compiler that dies: who is blamed, and that the others are compiled all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.scoring.sandbox import batch, binary
from bench.scoring.sandbox.batch import Compiled, Unit, compile_batch
from bench.scoring.sandbox.limits import JailResult


def unit(text: str) -> Unit:
    return Unit((("A.java", text),))


class Compiler:
    """Answers each unit in turn until one ends it; counts its starts."""

    def __init__(self, ends: Callable[[int, str], int | None]) -> None:
        self.ends, self.starts = ends, 0

    def __call__(self, request: bytes) -> JailResult:
        self.starts += 1
        reader = binary.Reader(request)
        channel, status = bytes([binary.READY]), 0
        for place in range(reader.integer()):
            reader.integer()
            reader.block()
            text = reader.block().decode()
            status = self.ends(place, text) or 0
            if status:
                break
            channel += b"\1" + binary.text(text)
        return JailResult("error" if status else "exited", status, channel, b"x", 1, 1, 0)


def compiled(compiler: Callable[[bytes], JailResult], *texts: str) -> list[Compiled]:
    read = lambda reader: {"code": reader.block()}  # noqa: E731
    return compile_batch("Java", compiler, [unit(text) for text in texts], read)


@pytest.mark.parametrize("status", [batch.DEADLINE, 1, 137])
def test_a_unit_that_ends_the_compiler_takes_itself_along(status):
    compiler = Compiler(lambda place, text: status if text == "bomb" else None)
    found = compiled(compiler, "bomb", "a", "b", "bomb", "c", "bomb")
    assert [one.code is not None for one in found] == [False, True, True, False, True, False]
    assert not any(one.broken for one in found)
    assert "gave up" in found[0].problem


def test_what_a_unit_leaves_behind_is_not_the_next_ones_fault():
    compiler = Compiler(lambda place, text: 3 if place == 2 else None)
    found = compiled(compiler, "a", "b", "c", "d", "e")
    assert all(one.code is not None for one in found)
    assert compiler.starts == 3


def test_a_deadline_is_the_fault_of_the_unit_that_meets_it():
    compiler = Compiler(lambda place, text: batch.DEADLINE if text == "slow" else None)
    found = compiled(compiler, "a", "slow", "b")
    assert [one.code is not None for one in found] == [True, False, True]
    assert compiler.starts == 2


def test_a_compiler_that_does_not_start_judges_nobody():
    found = compiled(lambda request: JailResult("error", 1, b"", b"no JVM", 1, 1, 0), "a", "b")
    assert [(one.code, one.broken) for one in found] == [(None, True)] * 2
    assert "no JVM" in found[0].problem
