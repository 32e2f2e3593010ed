"""Documents of token ids into training rows of one length: two methods, never mixed silently.

``published`` is what the study's trainer did (TRL 0.9.6, ``packing=True``, its
``ConstantLengthDataset``): the documents of a buffer are joined, each followed by the
end-of-text token, and cut every ``row_tokens`` tokens. A document may be cut anywhere and
attention runs across documents; what is left at a buffer's end is dropped. The rows of a
buffer are then shuffled, there by Python's generator as it happened to stand, here by the
same generator seeded: the rows are those of TRL after ``random.seed(seed)``.

``isolated`` keeps every document whole and alone: documents are laid into rows by best-fit
decreasing and ``position_ids`` restart with each, which is how transformers tells packed
sequences apart when no attention mask is given.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.errors import BenchError
from bench.records import Tokens

Mode = Literal["published", "isolated"]
Ids = npt.NDArray[np.int32]

#: The label that the loss leaves out.
IGNORED = -100
#: TRL 0.9.6 fills its buffer up to row_tokens × 3.6 characters × 1,024 rows of text.
BUFFER_CHARACTERS_PER_TOKEN, BUFFER_ROWS = 3.6, 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One rendered example: token ids, int32 of shape ``[n]``.

    The loss counts from token ``loss_start`` on (0: everywhere). ``characters`` is the
    length of the rendered text; only the buffers of ``published`` need it (0: unknown,
    all documents share one buffer).
    """

    tokens: Ids
    loss_start: int = 0
    characters: int = 0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PackedRows:
    """Rows ready to train on; the three arrays are int32 of shape ``[rows, row_tokens]``.

    ``labels`` are not shifted: ``labels[r, t]`` is ``input_ids[r, t]`` where that token is
    a target and -100 elsewhere, and the loss at ``t - 1`` predicts it. ``tokens.trained``
    therefore leaves out a row's first label. ``dropped_tokens`` of the documents are in
    no row; ``cut_documents`` lost tokens or continue in another row.
    """

    input_ids: Ids
    position_ids: Ids
    labels: Ids
    tokens: Tokens
    documents: int
    cut_documents: int
    dropped_tokens: int

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])


def pack(
    documents: Sequence[Document],
    row_tokens: int,
    mode: Mode,
    pad_id: int,
    eos_id: int,
    shuffle_seed: int | None = None,
) -> PackedRows:
    """Lay documents into rows of ``row_tokens`` tokens; the same input gives the same rows.

    ``eos_id`` is appended to each document in ``published`` (the template's own end-of-turn
    token already closes a document in ``isolated``); ``pad_id`` fills rows in ``isolated``.
    The order of the documents matters in ``published``: shuffle them before. Its rows are
    shuffled by ``shuffle_seed`` within their buffers; None leaves them as they were cut.

    Raises:
        BenchError: no documents, an empty one, (``isolated``) none with a target inside a row,
            or (``published``) not one full row of tokens.
    """
    if row_tokens < 2:
        raise BenchError(f"rows of {row_tokens} tokens", hint="training.row_tokens must be ≥ 2")
    if not documents or any(document.tokens.size == 0 for document in documents):
        raise BenchError("nothing to pack", hint="every document needs at least one token")
    if mode == "published":
        return _published(documents, row_tokens, eos_id, shuffle_seed)
    return _isolated(documents, row_tokens, pad_id)


def _buffers(documents: Sequence[Document], limit: float) -> Iterator[Sequence[Document]]:
    """The documents in runs that reach ``limit`` characters, as TRL's buffer fills."""
    start, held = 0, 0
    for index, document in enumerate(documents):
        if held >= limit:
            yield documents[start:index]
            start, held = index, 0
        held += document.characters
    yield documents[start:]


