"""Attention by the packing's own boundaries: variable-length kernels, where torch has them.

The documents of a batch lie one behind the other in a single row ``[1, tokens]``, without
padding, and each attends to itself alone. That is what a block-diagonal mask over packed rows
says, without computing what the mask hides. The kernels are CUDA's; their interface changed
between torch's releases, so it is looked up, not assumed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

#: The name under which transformers knows it (``attn_implementation``).
VARLEN = "bench_varlen"


@functools.cache
def kernel() -> Callable[..., Tensor] | None:
    """Torch's causal attention over sequences of different lengths; None where it lacks one.

    Called with queries ``[tokens, heads, width]``, keys and values ``[tokens, kv heads,
    width]``, ``bounds`` (int32 ``[sequences + 1]``), the longest length, and the scale.
    """
    try:
        from torch.nn.attention import varlen
    except ImportError:
        return None
    varlen_attn: Any = varlen.varlen_attn
    known = inspect.signature(varlen_attn).parameters
    if "window_size" in known:
        causal: dict[str, Any] = {"window_size": (-1, 0)}
    elif "is_causal" in known:
        causal = {"is_causal": True}
    else:
        return None
    grouped = {"enable_gqa": True} if "enable_gqa" in known else {}
    if "scale" not in known:
        return None

    def attend(
        query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, scale: float
    ) -> Tensor:
        if not grouped:
            times = query.shape[1] // key.shape[1]
            key, value = (one.repeat_interleave(times, dim=1) for one in (key, value))
        shared = grouped if query.shape[1] != key.shape[1] else {}
        found: Tensor = varlen_attn(
            query, key, value, bounds, bounds, longest, longest, scale=scale, **causal, **shared
        )
        return found

    return attend


def available(device: torch.device) -> bool:
    """Whether batches can be without padding on a device: CUDA from Ampere on."""
    if device.type != "cuda" or kernel() is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' interface: heads first, one row; gives ``[1, tokens, heads, width]``."""
    attend = kernel()
    if attend is None or cu_seq_lens_q is None or max_length_q is None or query.shape[0] != 1:
        raise RuntimeError("attention without padding needs one row and its documents' bounds")
    product = query.dtype
    if product == torch.float32:  # the kernels know half precision alone, as autocast asks for
        product = (
            torch.get_autocast_dtype("cuda")
            if torch.is_autocast_enabled("cuda")
            else torch.bfloat16
        )
    parts = [one[0].transpose(0, 1).to(product) for one in (query, key, value)]
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    found = attend(*parts, cu_seq_lens_q, int(max_length_q), scale)
    return found[None], None


def install(model: Any) -> None:
    """Let a model attend by the bounds that its batches carry."""
    AttentionInterface.register(VARLEN, _attend)
    AttentionMaskInterface.register(VARLEN, lambda *_, **__: None)
    model.set_attn_implementation(VARLEN)
