"""The model that answers, as its method and the study have it, and the engine that decodes."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.generate import adapters, budget, engines
from bench.generate.batches import Encoded
from bench.generate.engines import Engine
from bench.grid import analytic
from bench.grid.study import Study
from bench.train import bases
from bench.train.tokenizer import load_tokenizer


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """An engine with its model. ``details``: what the record says of it.

    ``budget``: the tokens of a batch, for a study that leaves them to the machine; None for
    an engine that sees to that itself.
    """

    engine: Engine
    tokenizer: Any
    budget: Callable[[Sequence[Encoded]], int] | None
    details: dict[str, Any]


def load(
    study: Study, method: str | None, base: Path, adapter: Path | None, scratch: Path
) -> Loaded:
    """Load what answers.

    Args:
        study: says how: plan, engine, whether an adapter is merged.
        method: whose model it is; None: the plain base.
        base: a folder of weights.
        adapter: what QLoRA has trained on a 4-bit base, or None.
        scratch: a folder for weights that an engine wants in another form.

    Raises:
        DataError: an adapter of another base.
        MachineError: an engine that is not installed.
    """
    decoding = study.decoding
    gpu = bases.default_device().type == "cuda"
    quantised = analytic.quantised(study, method, gpu=gpu)
    details = {
        "engine": decoding.engine,
        "adapter": None if adapter is None else "merged" if decoding.merge_adapter else "unmerged",
        "base": "4-bit" if quantised else "dequantised" if adapter else "as stored",
    }
    if decoding.engine == "vllm":
        return _vllm(study, base, adapter, scratch, details)
    model, tokenizer = bases.load(base, quantize=adapter is not None, dequantised=not quantised)
    if adapter is not None:
        model = adapters.attach(model, adapter, merge=decoding.merge_adapter)
    kind = engines.Continuous if decoding.engine == "continuous" else engines.Greedy
    lora = adapter is not None and not decoding.merge_adapter
    tokens = budget.of_machine(model, decoding, quantised=quantised, lora=lora)
    return Loaded(kind(model, tokenizer), tokenizer, tokens, details)


def _vllm(
    study: Study, base: Path, adapter: Path | None, scratch: Path, details: dict[str, Any]
) -> Loaded:
    """An engine of vLLM on the same weights: a folder of dequantised ones for a 4-bit base."""
    engines.require_vllm()
    served, tokenizer = base, load_tokenizer(base)
    lora = None
    if adapter is not None:
        model, _ = bases.load(base, quantize=True, device="cpu")
        if study.decoding.merge_adapter:
            model = adapters.attach(model, adapter, merge=True)
        else:
            lora = adapter, adapters.rank(adapter)
        served = scratch / "served"
        model.save_pretrained(served)
        tokenizer.save_pretrained(served)
        del model
        gc.collect()
    engine = engines.Vllm(served, tokenizer, study.decoding.window_tokens, lora)
    return Loaded(engine, tokenizer, None, details)
