"""Lengths of prompts and references, counted or estimated, before a model is loaded."""

from __future__ import annotations

import pytest

from bench.data import lengths, problems, sizes
from bench.data.prompts import wordings
from bench.data.rows import prompt_text
from bench.grid import study
from bench.grid.study import HubBase
from tests.tiny_model import tokenizer

SMOKE = study.load("smoke")


def test_prompts_are_counted_as_a_model_is_given_them():
    suite = SMOKE.suites[0]
    members = problems.suite_problems(suite, SMOKE.tasks, None)[:40]
    wording = wordings.asked(SMOKE.prompts, SMOKE.tasks, None)
    tokens = tokenizer()

    def count(texts):
        return [len(ids) for ids in tokens(list(texts), add_special_tokens=False)["input_ids"]]

    found = lengths.of_tracks(members, suite, wording, count, lengths.COUNTED)
    for track, one in found.items():
        mine = [sample for sample in members if str(sample.track) == track]
        asked = count([prompt_text(sample, wording, tokens) for sample in mine])
        assert one.prompt_longest == max(asked)
        assert one.prompt_mean == pytest.approx(sum(asked) / len(asked))
        assert one.answer_longest == 1 + max(count([sample.reference for sample in mine]))


def test_a_tokenizer_that_is_here_counts_and_none_estimates(tmp_path):
    assert lengths.counter(SMOKE, None)[1] == lengths.ESTIMATED
    tokenizer().save_pretrained(tmp_path)
    base = HubBase(kind="hub", name="mine", repository=str(tmp_path), revision="0" * 40)
    count, basis = lengths.counter(SMOKE.model_copy(update={"sizes": (base,)}), None)
    assert basis == "counted with the tokenizer of mine"
    text = "def text(value):\n    return value"
    assert count([text, "if"]) == [len(tokenizer()(one)["input_ids"]) for one in (text, "if")]


def test_the_papers_longest_prompt_is_not_planned_too_short(mirror):
    """1,188 tokens of Qwen2.5's vocabulary, counted with the real one."""
    told = [
        one
        for suite in sizes.suites(study.load("paper"), mirror)
        for one in suite["lengths"].values()
    ]
    longest = max(one["prompt_longest"] for one in told)
    assert 1188 <= longest < 1.1 * 1188
    assert {one["basis"] for one in told} == {lengths.ESTIMATED}
    # CoderEval's functions to write have no reference in its release.
    assert any(one["answer_mean"] is None for one in told)
