"""Two runs are compared by their weights, answers and values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench import cli
from bench.errors import DataError
from bench.grid import store
from bench.records import Outcome
from bench.run import likeness, outcomes


def make(folder: Path, *, weights: bytes, answers: dict[str, str], metrics: dict) -> Path:
    lines = [json.dumps({"suite": "s", "id": id_, "text": said}) for id_, said in answers.items()]
    contents = {
        "train": {"model.safetensors": weights},
        "generate": {"generations.jsonl": "\n".join(lines).encode()},
        "score": {"scores.json": json.dumps({"metrics": metrics}).encode()},
    }
    for stage, files in contents.items():
        place = folder / "cells" / "mt-fft-2m" / "multi-task" / stage
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).write_bytes(content)
        bare = outcomes.bare_record("k", stage, Outcome.OK, None)
        store.seal(place, dataclasses.replace(bare))
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Path:
    answers = {"a": "return 1", "b": "return 2"}
    metrics = {"pass@1": 0.5, "bleu": 0.25, "side": None}
    return make(tmp_path / "first", weights=b"one", answers=answers, metrics=metrics)


def test_a_run_is_like_itself(first):
    weights, answers, values = likeness.compare(first, first)
    assert (weights.both, weights.equal, weights.same) == (1, 1, True)
    assert (answers.both, answers.equal, answers.alone) == (2, 2, 0)
    assert (values.both, values.equal, values.same) == (2, 2, True)


def test_every_difference_is_counted_and_named(first, tmp_path):
    answers = {"a": "return 1", "b": "return 3", "c": "pass"}
    metrics = {"pass@1": 0.75, "side": 0.1}
    other = make(tmp_path / "other", weights=b"two", answers=answers, metrics=metrics)
    weights, said, values = likeness.compare(first, other)
    place = "cells/mt-fft-2m/multi-task"
    assert weights.differing == (f"{place}/train/model.safetensors",)
    assert (said.both, said.equal, said.alone) == (2, 1, 1)
    assert said.differing == (f"{place}/generate: s b",)
    assert values.differing == (f"{place}/score: pass@1",)
    assert values.alone == 2
    assert not any(one.same for one in (weights, said, values))


def test_the_command_says_it_and_exits_so(first, tmp_path, capsys):
    assert cli.main(["verify", str(first), "--like", str(first)]) == 0
    assert "answers: 2 of 2 the same" in capsys.readouterr().out
    other = make(tmp_path / "other", weights=b"two", answers={"a": "x"}, metrics={"bleu": 0.25})
    assert cli.main(["verify", str(first), "--like", str(other)]) == 1
    assert "differs: cells/mt-fft-2m/multi-task/generate: s a" in capsys.readouterr().out


def test_what_is_no_run_is_named(first, tmp_path):
    with pytest.raises(DataError, match="nowhere: no finished stage"):
        likeness.compare(first, tmp_path / "nowhere")
