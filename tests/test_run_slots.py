"""One stage a GPU, the others beside them on the CPU."""

from __future__ import annotations

from bench.grid import keys
from bench.run.slots import ON_GPU, Slot, Slots


def test_without_gpus_every_stage_has_one_thread():
    slots = Slots(2, cores=8)
    taken = [slots.take(stage) for stage in ("train", "score", "generate")]
    assert taken == [Slot(), Slot(), None]
    assert slots.count == 2
    slots.give_back("train", Slot())
    assert slots.take("generate") == Slot()


def test_with_gpus_a_model_has_one_alone_and_scoring_goes_on_beside_it():
    slots = Slots(1, (0, "GPU-1a"), cores=8)
    first, second = slots.take("train"), slots.take("generate")
    assert first == Slot((0,), 4)
    assert second == Slot(("GPU-1a",), 4)
    assert slots.take("train") is None
    assert slots.take("score") == Slot()
    assert slots.take("base") is None
    assert slots.take("embed") is None
    slots.give_back("generate", second)
    assert slots.take("train") == second
    assert slots.count == 3


def test_visible_devices_hide_every_gpu_from_a_slot_without_one():
    assert Slot().visible_devices == ""
    assert Slot((2, "GPU-1a")).visible_devices == "2,GPU-1a"
    assert set(keys.ENTRIES) >= ON_GPU
