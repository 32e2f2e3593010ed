"""What answering costs: one large batch of real prompts, and batches of other sizes.

The model knows nothing, so that every answer runs to its limit: the tokens are the same
in every round and for every size of batch.
"""

from __future__ import annotations

import pytest
import torch

from bench.data.problems import suite_problems
from bench.data.prompts import Prompts
from bench.data.rows import prompt_text
from bench.generate import batches, decode, engines
from bench.grid import study
from bench.train import bases

PROMPTS, NEW_TOKENS = 64, 24


@pytest.fixture(scope="module")
def loaded(untrained):
    return bases.load(untrained, quantize=False, device="cpu")


@pytest.fixture(scope="module")
def prompts(loaded):
    smoke = study.load("smoke")
    wording = Prompts.load(smoke.prompts)
    problems = suite_problems(smoke.suites[0], ("summarization",), None)[:PROMPTS]
    assert len(problems) >= 24
    return [
        decode.Prompt(
            problem.id,
            "embedded",
            problem.track,
            prompt_text(problem, wording, loaded[1]),
        )
        for problem in problems
    ]


#: Rows of a batch, and its tokens at most (rows × the longest prompt and its answer).
@pytest.mark.parametrize(
    ("batch_rows", "batch_tokens"), [(8, None), (64, None), (64, 4096)], ids=["8", "64", "budget"]
)
def test_generate(benchmark, loaded, prompts, tmp_path, batch_rows, batch_tokens):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the executor gives every stage one
    model, tokenizer = loaded
    smoke = study.load("smoke").decoding
    limits = dict.fromkeys(smoke.new_tokens, NEW_TOKENS)
    decoding = smoke.model_copy(
        update={
            "new_tokens": limits,
            "batch_rows": batch_rows,
            "batch_tokens": batch_tokens,
            "check_rows": 0,
        }
    )
    engine = engines.Greedy(model, tokenizer)
    rounds = iter(range(100))

    def answer():
        out = tmp_path / f"{next(rounds)}.jsonl"
        return decode.generate(engine, tokenizer, prompts, decoding, out), out

    try:
        answered, out = benchmark.pedantic(answer, rounds=3, warmup_rounds=1)
    finally:
        torch.set_num_threads(threads)
    tokens = answered.tokens
    assert len(out.read_text().splitlines()) == len(prompts)
    benchmark.extra_info["batches"] = answered.batches["count"]
    assert tokens.processed >= tokens.real > tokens.trained > 0
    benchmark.extra_info["padding_share"] = round(1 - tokens.real / tokens.processed, 3)
    benchmark.extra_info["emitted_per_s"] = round(tokens.trained / benchmark.stats.stats.median)


def test_plan_of_batches(benchmark, loaded, prompts):
    decoding = study.load("smoke").decoding

    def plan():
        encoded = batches.encode(loaded[1], prompts * 8, decoding)
        return batches.batches(encoded, decoding, 65_536)

    planned = benchmark.pedantic(plan, rounds=5, warmup_rounds=1)
    assert sum(map(len, planned)) == 8 * len(prompts)
