"""Greedy generation in batches: the single answers, whatever the batch, kill or resume."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref

import pytest
import torch

from bench.errors import BenchError
from bench.generate import batches, decode, engines
from bench.generate.cache import KeyValues, grouped_attention
from bench.generate.greedy import greedy, slots_computed
from bench.grid.study import Decoding
from bench.records import Tokens, Track
from tests.tiny_model import model, sentence, tokenizer

PYTHON, ENGLISH = Track("generation", "python"), Track("summarization", "java")
DECODING = Decoding(
    new_tokens={"generation": 14, "summarization": 6, "translation": 14},
    window_tokens=128,
    batch_rows=4,
    check_rows=3,
)
PROMPTS = [
    batches.Prompt(
        str(number), "suite", ENGLISH if number % 3 == 2 else PYTHON, sentence(number, 3 + number)
    )
    for number in range(14)
]


@pytest.fixture(scope="module")
def stopping():
    """A model whose answers end at different lengths, some of them at the limit."""
    return model(stop_share=2.5)


def stops():
    return engines.stop_ids(tokenizer())


def answered(of, prompts=PROMPTS, decoding=DECODING, out=None, progress=None, budget=None):
    engine = engines.Greedy(of, tokenizer())
    return decode.generate(engine, tokenizer(), prompts, decoding, out, progress, budget)


def answers(of, prompts=PROMPTS, decoding=DECODING, out=None, progress=None):
    tokens = answered(of, prompts, decoding, out, progress).tokens
    return [json.loads(line) for line in out.read_text().splitlines()], tokens


def planned(prompts=PROMPTS, decoding=DECODING, batch_tokens=None):
    return batches.batches(batches.encode(tokenizer(), prompts, decoding), decoding, batch_tokens)


class Slots:
    """Counts the slots of every forward of a model."""

    def __init__(self, of):
        self.count, self.calls = 0, 0
        self.hook = of.register_forward_pre_hook(self.see, with_kwargs=True)

    def see(self, module, args, kwargs):
        self.calls += 1
        self.count += kwargs["input_ids"].numel()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.hook.remove()


def encoded(numbers):
    return [tokenizer()(sentence(number, 3 + number))["input_ids"] for number in numbers]


def test_the_models_answers_vary(stopping, tmp_path):
    """Without this the tests below would prove little."""
    lines, _ = answers(stopping, out=tmp_path / "out.jsonl")
    assert {line["finish_reason"] for line in lines} == {"stop", "length"}
    assert len({line["output_tokens"] for line in lines}) >= 4
    assert len({line["text"] for line in lines}) >= 6


@pytest.mark.parametrize("limits", [[14] * 9, [3, 14, 1, 9, 14, 2, 14, 14, 5]], ids=["one", "own"])
def test_a_batch_answers_as_each_prompt_alone_and_as_transformers(stopping, limits):
    ids = encoded(range(9))
    batch = greedy(stopping, ids, limits, stops(), 0)
    for row, limit, output in zip(ids, limits, batch, strict=True):
        assert greedy(stopping, [row], [limit], stops(), 0) == [output]
        reference = stopping.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=sorted(stops()),
            pad_token_id=0,
        )
        assert reference[0, len(row) :].tolist() == output


def test_padding_stands_left_and_no_row_sees_it(stopping):
    ids = encoded([0, 12])
    seen = []
    hook = stopping.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    try:
        outputs = [greedy(stopping, ids, [8, 8], stops(), pad) for pad in (0, 77)]
    finally:
        hook.remove()
    assert outputs[0] == outputs[1]
    short, wide = len(ids[0]), len(ids[1])
    assert seen[0]["input_ids"][0].tolist() == [0] * (wide - short) + ids[0]
    assert seen[0]["position_ids"][0, wide - short :].tolist() == list(range(short))
    assert seen[0]["attention_mask"][0].tolist() == [0] * (wide - short) + [1] * short


def test_nothing_keeps_a_cache_when_its_batch_is_answered(stopping, monkeypatch):
    made = []
    init = KeyValues.__init__
    monkeypatch.setattr(
        KeyValues,
        "__init__",
        lambda self, *sizes: (init(self, *sizes), made.append(weakref.ref(self)))[0],
    )
    gc.disable()
    try:
        greedy(stopping, encoded([0, 12]), [8, 8], stops(), 0)
        assert [one() for one in made] == [None]
    finally:
        gc.enable()


def test_rows_end_at_a_stop_token_or_at_their_limit(stopping):
    outputs = greedy(stopping, encoded(range(9)), [14] * 9, stops(), 0)
    for output in outputs:
        assert len(output) <= 14
        assert not stops() & set(output[:-1])
        assert len(output) == 14 or output[-1] in stops()


def test_both_ends_stop_an_answer_and_neither_is_in_its_text(stopping, tmp_path):
    names = ["<|endoftext|>", "<|im_end|>"]
    assert stops() == set(tokenizer().convert_tokens_to_ids(names))
    lines, _ = answers(stopping, out=tmp_path / "out.jsonl")
    assert all("<|" not in line["text"] for line in lines)


@pytest.mark.parametrize("count", [1, 4, 9, 14])
def test_slots_computed_are_told_from_the_lengths_alone(stopping, count):
    ids = encoded(range(count))
    with Slots(stopping) as slots:
        outputs = greedy(stopping, ids, [14] * count, stops(), 0)
    lengths = [len(row) for row in ids], [len(output) for output in outputs]
    assert slots_computed(*lengths) == slots.count


def test_finished_rows_leave_the_batch(stopping):
    with Slots(stopping) as slots:
        greedy(stopping, encoded(range(8)), [14] + [1] * 7, frozenset(), 0)
    assert slots.count == 8 * max(map(len, encoded(range(8)))) + 13
    assert slots.calls == 14


def test_lines_say_what_was_asked_and_answered(stopping, tmp_path):
    lines, tokens = answers(stopping, out=tmp_path / "out.jsonl")
    by_id = {line["id"]: line for line in lines}
    assert len(by_id) == len(lines) == len(PROMPTS)
    for prompt in PROMPTS:
        line = by_id[prompt.id]
        assert line["prompt_sha256"] == prompt.sha256
        assert line["prompt_tokens"] == len(tokenizer()(prompt.text)["input_ids"])
        assert (line["task"], line["language"]) == (prompt.track.task, prompt.track.language)
        assert line["output_tokens"] <= DECODING.new_tokens[prompt.track.task]
        assert "output" not in line  # the answer is found when it is scored
    emitted = sum(line["output_tokens"] for line in lines)
    assert tokens.trained == emitted
    assert tokens.real == emitted + sum(line["prompt_tokens"] for line in lines)


def test_the_plan_is_fixed_whatever_the_order_of_the_prompts():
    plan = planned()
    assert plan == planned(list(PROMPTS))
    for batch in plan:
        assert len(batch) <= DECODING.batch_rows
        assert len({DECODING.new_tokens[one.prompt.track.task] for one in batch}) == 1
        lengths = [len(one.ids) for one in batch]
        assert lengths == sorted(lengths)
    other = planned(PROMPTS[::-1])
    assert [[len(one.ids) for one in batch] for batch in plan] == [
        [len(one.ids) for one in batch] for batch in other
    ]
    assert planned([]) == []


def test_answers_do_not_depend_on_the_size_of_a_batch(stopping, tmp_path):
    found = []
    for rows in (1, 5, 64):
        decoding = DECODING.model_copy(update={"batch_rows": rows})
        lines, tokens = answers(stopping, decoding=decoding, out=tmp_path / f"{rows}.jsonl")
        found.append((sorted(lines, key=lambda line: line["id"]), tokens.real, tokens.trained))
    assert found[0] == found[1] == found[2]


def test_the_opening_belongs_to_the_answer(stopping, tmp_path):
    opening = "def text(value):\n"
    prompt = batches.Prompt("1", "suite", PYTHON, "a list is " + opening, opening)
    plain = batches.Prompt("1", "suite", PYTHON, prompt.text)
    lines = []
    for name, one in (("open", prompt), ("plain", plain)):
        lines += answers(stopping, [one], out=tmp_path / f"{name}.jsonl")[0]
    assert lines[0]["text"] == opening + lines[1]["text"]
    assert lines[0]["output_tokens"] == lines[1]["output_tokens"]


def length_of(prompt):
    return len(tokenizer()(prompt.text)["input_ids"])


def test_a_prompt_that_fills_the_window_gets_a_line_and_no_answer(stopping, tmp_path):
    window = length_of(PROMPTS[9])
    decoding = DECODING.model_copy(update={"window_tokens": window, "long_prompts": "skip"})
    opened = batches.Prompt("x", "suite", PYTHON, PROMPTS[13].text, "opening")
    lines, tokens = answers(stopping, [*PROMPTS, opened], decoding, tmp_path / "out.jsonl")
    by_id = {line["id"]: line for line in lines}
    assert len(by_id) == len(PROMPTS) + 1
    for prompt in [*PROMPTS, opened]:
        line = by_id[prompt.id]
        if length_of(prompt) >= window:
            assert line["finish_reason"] == "prompt-too-long"
            assert (line["text"], line["output_tokens"]) == ("", 0)
        else:
            assert line["output_tokens"] >= 1
            assert line["prompt_tokens"] + line["output_tokens"] <= window
    asked = sum(line["prompt_tokens"] for line in lines if line["output_tokens"])
    assert tokens.real == asked + tokens.trained


def test_a_prompt_that_fills_the_window_is_refused_before_anything_is_generated(stopping, tmp_path):
    decoding = DECODING.model_copy(update={"window_tokens": length_of(PROMPTS[9])})
    out = tmp_path / "out.jsonl"
    with pytest.raises(BenchError, match="no room for an answer in the window") as told:
        answered(stopping, decoding=decoding, out=out)
    assert "long_prompts" in told.value.hint
    assert not out.exists()


def test_only_prompts_that_are_too_long(stopping, tmp_path):
    decoding = DECODING.model_copy(update={"window_tokens": 2, "long_prompts": "skip"})
    for _ in range(2):
        lines, tokens = answers(stopping, decoding=decoding, out=tmp_path / "out.jsonl")
        assert [line["finish_reason"] for line in lines] == ["prompt-too-long"] * len(PROMPTS)
        assert tokens == Tokens()


class Killed(Exception):
    pass


def kill_after(batches):
    """A progress callback that ends the run behind a batch, and what it has seen."""
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if len(seen) == batches:
            raise Killed

    return progress, seen


@pytest.fixture(scope="module")
def undisturbed(stopping, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out.jsonl"
    _, tokens = answers(stopping, out=out)
    return out.read_bytes(), tokens


def test_lines_are_there_as_soon_as_their_batch_is_answered(stopping, undisturbed, tmp_path):
    out, found = tmp_path / "out.jsonl", []
    answers(
        stopping,
        out=out,
        progress=lambda done, total: found.append((done, total, len(out.read_text().splitlines()))),
    )
    sizes = [len(batch) for batch in planned()]
    assert [done for done, _, _ in found] == [sum(sizes[: n + 1]) for n in range(len(sizes))]
    assert all(done == lines and total == len(PROMPTS) for done, total, lines in found)
    assert out.read_bytes() == undisturbed[0]


TEARS = {
    "whole batches": lambda lines: b"".join(lines[:8]),
    "a torn line": lambda lines: b"".join(lines[:8]) + lines[8][:25],
    "a line without its end": lambda lines: b"".join(lines[:8])[:-1],
    "part of a batch": lambda lines: b"".join(lines[:6]),
    "a part and a torn line": lambda lines: b"".join(lines[:6]) + lines[6][:-9],
    "zeroes behind": lambda lines: b"".join(lines[:4]) + bytes(300),
    "other prompts' lines": lambda lines: b"".join(lines[4:]),
    "a broken count": lambda lines: b"".join(lines).replace(b'"output_tokens": ', b'"other": ', 1),
    "all": b"".join,
    "nothing": lambda lines: b"",
}


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_file_is_continued_to_the_same_file(stopping, undisturbed, tmp_path, tear):
    out = tmp_path / "out.jsonl"
    out.write_bytes(TEARS[tear](undisturbed[0].splitlines(keepends=True)))
    _, tokens = answers(stopping, out=out)
    assert out.read_bytes() == undisturbed[0]
    assert tokens == undisturbed[1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_killed_run_answers_the_rest_only(stopping, undisturbed, tmp_path, count):
    out = tmp_path / "out.jsonl"
    progress, seen = kill_after(count)
    with pytest.raises(Killed):
        answers(stopping, out=out, progress=progress)
    before = out.read_bytes()
    assert undisturbed[0].startswith(before)
    progress, later = kill_after(99)
    with Slots(stopping) as slots:
        _, tokens = answers(stopping, out=out, progress=progress)
    sizes = [len(batch) for batch in planned()]
    assert [done for done, _ in seen + later] == [sum(sizes[: n + 1]) for n in range(len(sizes))]
    assert out.read_bytes() == undisturbed[0]
    assert slots.count < undisturbed[1].processed == tokens.processed
    assert tokens == undisturbed[1]


def test_a_changed_prompt_is_asked_again(stopping, undisturbed, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_bytes(undisturbed[0])
    changed = [
        batches.Prompt(one.id, one.suite, one.track, one.text.replace("count", "value"))
        for one in PROMPTS
    ]
    assert any(new.text != old.text for new, old in zip(changed, PROMPTS, strict=True))
    lines, _ = answers(stopping, changed, out=out)
    assert {line["id"]: line["prompt_sha256"] for line in lines} == {
        one.id: one.sha256 for one in changed
    }


def test_a_prompt_is_cut_at_its_end(stopping, tmp_path):
    """As the study's scripts cut long prompts for summaries: whatever stands last is lost."""
    long = sentence(3, 40)
    ids = tokenizer()(long)["input_ids"]
    shortened = dataclasses.replace(PROMPTS[0], text=long, cut_at=9)
    lines, _ = answers(stopping, [shortened], out=tmp_path / "out.jsonl")
    assert (lines[0]["prompt_tokens"], len(ids)) == (9, 40)
    (reply,) = greedy(stopping, [ids[:9]], [14], stops(), 0)
    assert lines[0]["output_tokens"] == len(reply)
    # A resumed run finds that line again.
    again, _ = answers(stopping, [shortened], out=tmp_path / "out.jsonl")
    assert again == lines


