"""Samples into packed rows: render the chat, tokenize, shuffle once, pack; kept as Arrow.

A prompt is tokenized by itself and the answer after it, so that training continues exactly
the token ids that generation starts from, and the loss can begin at the answer's first one.
``published`` rows with the loss on every token hold the ids of the whole chat tokenized as
one text, since that is what the study's trainer did.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data.packing import Document, Ids, PackedRows, pack
from bench.data.prompts import Message, Prompts
from bench.errors import BenchError
from bench.grid.study import Training
from bench.records import Sample, Tokens

RECIPE = 2
_ARRAYS = ("input_ids", "position_ids", "labels")
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
    cache: Path | None,
) -> dict[str, PackedRows]:
    """The packed rows of each split, from the cache where they are there already.

    All tracks are joined and shuffled once by ``seed``, unbalanced, as in the study. With
    pyarrow they are kept in ``<cache>/rows/<key>.arrow`` (``datasets.Dataset.from_file``
    opens it), where the key covers the samples, the wording, the tokenizer, the packing and
    the seed; without pyarrow they are made again, which costs seconds.
    """
    packed = {}
    for split, members in samples.items():
        path = None
        if cache is not None:
            key = _key(members, prompts, tokenizer, training, seed, split)
            path = cache / "rows" / f"{key}.arrow"
        rows = _read(path) if path else None
        if rows is None:
            order = np.random.default_rng(seed).permutation(len(members))
            mixed = [members[index] for index in order]
            if split == "valid" and training.early_stopping:
                mixed = mixed[: training.early_stopping.max_samples]
            published = training.packing == "published"
            if published and training.loss_on_prompt:
                texts = whole_chats(mixed, prompts, tokenizer)
            else:
                texts = documents(mixed, prompts, tokenizer, loss_on_prompt=training.loss_on_prompt)
            pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
            if pad is None or eos is None:
                raise BenchError("the tokenizer lacks an end or padding token", hint="set both")
            rows = pack(texts, training.row_tokens, training.packing, pad, eos, seed)
            if path:
                _write(path, rows)
        packed[split] = rows
    return packed


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


def _arrow() -> Any:
    """pyarrow, or None: the leanest GPU machines have neither it nor ``datasets``."""
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        return None


def _write(path: Path, rows: PackedRows) -> None:
    """Keep rows; a cache that cannot be written costs time later, not the run now."""
    arrow = _arrow()
    if arrow is None:
        return
    width = rows.input_ids.shape[1]
    columns = {
        name: arrow.FixedSizeListArray.from_arrays(getattr(rows, name).reshape(-1), width)
        for name in _ARRAYS
    }
    counts = {
        "tokens": [rows.tokens.processed, rows.tokens.real, rows.tokens.trained],
        "documents": [rows.documents, rows.cut_documents, rows.dropped_tokens],
    }
    table = arrow.table(columns).replace_schema_metadata({"bench": json.dumps(counts)})
    part = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file, arrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        part.replace(path)


def _read(path: Path) -> PackedRows | None:
    """Kept rows, or None where there are none that can be read."""
    arrow = _arrow()
    if arrow is None or not path.is_file():
        return None
    try:
        with arrow.memory_map(str(path)) as file:
            table = arrow.ipc.open_stream(file).read_all().combine_chunks()
            counts = json.loads(table.schema.metadata[b"bench"])
            ids, positions, labels = (_matrix(table.column(name)) for name in _ARRAYS)
    except (arrow.ArrowInvalid, OSError, KeyError, TypeError):
        return None  # half a file of a killed run: it is written again
    laid, cut, dropped = counts["documents"]
    return PackedRows(ids, positions, labels, Tokens(*counts["tokens"]), laid, cut, dropped)


def _matrix(column: Any) -> Ids:
    """A copy of a column of fixed-size lists, int32 of shape ``[rows, row_tokens]``."""
    whole = column.combine_chunks()
    return np.array(whole.flatten().to_numpy(), np.int32).reshape(-1, whole.type.list_size)
