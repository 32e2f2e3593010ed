"""The methods: which parameters of a base are trained, and how they are optimised.

``st-qlora`` and ``mt-qlora`` train LoRA matrices on a frozen 4-bit base, ``mt-fft`` trains
every parameter (protocol, "Training").
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from bench.errors import unknown
from bench.grid.study import Optimization, Training
from bench.records import METHODS


def quantizes(method: str) -> bool:
    """Whether a method trains on (and is evaluated on) the 4-bit base.

    Raises:
        BenchError: no such method.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    return method != "mt-fft"


def optimization(training: Training, method: str) -> Optimization:
    """The optimizer and schedule of a method."""
    return training.qlora if quantizes(method) else training.full


def prepare(
    model: Any, training: Training, method: str, seed: int, *, checkpointing: bool = False
) -> Any:
    """The model with its trainable parameters chosen.

    For QLoRA the result is a PEFT model whose LoRA matrices (fp32 on a bf16 base, as PEFT
    makes them) are drawn from ``seed``; the base is frozen. For full fine-tuning it is the
    same model, everything trainable.
    """
    model.config.use_cache = False
    if not quantizes(method):
        model.requires_grad_(requires_grad=True)
        return model
    model.requires_grad_(requires_grad=False)
    torch.manual_seed(seed)
    wrapped = get_peft_model(model, lora_config(training))
    if checkpointing:
        model.enable_input_require_grads()
    return wrapped


def lora_config(training: Training) -> LoraConfig:
    """LoRA as the study has it: without bias, every linear projection of a layer."""
    lora = training.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
