"""One item of a profile, measured in a process of its own (``bench.profile.run`` starts it).

The weights are random and made on the device, the tokens are random: nothing is read, from a
hub or a disk, and `datasets` is not needed. The training is ``bench.train.fit``'s own.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, TrainerCallback

from bench import costs
from bench.costs import Shape
from bench.data.packing import PackedRows
from bench.grid import devices, study
from bench.grid.batching import Setting
from bench.profile.items import CHECKPOINT, GENERATE, NEW_TOKENS, PROMPT_TOKENS, Item, from_json
from bench.records import Tokens
from bench.train import bases, fit, methods, microbatch

#: Steps that are left out, that are timed at most, and at least: fewer than most where they
#: take longer than ``_TIMED_S`` together.
_STEPS = {"cuda": (3, 20, 3), "cpu": (1, 3, 1)}
_TIMED_S = 5.0
_METHODS = {"qlora": "mt-qlora", "full": "mt-fft"}


def measure(item: Item, reference: study.Study) -> dict[str, Any]:
    """What an item takes on this process' device; out of memory is a result."""
    try:
        if item.item == GENERATE:
            return {"outcome": "ok", "reason": None, **_generation(item)}
        with tempfile.TemporaryDirectory() as folder:
            return {"outcome": "ok", "reason": None, **_training(item, reference, Path(folder))}
    except torch.OutOfMemoryError as error:
        return {"outcome": "oom", "reason": str(error).splitlines()[0]}


def random_model(item: Item, device: torch.device) -> Any:
    """A model of the item's shape as ``bases.load`` would give it, with random weights."""
    model = random_weights(item.shape, device)
    if item.method == "full":
        return model
    quantise(model, bases.unquantized_type(item.precision, device))
    if item.dequantised and item.plan == "tuned":
        bases.dequantize(model)
    else:
        bases.mend_cpu_quantisation(model)
    return model


def random_weights(shape: Shape, device: torch.device) -> Any:
    """A model of a shape in the device's computing type, made where it computes."""
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=32_768,
        rms_norm_eps=1e-6,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return Qwen2ForCausalLM._from_config(
            config, dtype=bases.compute_type(device), attn_implementation="sdpa"
        )


def quantise(model: Any, unquantised: torch.dtype) -> None:
    """Turn a model's projections into NF4 with double quantisation, the rest into a type."""
    import bitsandbytes
    from transformers import BitsAndBytesConfig

    device = model.get_input_embeddings().weight.device
    compute = bases.compute_type(device)
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, plain in list(part.named_children()):
                if not isinstance(plain, torch.nn.Linear):
                    continue
                four = bitsandbytes.nn.Linear4bit(
                    plain.in_features,
                    plain.out_features,
                    bias=plain.bias is not None,
                    compute_dtype=compute,
                    compress_statistics=True,
                    quant_type="nf4",
                    device="meta",
                )
                four.weight = bitsandbytes.nn.Params4bit(
                    plain.weight.data, requires_grad=False, quant_type="nf4", module=four
                ).to(device)
                four.bias = plain.bias
                setattr(part, name, four)
    for weight in model.parameters():
        if weight.dtype == compute:
            weight.data = weight.data.to(unquantised)
    model.is_loaded_in_4bit = True
    model.config.quantization_config = BitsAndBytesConfig(load_in_4bit=True)