def out_of_memory_above(of, rows):
    """A model whose device has memory for so many rows at once; and what it was asked."""
    asked = []

    def refuse(module, args, kwargs):
        asked.append(len(kwargs["input_ids"]))
        if len(kwargs["input_ids"]) > rows:
            raise torch.OutOfMemoryError("out of memory")

    return of.register_forward_pre_hook(refuse, with_kwargs=True), asked


@pytest.mark.parametrize(("fits", "parts"), [(3, 2), (1, 4)])
def test_out_of_memory_halves_a_batch_and_those_after_it(
    stopping, undisturbed, tmp_path, fits, parts
):
    out = tmp_path / "out.jsonl"
    first, _ = kill_after(1)
    with pytest.raises(Killed):
        answered(stopping, out=out, progress=first)
    hook, asked = out_of_memory_above(stopping, fits)
    try:
        found = answered(stopping, out=out)
    finally:
        hook.remove()
    assert out.read_bytes() == undisturbed[0]
    assert found.batches["halved"][-1] == {"batch": 1, "parts": parts}
    assert sum(rows > fits for rows in asked) == len(found.batches["halved"])
    # A later run counts the same tokens from the lengths alone.
    again = answered(stopping, out=out)
    assert (again.tokens, again.batches) == (found.tokens, found.batches)


