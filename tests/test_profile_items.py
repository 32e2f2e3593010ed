"""What a profile measures: told apart, sent whole, chosen by words."""

from __future__ import annotations

import json

import pytest

from bench.costs import Shape
from bench.data import architectures
from bench.grid import study
from bench.profile import items

PAPER = study.load("paper")
SHAPES = {base.name: architectures.shape(base, None) for base in PAPER.sizes}


@pytest.fixture(params=[True, False], ids=["gpu", "cpu"])
def everything(request):
    return items.of_study(SHAPES, gpu=request.param)


def test_labels_tell_items_apart(everything):
    labels = [one.label for one in everything]
    assert len(set(labels)) == len(labels) >= 15


def test_an_item_survives_the_way_to_its_process(everything):
    for one in everything:
        assert items.from_json(json.loads(json.dumps(one.as_json()))) == one


def test_every_size_is_trained_by_both_kinds_of_methods(everything):
    trained = {(one.size, one.method) for one in everything if one.item == "train"}
    assert trained == {(size, method) for size in SHAPES for method in ("qlora", "full")}


def test_on_a_cpu_depth_is_cut_and_width_is_not():
    for one in items.of_study(SHAPES, gpu=False):
        whole = SHAPES[one.size]
        assert one.shape.layers == items.CPU_LAYERS
        assert (one.shape.hidden, one.shape.vocabulary) == (whole.hidden, whole.vocabulary)


def test_the_published_way_is_two_rows_and_the_stock_loss(everything):
    for one in everything:
        if one.plan == "published":
            training = one.training(PAPER)
            chosen = training.full if one.method == "full" else training.qlora
            assert chosen.rows_per_micro_batch == 2
            assert chosen.gradient_checkpointing is (one.method == "full")
            assert one.fit(PAPER, 2, checkpointing=False, gpu=True).stock_loss


def test_items_are_chosen_by_the_words_of_their_labels(everything):
    found = items.matching(everything, ["train 3b"])
    ways = {"train 3b qlora tuned", "train 3b qlora tuned compile", "train 3b full tuned"}
    assert {one.label for one in found} == ways
    assert items.matching(everything, []) == everything
    assert items.matching(everything, ["train 4b"]) == []


def test_a_study_of_one_size_has_no_item_twice():
    found = items.of_study({"tiny": Shape(64, 2, 4, 2, 160, 512, tied=True)}, gpu=True)
    assert len(found) == len({one.label for one in found})
