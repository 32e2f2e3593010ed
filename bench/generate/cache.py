"""Keys and values of a batch, in memory that is taken once; attention over them for one token.

transformers' own cache grows by copying: every step writes all keys and values again, and
leaves a device's allocator with blocks of as many sizes as there are steps.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

#: The attention that ``grouped_attention`` is known by to transformers.
GROUPED = "grouped_sdpa"


class KeyValues(Cache):  # type: ignore[misc]  # untyped
    """The cache of a batch: prompts are filled in a few rows at a time, then all rows step.

    Args:
        layers: of the model.
        rows: of the batch.
        width: the slots of the longest prompt; all prompts end there.
        capacity: the slots of a row in all, ``width`` included.
    """

    def __init__(self, layers: int, rows: int, width: int, capacity: int) -> None:
        self.width, self.end = width, width
        self.rows, self.capacity = rows, capacity
        #: The rows whose prompts are being read; None once all of them step.
        self.filling: slice | None = None
        super().__init__(layers=[_Layer(self) for _ in range(layers)])

    def keep(self, places: Tensor) -> None:
        """Take the other rows out of the batch."""
        self.rows = len(places)
        for layer in self.layers:
            layer.keys = layer.keys.index_select(0, places)
            layer.values = layer.values.index_select(0, places)


class _Layer(CacheLayerMixin):  # type: ignore[misc]  # untyped
    """One layer's keys and values, each (rows, kv heads, capacity, head dim)."""

    def __init__(self, cache: KeyValues) -> None:
        super().__init__()
        # A cycle of references would keep a batch's memory until the garbage collector's turn.
        proxy: Any = weakref.proxy(cache)
        self._cache: KeyValues = proxy

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        cache = self._cache
        _, heads, _, width = key_states.shape
        # Zeros: a masked slot counts nothing, but not a number would.
        self.keys = key_states.new_zeros(cache.rows, heads, cache.capacity, width)
        self.values = torch.zeros_like(self.keys)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cache, new = self._cache, key_states.shape[-2]
        if cache.filling is not None:
            self.keys[cache.filling, :, cache.width - new : cache.width] = key_states
            self.values[cache.filling, :, cache.width - new : cache.width] = value_states
            return key_states, value_states
        self.keys[:, :, cache.end : cache.end + new] = key_states
        self.values[:, :, cache.end : cache.end + new] = value_states
        return self.keys[:, :, : cache.end + new], self.values[:, :, : cache.end + new]

    def get_seq_length(self) -> int:
        return 0 if self._cache.filling is not None else self._cache.end

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return self._cache.capacity

    def get_max_cache_shape(self) -> int:
        return self._cache.capacity


def grouped_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one token a row, without a copy of keys and values for every query head.

    The query heads that share keys stand where a kernel has the positions of a head. With a
    mask, transformers before 5.20 repeats keys and values instead: six times the whole cache
    at 1.5B, in every layer and step. Longer queries (prompts) go transformers' own way.
    """
    rows, heads, new, width = query.shape
    if new > 1:
        found, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return found, None
    grouped = query.view(rows, key.shape[1], heads // key.shape[1], width)
    found = torch.nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=attention_mask, scale=scaling
    )
    return found.reshape(rows, 1, heads, width), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