def test_a_single_row_that_does_not_fit_ends_the_run(stopping, tmp_path):
    hook, _ = out_of_memory_above(stopping, 0)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            answered(stopping, out=tmp_path / "out.jsonl")
    finally:
        hook.remove()


def test_a_run_goes_on_with_the_token_budget_that_it_began_with(stopping, tmp_path):
    decoding = DECODING.model_copy(update={"batch_tokens": "auto"})
    out = tmp_path / "out.jsonl"
    first, _ = kill_after(2)
    with pytest.raises(Killed):
        answered(stopping, decoding=decoding, out=out, progress=first, budget=lambda _: 60)
    before = out.read_bytes()
    found = answered(stopping, decoding=decoding, out=out, budget=lambda _: 10_000)
    assert found.batches["batch_tokens"] == 60
    assert out.read_bytes().startswith(before)
    assert found.batches["count"] == len(planned(batch_tokens=60))
    fresh = answered(
        stopping, decoding=decoding, out=tmp_path / "new.jsonl", budget=lambda _: 10_000
    )
    assert fresh.batches["batch_tokens"] == 10_000


@pytest.mark.parametrize("prefill_tokens", [1, 30, 61, 10_000])
def test_prompts_read_in_parts_are_answered_alike(stopping, prefill_tokens):
    ids, limits = encoded(range(9)), [14, 3, 14, 9, 14, 14, 2, 14, 5]
    whole = greedy(stopping, ids, limits, stops(), 0)
    with Slots(stopping) as slots:
        assert greedy(stopping, ids, limits, stops(), 0, prefill_tokens) == whole
    lengths = [len(row) for row in ids], [len(row) for row in whole]
    assert slots_computed(*lengths, prefill_tokens) == slots.count