def random_rows(shape: Shape, rows: int, row_tokens: int, packing: str) -> PackedRows:
    """Packed rows of random tokens; ``isolated``: three documents a row, a tenth padding."""
    generator = np.random.default_rng(0)
    ids = generator.integers(0, shape.vocabulary, (rows, row_tokens), dtype=np.int32)
    positions = np.broadcast_to(np.arange(row_tokens, dtype=np.int32), ids.shape).copy()
    labels = ids.copy()
    real = ids.size
    if packing == "isolated":
        used = row_tokens * 9 // 10
        bounds = [0, used // 4, used // 2, used]
        for start, end in zip(bounds, [*bounds[1:], row_tokens], strict=True):
            positions[:, start:end] = np.arange(end - start, dtype=np.int32)
            labels[:, start] = -100
        labels[:, used:] = -100
        real = rows * used
    trained = int(np.count_nonzero(labels[:, 1:] != -100))
    return PackedRows(ids, positions, labels, Tokens(ids.size, real, trained), rows, 0, 0)


class _Timed(TrainerCallback):  # type: ignore[misc]
    """Seconds of each step; ends the training when enough were timed."""

    def __init__(self, device: torch.device, *, trace: bool) -> None:
        self.step_s: list[float] = []
        self.warm_up, self.most, self.least = _STEPS[device.type]
        self.kernels: dict[str, Any] | None = None
        self._device = device
        self._trace = trace
        self._profiler: Any = None
        self._last = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.warm_up:
            _reset_peak(self._device)
        if self._trace and state.global_step == self.warm_up - 1:
            self._profiler = _profiler(self._device)
            self._profiler.__enter__()
        _wait(self._device)
        self._last = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        _wait(self._device)
        if self._profiler is not None:
            self._profiler.__exit__(None, None, None)
            self.kernels = _kernels(self._profiler)
            self._profiler = None
        if state.global_step > self.warm_up:
            self.step_s.append(time.perf_counter() - self._last)
            enough = len(self.step_s) >= self.least and sum(self.step_s) > _TIMED_S
            control.should_training_stop = enough or len(self.step_s) >= self.most


def _training(item: Item, reference: study.Study, work: Path) -> dict[str, Any]:
    device, method = bases.default_device(), _METHODS[item.method]
    training = item.training(reference)
    model = random_model(item, device)
    setting = microbatch.choose(model, training, method, work)
    steps = sum(_STEPS[device.type][:2])
    rows = random_rows(
        item.shape, steps * item.rows_per_step, training.row_tokens, training.packing
    )
    timed = _Timed(device, trace=item.trace)
    trainer, _ = fit.assemble(
        model, None, {"train": rows}, training, method, 0, work, setting=setting
    )
    trainer.args.save_strategy = "no"
    trainer.add_callback(timed)
    trainer.train()
    found = _steady(item, reference, setting, timed, rows, device)
    if item.item == CHECKPOINT:
        start = time.perf_counter()
        trainer._save_checkpoint(trainer.model, None)
        found["wall_s"] = time.perf_counter() - start
        found["bytes"] = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    return found


def _steady(
    item: Item,
    reference: study.Study,
    setting: Setting,
    timed: _Timed,
    rows: PackedRows,
    device: torch.device,
) -> dict[str, Any]:
    """Rates, peaks and the memory model's word of a training's timed steps."""
    gpu = device.type == "cuda"
    fit_ = item.fit(reference, setting.rows, checkpointing=setting.checkpointing, gpu=gpu)
    step_s = sorted(timed.step_s)
    median = statistics.median(step_s)
    share = item.rows_per_step / len(rows)
    counts = dataclasses.asdict(rows.tokens)
    rates = {name: count * share / median for name, count in counts.items()}
    limits = devices.limits(_name(device)) if gpu else None
    flops = costs.training_flops(item.shape, fit_) * rates["real"]
    return {
        "micro_rows": setting.rows,
        "checkpointing": setting.checkpointing,
        "optimizer": fit_.optimizer,
        "row_tokens": fit_.row_tokens,
        "steps": len(step_s),
        "step_s": {
            "median": median,
            "p20": step_s[len(step_s) // 5],
            "p80": step_s[-1 - len(step_s) // 5],
        },
        "tokens_per_s": rates,
        "mfu": flops / limits.flops if limits else None,
        "kernels_per_step": timed.kernels,
        "memory_model_bytes": costs.training_memory(item.shape, fit_).total,
        **_peak(device),
    }


def _generation(item: Item) -> dict[str, Any]:
    from bench.generate.greedy import greedy

    device = bases.default_device()
    plain = dataclasses.replace(item, precision="corrected")
    model = random_model(plain, device)
    if item.method == "qlora":
        training = plain.training(study.load("paper"))
        model = methods.prepare(model, training, "mt-qlora", 0)
        if item.merged:
            model = model.merge_and_unload()
    model.eval()
    generator = np.random.default_rng(0)
    ids = generator.integers(0, item.shape.vocabulary, (item.rows, PROMPT_TOKENS)).tolist()
    greedy(model, ids, [2] * item.rows, frozenset(), 0)
    _wait(device)
    _reset_peak(device)
    start = time.perf_counter()
    greedy(model, ids, [1] * item.rows, frozenset(), 0)
    _wait(device)
    prefill_s = time.perf_counter() - start
    start = time.perf_counter()
    outputs = greedy(model, ids, [NEW_TOKENS] * item.rows, frozenset(), 0)
    _wait(device)
    wall_s = time.perf_counter() - start
    written = sum(map(len, outputs))
    memory = costs.generation_memory(
        item.shape,
        quantised=item.method == "qlora" and not item.dequantised,
        rows=item.rows,
        prompt_tokens=PROMPT_TOKENS,
        new_tokens=NEW_TOKENS,
        lora=item.method == "qlora" and not item.merged,
    )
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": NEW_TOKENS,
        "tokens_per_s": written / wall_s,
        "step_s": (wall_s - prefill_s) / (NEW_TOKENS - 1),
        "prefill_s": prefill_s,
        "memory_model_bytes": memory.total,
        **_peak(device),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> dict[str, int | None]:
    if device.type != "cuda":
        return {"peak_allocated_bytes": None, "peak_reserved_bytes": None}
    return {
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device),
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device),
    }


def _name(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device))


def _profiler(device: torch.device) -> Any:
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    return torch.profiler.profile(activities=activities)


def _kernels(profiler: Any) -> dict[str, Any]:
    """Kernels that one step started, their seconds, and the five that took most."""
    events = [
        one
        for one in profiler.events()
        if one.device_type.name == "CUDA" and one.name != "Activity Buffer Request"
    ]
    by_name: dict[str, list[float]] = {}
    for one in events:
        by_name.setdefault(one.name[:80], []).append(one.device_time_total / 1e6)
    longest = sorted(by_name.items(), key=lambda pair: -sum(pair[1]))
    return {
        "count": len(events),
        "device_s": sum(map(sum, by_name.values())),
        "longest": [
            {"name": name, "count": len(times), "device_s": sum(times)}
            for name, times in longest[:16]
        ],
    }


def device() -> dict[str, Any]:
    """The device that items are measured on, as a profile's file tells it."""
    import transformers

    found = bases.default_device()
    software = {"torch": torch.__version__, "transformers": transformers.__version__}
    try:
        import bitsandbytes

        software["bitsandbytes"] = bitsandbytes.__version__
    except ImportError:
        pass
    if found.type != "cuda":
        return {"device": None, "software": software}
    properties = torch.cuda.get_device_properties(found)
    return {
        "device": {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
        },
        "software": software,
    }


def main(request: str, answer: str) -> None:
    """Measure the item in the file ``request`` and write what came of it to ``answer``.

    Begins with the first line on the standard input: until then another item has the device.
    """
    sys.stdin.readline()
    content = json.loads(Path(request).read_text())
    item = from_json(content["item"])
    reference = study.Study.model_validate(content["study"])
    found = {**device(), "found": measure(item, reference)}
    Path(answer).write_text(json.dumps(found))
