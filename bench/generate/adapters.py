"""LoRA adapters on the model that answers: every weight is put in place, or it is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import DataError


def attach(model: Any, folder: Path, *, merge: bool) -> Any:
    """A base with an adapter, beside its weights or added to them.

    Merged, a step starts half as many operations; but the sum is rounded to the type of the
    weights, so that its answers are another model's (its test shows that).

    Args:
        model: the base, dequantised if the adapter is merged.
        folder: the adapter as PEFT saves it.
        merge: add the adapter to the weights.

    Raises:
        DataError: the adapter lacks a weight of the model's layers, or has one of another.
    """
    from peft import PeftModel

    wrapped = PeftModel.from_pretrained(model, folder)
    check(wrapped, folder)
    return wrapped.merge_and_unload() if merge else wrapped


def check(model: Any, folder: Path) -> None:
    """Raise a DataError unless an adapter's file holds the very weights that a model has.

    The head is left out: tied to the embeddings, it is no weight of the adapter's.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    path = folder / "adapter_model.safetensors"
    with safe_open(path, "pt") as file:
        stored = set(file.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    for what, names in (("lacks", wanted - stored), ("has an unknown", stored - wanted)):
        left = sorted(name for name in names if not name.endswith("lm_head.weight"))
        if left:
            raise DataError(
                f"{path}: the adapter {what} weight {left[0]} ({len(left)} in all)",
                hint="it belongs to another base or LoRA configuration: train it again",
            )


def rank(folder: Path) -> int:
    """The rank of a saved adapter."""
    from peft import PeftConfig

    return int(PeftConfig.from_pretrained(folder).r)
