"""Why a stage is stale is said in the words of its ingredients, and only of what changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.grid import changes, keys

MADE: dict[str, Any] = {
    "recipe": keys.RECIPE,
    "stage": "score",
    "config": {
        "seed": 42,
        "suites": [{"label": "humaneval", "max": 32}, {"label": "mbpp", "max": 32}],
        "targets": ["q_proj", "v_proj"],
    },
    "sources": {"bench/train/loss.py": "1", "bench/run/stages.py:score": "2"},
    "data": {"mbpp/mbpp.jsonl": "1"},
    "machine": {"java": "17"},
    "environment": {"locks": {"run.txt": "1"}, "python": "3.11.2", "image": "1" * 64},
    "upstream": {"generate": "0"},
}


def why(**parts: dict[str, Any]) -> tuple[str, ...]:
    """What is said of some parts that are changed."""
    now = {**MADE, **{name: {**MADE[name], **part} for name, part in parts.items()}}
    return changes.why(keys.canonical_json(MADE), keys.canonical_json(now))


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"sources": {"bench/train/loss.py": "9"}}, "source bench/train/loss.py"),
        ({"sources": {"bench/train/new.py": "9"}}, "source bench/train/new.py (new)"),
        ({"data": {"mbpp/mbpp.jsonl": "9"}}, "data mbpp/mbpp.jsonl"),
        ({"config": {"seed": 43}}, "option seed: 42 → 43"),
        (
            {"config": {"suites": [{"label": "humaneval", "max": 32}, {"label": "mbpp"}]}},
            "option suites.mbpp.max: 32 → absent",
        ),
        ({"config": {"targets": ["q_proj"]}}, 'option targets: ["q_proj", "v_proj"] → ["q_proj"]'),
        ({"machine": {"java": None}}, "this machine's java: 17 → none"),
        ({"environment": {"locks": {"run.txt": "9"}}}, "lock run.txt"),
        ({"environment": {"python": "3.12.0"}}, "python: 3.11.2 → 3.12.0"),
        ({"environment": {"image": "9" * 64}}, f"image: {'1' * 12} → {'9' * 12}"),
        ({"upstream": {"generate": "9"}}, "generate before it"),
    ],
)
def test_each_ingredient_is_named(parts: dict[str, dict[str, Any]], told: str) -> None:
    assert why(**parts) == (told,)


def test_a_file_that_is_no_longer_used_is_told() -> None:
    now = copy.deepcopy(MADE)
    del now["sources"]["bench/train/loss.py"]
    told = changes.why(keys.canonical_json(MADE), keys.canonical_json(now))
    assert told == ("source bench/train/loss.py (no longer used)",)


def test_long_values_are_cut() -> None:
    (told,) = why(config={"prompt": "x" * 100})
    assert told == f"option prompt: absent → {'x' * 39}…"


def test_another_recipe_is_told_alone() -> None:
    before = keys.canonical_json({**MADE, "recipe": 2, "sources": {}})
    told = changes.why(before, keys.canonical_json(MADE))
    assert told == (f"made by another recipe of keys: 2, now {keys.RECIPE}",)


@pytest.mark.parametrize("before", [None, b"", b"{", b"[]", b"null", b'{"recipe": 3}', b"\xff"])
def test_what_was_not_kept_is_said(before: bytes | None) -> None:
    told = changes.why(before, keys.canonical_json(MADE))
    assert told == ("what it was made of is not kept",)


names = st.text("abc/.", min_size=1, max_size=4)
leaves = st.dictionaries(names, st.text("01", max_size=2) | st.none(), max_size=5)


@given(leaves, leaves)
def test_a_line_for_each_difference_and_no_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    told = list(changes.between("data", old, new))
    absent = object()
    differing = {n for n in old.keys() | new.keys() if old.get(n, absent) != new.get(n, absent)}
    assert len(told) == len(differing)
    assert {line.removeprefix("data ").split(" (")[0] for line in told} == differing
