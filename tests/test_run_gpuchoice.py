"""``--gpus``: numbers and UUIDs within what the caller shows, and no GPU by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError, MachineError
from bench.run import gpuchoice, gpuprobe
from tests.fake_gpus import device, found, uuid

FOUR = found(*(device(index) for index in range(4)))
SHOWN = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def driver(monkeypatch):
    monkeypatch.setattr(gpuprobe, "signs", lambda: True)


@pytest.mark.parametrize(
    ("asked", "shown", "names"),
    [
        (None, None, [0, 1, 2, 3]),
        ("all", None, [0, 1, 2, 3]),
        ("none", None, []),
        ("0,2", None, [0, 2]),
        (" 3 , 1", None, [3, 1]),
        (uuid(1), None, [1]),
        # Within what the caller shows: its first one is the machine's seventh.
        (None, "7,5,3,1", [7, 5, 3, 1]),
        ("0,2", "7,5,3,1", [7, 3]),
        ("1", f"{uuid(0)},{uuid(1)},{uuid(2)},{uuid(3)}", [uuid(1)]),
        (uuid(3), f"{uuid(0)},{uuid(1)},{uuid(2)},{uuid(3)}", [uuid(3)]),
    ],
)
def test_gpus_are_named_as_the_caller_shows_them(asked, shown, names):
    environment = {} if shown is None else {SHOWN: shown}
    assert list(gpuchoice.choose(asked, FOUR, environment)) == names


@pytest.mark.parametrize("asked", ["4", "0,9", "GPU-none", "", "0,,1", "-1", "0.5", "all,0"])
def test_what_is_not_there_is_one_line(asked):
    with pytest.raises(BenchError, match="no GPU") as told:
        gpuchoice.choose(asked, FOUR, {})
    assert "0 NVIDIA H100" in str(told.value)
    assert "--gpus 0,1" in told.value.hint


def test_a_gpu_named_twice_is_one_line():
    with pytest.raises(BenchError, match="named twice"):
        gpuchoice.choose(f"0,{uuid(0)}", FOUR, {})


@given(st.text(max_size=12))
def test_any_text_is_a_choice_or_one_line(text):
    try:
        chosen = gpuchoice.choose(text, FOUR, {})
    except BenchError as error:
        assert "\n" not in error.hint
    else:
        assert set(chosen) <= {0, 1, 2, 3}


def test_a_broken_gpu_is_left_out_and_refused_where_it_is_named():
    seen = found(device(0), device(1, problem="no kernel image"))
    assert list(gpuchoice.choose(None, seen, {})) == [0]
    assert list(gpuchoice.choose("all", seen, {})) == [0]
    with pytest.raises(MachineError, match="no kernel runs on 1"):
        gpuchoice.choose("1", seen, {})


def test_where_none_can_be_used_asking_for_one_is_refused():
    seen = gpuprobe.Found("2.13.0+cpu")
    assert gpuchoice.choose(None, seen, {}) == {}
    for asked in ("all", "0"):
        with pytest.raises(MachineError, match="is the CPU build") as told:
            gpuchoice.choose(asked, seen, {})
        assert "--gpus none" in told.value.hint
