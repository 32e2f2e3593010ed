"""A model and a tokenizer as small as they can be and still real: what the tests train.

The weights are random and large, so that what a token sees changes the logits visibly.
"""

from __future__ import annotations

import functools

import pytest
import torch
from transformers import Qwen2ForCausalLM

from bench.data.packing import Document, PackedRows, pack
from bench.grid import study
from bench.train import bases
from bench.train.tokenizer import TURN_END, train_tokenizer

#: 512 wide inside: LoRA's matrix there has just as many weights as AdamW8bit keeps in 8 bits.
BASE = study.TinyBase(
    kind="tiny",
    name="tiny",
    hidden_size=64,
    layers=2,
    heads=2,
    kv_heads=1,
    intermediate_size=512,
    vocabulary=300,
    pretrain_steps=2,
    pretrain_rows_per_step=2,
    pretrain_learning_rate=1e-2,
)
_TEXT = "sum even numbers of a list is count return def text value for if not the all in"
WORDS = _TEXT.split()


def sentence(number: int, length: int) -> str:
    """A text of ``length`` words, another one for each ``number``."""
    return " ".join(
        WORDS[(number * 7 + place * (number + 3)) % len(WORDS)] for place in range(length)
    )


@functools.cache
def tokenizer():
    return train_tokenizer([sentence(number, 12) for number in range(40)], BASE.vocabulary)


def model(seed: int = 0, attention: str = "sdpa", stop_share: float = 1.0, tied: bool = True):
    """A model with random weights in fp32, in eval mode.

    ``stop_share`` scales the end of turn's embedding: above 1 it is predicted more often.
    """
    config = bases.architecture(BASE, tokenizer())
    config.initializer_range, config.tie_word_embeddings = 0.15, tied
    torch.manual_seed(seed)
    made = Qwen2ForCausalLM._from_config(config, attn_implementation=attention)
    with torch.no_grad():
        row = tokenizer().convert_tokens_to_ids(TURN_END)
        made.get_output_embeddings().weight[row] *= stop_share
    return made.eval()


def documents(count: int, first: int = 0, loss_start: int = 0) -> list[Document]:
    """Documents of 5 to 24 words."""
    texts = [sentence(number, 5 + number % 20) for number in range(first, first + count)]
    encoded = tokenizer()(texts, return_tensors="np")["input_ids"]
    return [
        Document(ids.astype("int32"), loss_start, len(text))
        for ids, text in zip(encoded, texts, strict=True)
    ]


def rows(count: int, mode: str = "isolated", first: int = 0, row_tokens: int = 64) -> PackedRows:
    """The packed rows of ``count`` documents."""
    end = tokenizer().eos_token_id
    return pack(documents(count, first), row_tokens, mode, end, end)


@pytest.fixture(scope="session")
def random_base(tmp_path_factory):
    """The folder of the model and its tokenizer, as ``bases.load`` reads one."""
    folder = tmp_path_factory.mktemp("random-base")
    model().to(torch.bfloat16).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