def _published(
    documents: Sequence[Document], row_tokens: int, eos_id: int, seed: int | None
) -> PackedRows:
    ids: list[Ids] = []
    labels: list[Ids] = []
    cut = dropped = 0
    # One generator over all buffers, as TRL's: its draws depend on the numbers of rows alone.
    generator = random.Random(seed)  # noqa: S311
    for buffer in _buffers(documents, row_tokens * BUFFER_CHARACTERS_PER_TOKEN * BUFFER_ROWS):
        lengths = np.array([document.tokens.size + 1 for document in buffer])
        ends = np.cumsum(lengths)
        stream = np.empty(int(ends[-1]), dtype=np.int32)
        stream[_slots(ends - lengths, lengths - 1)] = _joined(buffer)
        stream[ends - 1] = eos_id
        targets = stream.copy()
        targets[_slots(ends - lengths, np.array([d.loss_start for d in buffer]))] = IGNORED
        kept = stream.size // row_tokens * row_tokens
        order = list(range(kept // row_tokens))
        if seed is not None:
            generator.shuffle(order)
        ids.append(stream[:kept].reshape(-1, row_tokens)[order])
        labels.append(targets[:kept].reshape(-1, row_tokens)[order])
        dropped += stream.size - kept
        cut += int(
            np.sum(((ends - lengths) // row_tokens != (ends - 1) // row_tokens) | (ends > kept))
        )
    input_ids = np.concatenate(ids)
    if not len(input_ids):
        raise BenchError(
            f"published packing: {dropped} tokens do not fill one row of {row_tokens}",
            hint="give more samples, lower training.row_tokens or use isolated packing",
        )
    positions = np.broadcast_to(np.arange(row_tokens, dtype=np.int32), input_ids.shape).copy()
    targets = np.concatenate(labels)
    tokens = Tokens(input_ids.size, input_ids.size, _trained(targets))
    return PackedRows(input_ids, positions, targets, tokens, len(documents), cut, dropped)


def _isolated(documents: Sequence[Document], row_tokens: int, pad_id: int) -> PackedRows:
    full = np.array([document.tokens.size for document in documents])
    # One that is cut before its first target teaches nothing, and a step of such rows alone
    # has no loss: it is left out and counted among the dropped.
    taught = [d for d in documents if d.loss_start < min(d.tokens.size, row_tokens)]
    if not taught:
        raise BenchError(
            f"no document has a target within {row_tokens} tokens",
            hint="raise training.row_tokens: the prompts alone are longer",
        )
    lengths = np.minimum([document.tokens.size for document in taught], row_tokens)
    row_of, offset_of, rows = best_fit_decreasing(lengths, row_tokens)
    starts = row_of * row_tokens + offset_of
    slots = _slots(starts, lengths)
    input_ids = np.full(rows * row_tokens, pad_id, dtype=np.int32)
    labels = np.full(rows * row_tokens, IGNORED, dtype=np.int32)
    pieces = [document.tokens[:row_tokens] for document in taught]
    input_ids[slots] = labels[slots] = np.concatenate(pieces)
    # A document's first token follows nothing of its own, so it is never a target.
    prompts = np.clip(np.array([document.loss_start for document in taught]), 1, lengths)
    labels[_slots(starts, prompts)] = IGNORED
    # Padding counts from 0 again, as if it were one more document: no document sees it.
    used = np.zeros(rows, dtype=np.int64)
    np.add.at(used, row_of, lengths)
    columns = np.arange(row_tokens, dtype=np.int32)
    positions = (columns - used.astype(np.int32)[:, None]).reshape(-1)
    positions[slots] = _ramps(lengths)
    targets = labels.reshape(rows, row_tokens)
    real = int(lengths.sum())
    return PackedRows(
        input_ids.reshape(rows, row_tokens),
        positions.reshape(rows, row_tokens),
        targets,
        Tokens(rows * row_tokens, real, _trained(targets)),
        len(documents),
        int(np.sum(full > row_tokens)),
        int(full.sum()) - real,
    )


def best_fit_decreasing(
    lengths: npt.NDArray[np.int_], capacity: int
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_], int]:
    """Row and offset of each length, and the number of rows.

    The longest first, each into the fullest row that still holds it (never more than 11/9
    of the fewest rows possible, plus one). Equal lengths keep their order. One integer
    holds a bit per free capacity, so that finding the row takes no search.
    """
    row_of = np.zeros(len(lengths), dtype=np.int64)
    offset_of = np.zeros(len(lengths), dtype=np.int64)
    rows_by_space: list[list[int]] = [[] for _ in range(capacity + 1)]
    spaces, rows = 0, 0
    for index in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[index])
        fitting = spaces >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            row = rows_by_space[space].pop()
            if not rows_by_space[space]:
                spaces &= ~(1 << space)
        else:
            space, row = capacity, rows
            rows += 1
        row_of[index], offset_of[index] = row, capacity - space
        left = space - length
        if left:
            rows_by_space[left].append(row)
            spaces |= 1 << left
    return row_of, offset_of, rows


def _joined(documents: Sequence[Document]) -> Ids:
    return np.concatenate([document.tokens for document in documents]).astype(np.int32, copy=False)


def _ramps(lengths: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """0, 1, … of each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)


def _slots(starts: npt.NDArray[np.int_], lengths: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """The flat indices ``start … start + length - 1`` of each pair, one after the other."""
    return np.repeat(starts, lengths) + _ramps(lengths)


def _trained(labels: Ids) -> int:
    return int(np.count_nonzero(labels[:, 1:] != IGNORED))