def test_heads_that_share_keys_are_attended_as_transformers_does():
    torch.manual_seed(0)
    query, (key, value) = torch.randn(3, 6, 1, 8), torch.randn(2, 3, 2, 11, 8)
    bias = torch.zeros(3, 1, 1, 11)
    bias[1, ..., :4] = -torch.inf
    found, _ = grouped_attention(None, query, key, value, bias, scaling=0.3)
    repeated = [one.repeat_interleave(3, dim=1) for one in (key, value)]
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, *repeated, attn_mask=bias, scale=0.3
    )
    torch.testing.assert_close(found, wanted.transpose(1, 2))


def test_a_few_answers_are_written_again_alone(stopping, tmp_path):
    out = tmp_path / "out.jsonl"
    first, _ = kill_after(2)
    with pytest.raises(Killed):
        answered(stopping, out=out, progress=first)
    found = answered(stopping, out=out)
    engine = engines.Greedy(stopping, tokenizer())
    assert found.sample.effect(engine) == {"checked": 3, "differing": 0, "first_token": None}

    class Other(engines.Greedy):
        def answer(self, ids, limits):
            return [[*row[:1], -1] for row in super().answer(ids, limits)]

    effect = found.sample.effect(Other(stopping, tokenizer()))
    assert (effect["checked"], effect["differing"], effect["first_token"]) == (3, 3, 1)
    assert answered(stopping, out=out).sample.effect(engine)["checked"] == 3
    at_once = tmp_path / "at_once.jsonl"
    answered(stopping, out=at_once).sample.effect(engine)
    sampled = [one.with_suffix(".sample.jsonl").read_bytes() for one in (out, at_once)]
    assert sampled[0] == sampled[1]
    none = DECODING.model_copy(update={"check_rows": 0})
    assert answered(stopping, decoding=none, out=out).sample.effect(engine) is None


def test_answers_that_were_not_kept_are_told(stopping, tmp_path):
    out = tmp_path / "out.jsonl"
    answered(stopping, out=out)
    out.with_suffix(".sample.jsonl").write_text("{torn\n")
    effect = answered(stopping, out=out).sample.effect(engines.Greedy(stopping, tokenizer()))
    assert effect == {"checked": 0, "differing": 0, "first_token": None, "missing": 3}
