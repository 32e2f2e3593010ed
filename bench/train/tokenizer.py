"""The tokenizer of the tiny bases: byte-level BPE in Qwen's conventions.

Small vocabularies are spent where small functions need them: a line break with its
indentation is one piece, and identifiers split where their words do (``_even``, ``Even``
and `` even`` are single tokens), so that names compose across languages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bench.errors import BenchError

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)

#: Turns as Qwen writes them, without its default system message.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)

#: Words (with the space or underscore before them), digits, punctuation, line breaks.
_PIECES = (
    r"[ _]?\p{Lu}?\p{Ll}+"
    r"|[ _]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}_]+| ?_+"
    r"|\r?\n[ \t]*"
    r"|\s+"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of ``vocabulary`` entries, the special tokens included.

    The same texts in the same order give the same tokenizer. Fewer entries come out where
    the texts hold fewer pairs to merge.

    Raises:
        BenchError: ``vocabulary`` cannot hold the 256 bytes and the special tokens.
    """
    smallest = 256 + len(SPECIAL)
    if vocabulary < smallest:
        raise BenchError(f"vocabulary of {vocabulary}", hint=f"it must be at least {smallest}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START, TURN_END],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder, padding on the left, as generation needs it.

    transformers 5 rebuilds the tokenizer of every ``qwen2`` model by Qwen's own rules for
    cutting words, whatever its tokenizer.json says: one of ours would come back another.
    """
    declared = json.loads((folder / "tokenizer_config.json").read_text()).get("tokenizer_class")
    generic = declared in ("TokenizersBackend", "PreTrainedTokenizerFast")
    loader = PreTrainedTokenizerFast if generic else AutoTokenizer
    tokenizer = loader.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer
