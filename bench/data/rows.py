"""Samples into packed rows: render the chat, tokenize, shuffle once, pack.

A prompt is tokenized by itself and the answer after it, so that training continues exactly
the token ids that generation starts from, and the loss can begin at the answer's first one.
``published`` rows with the loss on every token hold the ids of the whole chat tokenized as
one text, since that is what the study's trainer did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bench.data.packing import Document, PackedRows, pack
from bench.data.prompts import Message, Prompts
from bench.data.rowcache import RowCache
from bench.errors import BenchError
from bench.grid.study import Training
from bench.records import Sample

RECIPE = 3
#: Texts tokenized at once: bounds the memory, the result is the same for any number.
_BATCH = 10_000


class ChatTokenizer(Protocol):
    """What is used of a fast transformers tokenizer."""

    chat_template: Any
    eos_token_id: int | None
    pad_token_id: int | None
    backend_tokenizer: Any

    def apply_chat_template(self, conversation: list[Message], **options: Any) -> Any:
        """Render a chat; ``tokenize=False`` gives text."""
        ...

    def __call__(self, text: list[str], **options: Any) -> Any:
        """Tokenize texts; ``["input_ids"]`` holds a list per text."""
        ...


def prompt_text(sample: Sample, prompts: Prompts, tokenizer: ChatTokenizer) -> str:
    """What a model continues: the rendered messages and the opening of its own turn."""
    chat = prompts.rendered(sample)
    if chat is None:
        chat = tokenizer.apply_chat_template(
            prompts.messages(sample), tokenize=False, add_generation_prompt=True
        )
    return f"{chat}{prompts.opening(sample)}"


def documents(
    samples: Sequence[Sample], prompts: Prompts, tokenizer: ChatTokenizer, *, loss_on_prompt: bool
) -> list[Document]:
    """One document per sample: its prompt and its answer, as the chat template ends it.

    Raises:
        BenchError: a chat template whose whole chat does not begin with its prompt.
    """
    openings, answers = [], []
    for sample in samples:
        chat = prompts.with_answer(sample)
        opening = prompt_text(sample, prompts, tokenizer)
        whole = str(tokenizer.apply_chat_template(chat, tokenize=False))
        if not whole.startswith(opening):
            raise BenchError(
                f"sample {sample.id!r}: the chat template renders its prompt in two ways",
                hint="use a template whose generation prompt opens the assistant's turn",
            )
        openings.append(opening)
        answers.append(whole[len(opening) :])
    pairs = zip(_tokenized(openings, tokenizer), _tokenized(answers, tokenizer), strict=True)
    return [
        Document(
            np.array([*left, *right], dtype=np.int32),
            0 if loss_on_prompt else len(left),
            len(opening) + len(answer),
        )
        for (left, right), opening, answer in zip(pairs, openings, answers, strict=True)
    ]


def whole_chats(
    samples: Sequence[Sample], prompts: Prompts, tokenizer: ChatTokenizer
) -> list[Document]:
    """One document per sample as TRL 0.9.6 reads a text column: the chat tokenized at once.

    It asks the tokenizer for its special tokens too; Qwen's and the tiny bases' add none.
    """
    texts = [
        str(tokenizer.apply_chat_template(prompts.with_answer(sample), tokenize=False))
        for sample in samples
    ]
    encoded = _tokenized(texts, tokenizer, special=True)
    return [
        Document(np.array(ids, dtype=np.int32), 0, len(text))
        for ids, text in zip(encoded, texts, strict=True)
    ]


def packed_rows(
    samples: Mapping[str, Sequence[Sample]],
    prompts: Prompts,
    tokenizer: ChatTokenizer,
    training: Training,
    seed: int,
    cache: RowCache | None,
) -> dict[str, PackedRows]:
    """The packed rows of each split, from the cache where they are there already.

    All tracks are joined and shuffled once by ``seed``, unbalanced, as in the study. A key of
    the cache covers the samples, the wording, the tokenizer, the packing and the seed.
    """
    packed = {}
    for split, members in samples.items():

        def make(split: str = split, members: Sequence[Sample] = members) -> PackedRows:
            return _packed(members, prompts, tokenizer, training, seed, split)

        if cache is None:
            packed[split] = make()
        else:
            key = _key(members, prompts, tokenizer, training, seed, split)
            packed[split] = cache.get(key, make)
    return packed


def _packed(
    samples: Sequence[Sample],
    prompts: Prompts,
    tokenizer: ChatTokenizer,
    training: Training,
    seed: int,
    split: str,
) -> PackedRows:
    """The rows of one split, made anew."""
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad is None or eos is None:
        raise BenchError("the tokenizer lacks an end or padding token", hint="set both")
    order = np.random.default_rng(seed).permutation(len(samples))
    mixed = [samples[index] for index in order]
    if split == "valid" and training.early_stopping:
        mixed = mixed[: training.early_stopping.max_samples]
    if training.packing == "published" and training.loss_on_prompt:
        texts = whole_chats(mixed, prompts, tokenizer)
    else:
        texts = documents(mixed, prompts, tokenizer, loss_on_prompt=training.loss_on_prompt)
    return pack(texts, training.row_tokens, training.packing, pad, eos, seed)


def _tokenized(
    texts: list[str], tokenizer: ChatTokenizer, *, special: bool = False
) -> Iterator[list[int]]:
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        # The template has written every special token that belongs there. verbose=False: a
        # document longer than the model's window is cut and counted by the packing.
        yield from tokenizer(batch, add_special_tokens=special, verbose=False)["input_ids"]


def _key(
    samples: Sequence[Sample],
    prompts: Prompts,
    tokenizer: ChatTokenizer,
    training: Training,
    seed: int,
    split: str = "train",
) -> str:
    """SHA-256 of everything that decides the rows of a split."""
    digest = hashlib.sha256()
    stopping = training.early_stopping if split == "valid" else None
    recipe = {
        "recipe": RECIPE,
        "prompts": prompts.digest,
        "template": str(tokenizer.chat_template),
        "tokens": [tokenizer.eos_token_id, tokenizer.pad_token_id],
        "packing": [training.packing, training.row_tokens, training.loss_on_prompt],
        "first": stopping.max_samples if stopping else None,
        "seed": seed,
    }
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for sample in samples:
        parts = [sample.id, str(sample.track), dict(sample.inputs), sample.reference]
        digest.update(json.dumps(parts, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
