"""Profiles of GPUs, made up: what ``python -m bench profile`` writes, with chosen rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data import hub
from bench.grid import analytic
from bench.grid.devices import Gpu
from bench.grid.profiles import ShapeEntry
from bench.grid.study import Study

SIZES = {"0.5b": "0.5B", "1.5b": "1.5B", "3b": "3B", "7b": "7B"}


def shape(size: str) -> dict[str, Any]:
    """The shape of a size of the published study."""
    name = f"Qwen/Qwen2.5-Coder-{SIZES[size]}-Instruct"
    found = hub.repositories()[name].shape
    return dict(found)


def training(size: str = "1.5b", rate: float = 50_000.0, **changes: Any) -> dict[str, Any]:
    """A QLoRA training as the study ``paper`` has it, in the published micro-batches of 2 rows.

    At another rate of processed tokens. ``chosen`` has the micro-batches of a card.
    """
    return {
        "item": "train",
        "size": size,
        "shape": shape(size),
        "method": "qlora",
        "plan": "tuned",
        "dequantised": False,
        "micro_rows": 2,
        "row_tokens": 512,
        "checkpointing": False,
        "optimizer": "adamw_bnb_8bit",
        "precision": "published",
        "packing": "published",
        "outcome": "ok",
        "reason": None,
        "steps": 20,
        "step_s": {"median": 0.3, "p20": 0.29, "p80": 0.31},
        "tokens_per_s": {"processed": rate, "real": 0.97 * rate, "trained": 0.96 * rate},
        "peak_allocated_bytes": 9_000_000_000,
        "peak_reserved_bytes": 10_000_000_000,
        "mfu": 0.4,
        **changes,
    }


def chosen(
    loaded: Study, method: str, size: str, gpu: Gpu, rate: float, **changes: Any
) -> dict[str, Any]:
    """A training in the very setting that a study leaves to be chosen for a card."""
    its = ShapeEntry.model_validate(shape(size)).shape()
    fit = analytic.fit(
        loaded,
        method,
        loaded.tasks,
        shape=its,
        memory_bytes=gpu.memory_bytes,
        device=gpu.limits,
    )
    adapter = fit.lora is not None
    own = {
        "method": analytic.kind(method),
        "dequantised": fit.dequantised if adapter else None,
        "precision": loaded.training.precision if adapter else None,
        "micro_rows": fit.micro_rows,
        "checkpointing": fit.checkpointing,
        "optimizer": fit.optimizer,
    }
    return training(size, rate, **{**own, **changes})


def generation(size: str = "1.5b", rate: float = 8_000.0, **changes: Any) -> dict[str, Any]:
    """A batch of answers, with an adapter that is not merged; the study ``paper`` has more rows."""
    return {
        "item": "generate",
        "size": size,
        "shape": shape(size),
        "method": "qlora",
        "merged": False,
        "rows": 32,
        "prompt_tokens": 200,
        "new_tokens": 512,
        "tokens_per_s": rate,
        "step_s": 0.004,
        "peak_allocated_bytes": 5_000_000_000,
        "outcome": "ok",
        "reason": None,
        **changes,
    }


def profile(*items: dict[str, Any], gpu: str = "NVIDIA H200", **changes: Any) -> dict[str, Any]:
    """A whole profile of one card."""
    return {
        "schema": 1,
        "device": {
            "name": gpu,
            "memory_bytes": 150_000_000_000,
            "capability": "9.0",
            "driver": "1",
        },
        "software": {"torch": "2.13.0", "transformers": "5.23.0", "bitsandbytes": "0.50.0"},
        "origin": {"time": "2026-01-01T00:00:00+00:00", "commit": "c" * 40, "note": "made up"},
        "items": list(items),
        **changes,
    }


def write(folder: Path, content: Any, name: str = "nvidia-h200") -> Path:
    """A profile's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path
