"""Kernels that compute the same formula with other roundings: a study's flagged axes.

None is on by default: what a study reports stays comparable with what was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.errors import MachineError

#: Fused kernels keep a value in fp32 where eager ones round it between two operations; so they
#: round it, too. What is left are sums in another order, and dropout's own stream of numbers.
_AS_EAGER = {"emulate_precision_casts": True}


def install(model: Any, names: Sequence[str]) -> None:
    """Replace parts of a Qwen2 model in place.

    Args:
        model: a causal language model, before it is wrapped.
        names: ``liger``: fused norms, rotary embedding and gate; ``compile``: each decoder
            layer compiled by itself, which needs a C compiler and Python's headers.

    Raises:
        MachineError: Liger's kernels are asked for and not installed.
    """
    if "liger" in names:
        _liger(model)
    if "compile" in names:
        for layer in model.model.layers:
            layer.compile(dynamic=False, options=_AS_EAGER)


def _liger(model: Any) -> None:
    try:
        from liger_kernel.transformers import apply_liger_kernel_to_qwen2
    except ImportError:
        raise MachineError(
            'training.kernels = ["liger"]: its kernels are not installed',
            hint="pip install 'bench[kernels]', or leave them out of the study",
        ) from None
    apply_liger_kernel_to_qwen2(
        rope=True,
        rms_norm=True,
        swiglu=True,
        cross_entropy=False,
        fused_linear_cross_entropy=False,
        model=model,
    )
