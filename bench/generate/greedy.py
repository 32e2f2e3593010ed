"""Greedy decoding of one batch: prompts a few rows at a time, then all rows token by token.

A decoding step of a small model is bound by how fast its operations are started, whatever
the number of rows: so batches are large, nothing that grows is copied, the mask is made
once, and the device is asked for nothing but the chosen tokens, once a step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.costs import PREFILL_TOKENS
from bench.generate.cache import GROUPED, KeyValues

#: Attention's kernels for prompts and steps of any length.
_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
#: Rows are taken out of a batch when at least this share of them has finished.
_DROP_SHARE = 0.25


def greedy(
    model: Any,
    ids: Sequence[Sequence[int]],
    limits: Sequence[int],
    stops: frozenset[int],
    pad: int,
    prefill_tokens: int = PREFILL_TOKENS,
) -> list[list[int]]:
    """Greedy continuations of a left-padded batch.

    Args:
        model: a causal language model in eval mode.
        ids: prompt token ids, none empty.
        limits: the most new tokens for each prompt, at least 1.
        stops: tokens that end a row; they are part of its output.
        pad: fills the left; masked, so any id will do.
        prefill_tokens: slots of prompts that are read at once.

    Returns:
        New token ids of each row.
    """
    width = max(map(len, ids))
    cache = KeyValues(model.config.num_hidden_layers, len(ids), width, width + max(limits))
    with torch.inference_mode(), _grouped(model):
        parts = [_prefill(model, cache, ids, part, pad) for part in _parts(ids, prefill_tokens)]
        return _decode(model, cache, ids, limits, stops, torch.cat(parts))


@contextlib.contextmanager
def _grouped(model: Any) -> Iterator[None]:
    """Give a model the attention that a decoding step is fastest with, for a while.

    Without cuDNN's kernel, which is planned anew for every length, and each step has another.
    """
    config = model.config
    before = config._attn_implementation
    if before == "sdpa":
        config._attn_implementation = GROUPED
    try:
        with sdpa_kernel(_BACKENDS):
            yield
    finally:
        config._attn_implementation = before


def _parts(ids: Sequence[Sequence[int]], prefill_tokens: int) -> Iterator[slice]:
    """Consecutive rows whose prompts are read at once, padded to the longest among them."""
    first = width = 0
    for place, row in enumerate(ids):
        wider = max(width, len(row))
        if place > first and (place + 1 - first) * wider > prefill_tokens:
            yield slice(first, place)
            first, wider = place, len(row)
        width = wider
    yield slice(first, len(ids))


def _prefill(
    model: Any, cache: KeyValues, ids: Sequence[Sequence[int]], part: slice, pad: int
) -> Tensor:
    """Read the prompts of some rows; the first token of each answer."""
    rows, device = ids[part], model.get_input_embeddings().weight.device
    width = max(map(len, rows))
    tokens = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    cache.filling = part
    logits: Tensor = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp_(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    cache.filling = None
    return logits[:, -1].argmax(dim=-1)


def _decode(
    model: Any,
    cache: KeyValues,
    ids: Sequence[Sequence[int]],
    limits: Sequence[int],
    stops: frozenset[int],
    chosen: Tensor,
) -> list[list[int]]:
    """Step until every row has ended, from the first token of each."""
    bias = _bias(model, cache, ids)
    positions = torch.tensor([[len(row)] for row in ids], device=chosen.device)
    outputs: list[list[int]] = [[] for _ in ids]
    rows = list(range(len(ids)))
    while True:
        alive = []
        for place, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            output = outputs[row]
            if _ended(output, limits[row], stops):
                continue
            output.append(token)
            if not _ended(output, limits[row], stops):
                alive.append(place)
        if not alive:
            return outputs
        if _shrinks(len(rows), len(alive)):
            index = torch.tensor(alive, device=chosen.device)
            cache.keep(index)
            chosen, positions, bias = chosen[index], positions[index], bias[index]
            rows = [rows[place] for place in alive]
        logits = model(
            input_ids=chosen[:, None],
            attention_mask=bias[..., : cache.end + 1],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        cache.end += 1
        chosen, positions = logits[:, -1].argmax(dim=-1), positions + 1
        del logits  # else two steps' are there at once


def _ended(output: Sequence[int], limit: int, stops: frozenset[int]) -> bool:
    return len(output) >= limit or (bool(output) and output[-1] in stops)


def _bias(model: Any, cache: KeyValues, ids: Sequence[Sequence[int]]) -> Tensor:
    """What attention adds to each slot of a row: nothing, or minus infinity to padding.

    (rows, 1, 1, capacity), for all steps. Of four dimensions transformers takes a mask as it
    is; from one of two it makes another in every step, and waits for the device to do so.
    """
    weight = model.get_input_embeddings().weight
    left = torch.tensor([cache.width - len(row) for row in ids], device=weight.device)
    slots = torch.arange(cache.capacity, device=weight.device)
    bias: Tensor = weight.new_zeros(len(ids), cache.capacity)
    return bias.masked_fill_(slots < left[:, None], -torch.inf)[:, None, None]


def _shrinks(rows: int, alive: int) -> bool:
    """Whether the finished rows are taken out of a batch."""
    return rows - alive >= _DROP_SHARE * rows


def slots_computed(
    prompt_tokens: Sequence[int],
    output_tokens: Sequence[int],
    prefill_tokens: int = PREFILL_TOKENS,
) -> int:
    """The slots that ``greedy`` computed for a batch, from the lengths of its rows.

    Every output holds at least one token.
    """
    lengths = [range(count) for count in prompt_tokens]
    slots = 0
    for part in _parts(lengths, prefill_tokens):
        slots += (part.stop - part.start) * max(prompt_tokens[part])
    rows = len(prompt_tokens)
    for step in range(1, max(output_tokens)):
        alive = sum(length > step for length in output_tokens)
        rows = alive if _shrinks(rows, alive) else rows
        slots += rows
    return slots
