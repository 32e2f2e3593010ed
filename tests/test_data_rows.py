"""Rows: what training sees continues exactly what generation starts from."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data import rows
from bench.data.packing import IGNORED
from bench.data.prompts import Prompts
from bench.data.rowcache import RowCache
from bench.errors import BenchError
from bench.grid import study
from bench.records import Sample, Track

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = Prompts.load("kit")
TRACK = Track("generation", "python")
SAMPLES = [
    Sample(
        f"s{number}",
        TRACK,
        {"summary": f"Return {number}.", "signature": f"def f{number}():"},
        f"def f{number}():\n    return {number}" + "  # long" * (number % 7),
    )
    for number in range(40)
]


@pytest.fixture(scope="module")
def tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bare.train_from_iterator([sample.reference for sample in SAMPLES], trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    return fast


def training(**changes):
    return study.load("smoke").training.model_copy(
        update={"row_tokens": 256, "loss_on_prompt": True} | changes
    )


def test_a_document_is_its_prompt_and_then_its_answer(tokenizer):
    found = rows.documents(SAMPLES, PROMPTS, tokenizer, loss_on_prompt=False)
    for document, sample in zip(found, SAMPLES, strict=True):
        prompt = rows.prompt_text(sample, PROMPTS, tokenizer)
        assert document.tokens[: document.loss_start].tolist() == tokenizer.encode(prompt)
        opening = PROMPTS.opening(sample)
        assert prompt.endswith(opening)
        assert bool(opening) == (sample.track.task == "generation")
        answer = tokenizer.decode(document.tokens[document.loss_start :])
        assert opening + answer == f"{sample.reference}<|im_end|>\n"
        whole = tokenizer.apply_chat_template(PROMPTS.with_answer(sample), tokenize=False)
        assert document.characters == len(whole)
    everywhere = rows.documents(SAMPLES, PROMPTS, tokenizer, loss_on_prompt=True)
    assert {document.loss_start for document in everywhere} == {0}


def test_published_rows_hold_whole_chats_tokenized_at_once(tokenizer):
    """As the study's trainer did; only then may a token reach from the prompt into the answer."""
    chats = rows.whole_chats(SAMPLES, PROMPTS, tokenizer)
    texts = [
        tokenizer.apply_chat_template(PROMPTS.with_answer(sample), tokenize=False)
        for sample in SAMPLES
    ]
    assert [chat.tokens.tolist() for chat in chats] == [tokenizer.encode(text) for text in texts]
    assert [chat.characters for chat in chats] == [len(text) for text in texts]
    assert {chat.loss_start for chat in chats} == {0}
    made = rows.packed_rows(
        {"train": SAMPLES}, PROMPTS, tokenizer, training(packing="published"), 42, None
    )["train"]
    order = np.random.default_rng(42).permutation(len(SAMPLES))
    joined = [token for index in order for token in [*chats[index].tokens, tokenizer.eos_token_id]]
    cut = np.array(joined[: len(joined) // 256 * 256]).reshape(-1, 256)
    assert sorted(made.input_ids.tolist()) == sorted(cut.tolist())


@pytest.mark.parametrize("packing", ["isolated", "published"])
def test_kept_rows_equal_the_ones_just_made(tokenizer, tmp_path, packing):
    splits = {"train": SAMPLES[:30], "valid": SAMPLES[30:]}
    arguments = (splits, PROMPTS, tokenizer, training(packing=packing), 42)
    first, second = RowCache(tmp_path), RowCache(tmp_path)
    made = rows.packed_rows(*arguments, first)
    kept = rows.packed_rows(*arguments, second)
    plain = rows.packed_rows(*arguments, None)
    assert (first.made, first.reused, first.told) == (2, 0, "made")
    assert (second.made, second.reused, second.told) == (0, 2, "reused")
    assert len(list((tmp_path / "rows").glob("*.arrow"))) == 2
    for split in splits:
        for other in (kept[split], plain[split]):
            assert other.tokens == made[split].tokens
            assert other.cut_documents == made[split].cut_documents
            for name in ("input_ids", "position_ids", "labels"):
                left, right = getattr(made[split], name), getattr(other, name)
                assert left.dtype == right.dtype == np.int32
                assert left.shape == right.shape
                assert left.tobytes() == right.tobytes()
                assert right.flags.writeable


def test_the_cache_is_read_by_the_datasets_library(tokenizer, tmp_path):
    datasets = pytest.importorskip("datasets")
    cache = RowCache(tmp_path)
    made = rows.packed_rows({"train": SAMPLES}, PROMPTS, tokenizer, training(), 42, cache)
    (path,) = (tmp_path / "rows").glob("*.arrow")
    table = datasets.Dataset.from_file(str(path))
    assert len(table) == len(made["train"])
    assert table[0]["input_ids"] == made["train"].input_ids[0].tolist()


def test_the_key_covers_what_decides_the_rows(tokenizer):
    def key(samples=SAMPLES, seed=42, **changes):
        return rows._key(samples, PROMPTS, tokenizer, training(**changes), seed)

    changed = Sample("s0", TRACK, SAMPLES[0].inputs, "pass")
    keys = [
        key(),
        key(seed=1),
        key(row_tokens=128),
        key(packing="published"),
        key(loss_on_prompt=False),
        key(samples=SAMPLES[1:]),
        key(samples=[changed, *SAMPLES[1:]]),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key(plan="published")  # how it is computed does not change the rows


def test_the_seed_orders_the_mixture(tokenizer):
    """In isolated rows the order decides who shares a row; the documents are the same."""
    splits = {"train": SAMPLES}
    one, two = (
        rows.packed_rows(splits, PROMPTS, tokenizer, training(), seed, None)["train"]
        for seed in (1, 2)
    )
    assert one.tokens.real == two.tokens.real
    assert one.input_ids.tobytes() != two.input_ids.tobytes()
    answers = rows.packed_rows(splits, PROMPTS, tokenizer, training(loss_on_prompt=False), 1, None)
    assert answers["train"].tokens.trained < one.tokens.trained
    assert (answers["train"].labels == IGNORED).sum() > (one.labels == IGNORED).sum()


def test_a_template_with_two_renderings_is_an_error(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATE.replace("<|im_start|>a", "a"))
    with pytest.raises(BenchError, match="renders its prompt in two ways"):
        rows.documents(SAMPLES, PROMPTS, tokenizer, loss_on_prompt=True)
