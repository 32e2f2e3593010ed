"""Packed rows as the Trainer reads them, and how a batch is made of them.

A batch carries no attention mask: restarting position ids (or the bounds of its documents)
are what keeps documents apart, and an all-ones mask would undo that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bench.data.packing import IGNORED, PackedRows

_COLUMNS = ("input_ids", "position_ids", "labels")

Batch = dict[str, Any]


class Rows(Dataset[dict[str, Tensor]]):
    """Packed rows, one an item (int64 tensors); a loader takes a whole batch at once."""

    def __init__(self, rows: PackedRows) -> None:
        self.columns = {name: torch.from_numpy(getattr(rows, name)).long() for name in _COLUMNS}

    def __len__(self) -> int:
        return int(self.columns["input_ids"].shape[0])

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {name: column[row] for name, column in self.columns.items()}

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several rows with one look-up a column."""
        index = torch.as_tensor(rows)
        columns = {name: column[index] for name, column in self.columns.items()}
        return [
            {name: column[place] for name, column in columns.items()} for place in range(len(rows))
        ]


def collate(rows: Sequence[dict[str, Tensor]], fill_to: int = 0) -> Batch:
    """A batch ``[rows, row_tokens]`` of ids, positions and labels; no mask, no cache.

    An epoch's last batch is filled up to ``fill_to`` rows with one that has no target, so that
    all have one shape: what is learnt stays the same.
    """
    filler = {**rows[0], "labels": torch.full_like(rows[0]["labels"], IGNORED)}
    rows = [*rows, *[filler] * (fill_to - len(rows))]
    batch: Batch = {name: torch.stack([row[name] for row in rows]) for name in _COLUMNS}
    batch["use_cache"] = False
    return batch


def collate_joined(rows: Sequence[dict[str, Tensor]]) -> Batch:
    """A batch without padding: the documents of all rows in one row ``[1, tokens]``.

    What stands behind a row's last target teaches nothing and is seen by nothing that does:
    padding, or documents without a target. ``cu_seq_lens_q`` (int32) are the documents'
    bounds, ``max_length_q`` is the longest document.
    """
    kept = [{name: row[name][: _taught(row)] for name in _COLUMNS} for row in rows]
    kept = [row for row in kept if row["labels"].numel()] or [dict(rows[0])]
    batch: Batch = {name: torch.cat([row[name] for row in kept])[None] for name in _COLUMNS}
    starts = torch.nonzero(batch["position_ids"][0] == 0).flatten()
    total = torch.tensor([batch["input_ids"].shape[1]])
    bounds = torch.cat([starts, total]).to(torch.int32)
    longest = int((bounds[1:] - bounds[:-1]).max())
    return {
        **batch,
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": longest,
        "max_length_k": longest,
        "use_cache": False,
    }


def _taught(row: dict[str, Tensor]) -> int:
    """The end of the last document of a row that has a target."""
    targets = torch.nonzero(row["labels"] != IGNORED).flatten()
    if not len(targets):
        return 0
    last = int(targets[-1])
    starts = torch.nonzero(row["position_ids"][last + 1 :] == 0).flatten()
    return last + 1 + int(starts[0]) if len(starts) else len(row["labels"])


def joined_tokens(rows: PackedRows) -> int:
    """Tokens that ``collate_joined`` keeps of packed rows."""
    dataset = Rows(rows)
    return sum(_taught(dataset[row]) for row in range(len(dataset)))


def predicted(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.int_]:
    """Arg-max ids of the stock loss's logits ``[rows, tokens, vocabulary]``.

    -100 where no target follows, as ``bench.train.loss`` has them.
    """
    ids: npt.NDArray[np.int_] = logits.argmax(axis=-1)
    ids[:, :-1][labels[:, 1:] == IGNORED] = IGNORED
    ids[:, -1] = IGNORED
    return ids
