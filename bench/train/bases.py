"""Base models: made here (tiny) or located (hub), and loaded as the method wants them.

A tiny base is a Qwen2 model that the kit pretrains itself on generated material, since
LoRA on random weights learns nothing and no model hub is needed that way. It is a pure
function of its recipe: made once, kept under its key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from bench.data import embedded, hub, rows, sources
from bench.data.packing import PackedRows, pack
from bench.data.prompts import PROMPTS, Prompts
from bench.data.shippedbases import RECIPE, WORDING
from bench.errors import MachineError
from bench.grid.store import make_readable
from bench.grid.study import HubBase, TinyBase
from bench.records import Sample
from bench.train import arithmetic, idioms, loss, material, mirror, muon, shapes, tokenizer

Progress = Callable[[int, int], None]
Precision = Literal["published", "corrected"]

#: Tokens of a pretraining row.
ROW_TOKENS = 512
#: About how many tokens a function of the material takes in all its samples.
_TOKENS = 220
#: The longest sequence that a tiny base is configured for.
WINDOW = 2048
_WARM_UP = 0.05
_MUON_LEARNING_RATE = 0.03


def base_folder(
    base: TinyBase | HubBase,
    study_seed: int,
    cache: Path,
    on_progress: Progress | None = None,
    mirror: Path | None = None,
) -> Path:
    """The folder of a base model; a tiny one is made where it is not there yet.

    Args:
        base: as the study has it.
        study_seed: seed of a tiny base's material, weights and order.
        cache: the kit's cache: tiny bases lie in ``bases/<key>`` below it, and hub models,
            where no mirror is given, in its data folder.
        on_progress: called with (steps done, steps in all) while pretraining.
        mirror: the folder with the public data.

    Raises:
        MachineError: a hub model that is not on this machine; nothing is downloaded here.
    """
    if isinstance(base, HubBase):
        return _hub_folder(base, mirror or cache / sources.data_folder().name)
    target = _place(base, study_seed, cache)
    if is_made(base, study_seed, cache):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        make(base, study_seed, draft, on_progress)
        draft.chmod(0o755)
        for file in draft.iterdir():
            make_readable(file)
        try:
            draft.rename(target)
        except OSError:
            # Another process has put the same base there meanwhile.
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def is_made(base: TinyBase, study_seed: int, cache: Path) -> bool:
    """Whether a tiny base lies in a cache, for this user to read."""
    place = _place(base, study_seed, cache)
    return (place / "config.json").is_file() and os.access(place / "model.safetensors", os.R_OK)


def _place(base: TinyBase, study_seed: int, cache: Path) -> Path:
    return cache / "bases" / key(base, study_seed)


def key(base: TinyBase, study_seed: int) -> str:
    """SHA-256 of everything that decides a tiny base, shortened to 16 hex digits."""
    sources = (
        __file__,
        *(m.__file__ for m in (idioms, loss, material, mirror, muon, shapes, tokenizer)),
    )
    files = [Path(str(source)) for source in sources]
    files += [*embedded.files(), PROMPTS / f"{WORDING}.toml"]
    recipe = {
        "recipe": RECIPE,
        "base": base.model_dump(mode="json", exclude={"name"}),
        "seed": study_seed,
        "files": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
        "versions": [torch.__version__, transformers.__version__],
        "arithmetic": arithmetic.on_cpu(),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def make(base: TinyBase, seed: int, folder: Path, on_progress: Progress | None = None) -> None:
    """Pretrain a tiny base and save it, with its tokenizer, into ``folder``."""
    samples, wording = pretraining_samples(base, seed), Prompts.load(WORDING)
    texts = (turn["content"] for one in samples for turn in wording.with_answer(one))
    tokens = tokenizer.train_tokenizer(texts, base.vocabulary)
    documents = rows.documents(samples, wording, tokens, loss_on_prompt=False)
    packed = pack(documents, ROW_TOKENS, "isolated", tokens.pad_token_id, tokens.eos_token_id)
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(architecture(base, tokens))
    pretrain(model, packed, base, seed, on_progress)
    if base.embedding_rows is not None:
        widen(model, base.embedding_rows)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokens.save_pretrained(folder)


def architecture(base: TinyBase, tokens: Any) -> Qwen2Config:
    """Qwen2's architecture at the size of a tiny base, with tied embeddings."""
    return Qwen2Config(
        vocab_size=base.vocabulary,
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        num_hidden_layers=base.layers,
        num_attention_heads=base.heads,
        num_key_value_heads=base.kv_heads,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )


def widen(model: Qwen2ForCausalLM, rows: int) -> None:
    """Give the embedding as many rows as a real model's, behind those that were trained.

    The new ones are the mean of the others: no token has them, and their logits are never
    the largest.
    """
    trained = model.get_input_embeddings().weight.detach()
    mean, count = trained.mean(dim=0), len(trained)
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[count:] = mean


def pretraining_samples(base: TinyBase, seed: int) -> list[Sample]:
    """The material of a base; its amount follows the steps, so that little repeats."""
    functions = base.pretrain_steps * base.pretrain_rows_per_step * ROW_TOKENS // _TOKENS
    corpus = embedded.load()
    excluded = material.Excluded.of(
        [(one.id, {lang: one.code[lang] for lang in embedded.LANGUAGES}) for one in corpus]
    )
    return material.material(seed, max(64, functions), excluded)


def pretrain(
    model: Qwen2ForCausalLM,
    packed: PackedRows,
    base: TinyBase,
    seed: int,
    on_progress: Progress | None = None,
) -> None:
    """Supervised training on the answers: Muon for the layers' matrices, AdamW for the rest.

    Weights are fp32; products run in bf16 where the CPU is fast at it. Warm-up and linear
    decay for both optimizers.
    """
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    loss.install(model)
    mixed = compute_type("cpu") == torch.bfloat16
    model.train()
    optimizers = _optimizers(model, base.pretrain_learning_rate)
    steps = base.pretrain_steps
    warm_up = max(1, round(steps * _WARM_UP))
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            one, lambda step: min(1.0, (step + 1) / warm_up, (steps - step) / (steps - warm_up))
        )
        for one in optimizers
    ]
    for step, batch in zip(range(steps), _batches(packed, base, seed), strict=False):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            output = model(**batch, use_cache=False)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad(set_to_none=True)
        if on_progress is not None:
            on_progress(step + 1, steps)


def _optimizers(model: Qwen2ForCausalLM, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices, which it is made for, AdamW for embeddings, biases and norms.

    In 250 steps of the largest base Muon's outputs parse (2 of 37 did not), AdamW's did not
    (22 of 37).
    """
    hidden: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        (hidden if weight.ndim == 2 and "embed_tokens" not in name else rest).append(weight)
    return [
        _muon(hidden),
        torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _muon(matrices: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Muon of torch, or one in fp32 where torch's bf16 would be emulated."""
    rate = _MUON_LEARNING_RATE
    if compute_type("cpu") == torch.float32:
        return muon.Muon(matrices, lr=rate)
    return torch.optim.Muon(matrices, lr=rate, weight_decay=0.0, adjust_lr_fn="original")


def _batches(packed: PackedRows, base: TinyBase, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches of whole passes over the rows, each pass in its own order."""
    columns = {
        name: torch.from_numpy(getattr(packed, name)).long()
        for name in ("input_ids", "position_ids", "labels")
    }
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(packed), generator=generator)
        for part in torch.split(order, base.pretrain_rows_per_step):
            yield {name: column[part] for name, column in columns.items()}


def _hub_folder(base: HubBase, data: Path) -> Path:
    local = Path(base.repository)
    if local.is_dir():
        return local
    try:
        return hub.folder(hub.model(base.repository, base.revision), data)
    except MachineError as error:
        raise MachineError(
            f"base {base.name}: {error.problem}",
            hint=f"{error.hint}; or choose a tiny base",
        ) from None


def compute_type(device: torch.device | str) -> torch.dtype:
    """bf16 on a GPU and on a CPU that has it, else fp32: see ``bench.train.arithmetic``."""
    bf16 = torch.device(device).type == "cuda" or arithmetic.on_cpu() == "bf16"
    return torch.bfloat16 if bf16 else torch.float32


def unquantized_type(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The type of what QLoRA does not quantise: embeddings, head and norms.

    ``published``: fp16 on a GPU, transformers 4.44's default for a 4-bit model whose script
    names none (protocol, "In fact"); under bf16 autocast the products are bf16 and the
    residual stream becomes fp32. On a CPU fp16 is about ten times slower than bf16, so the
    type is the same for both.
    """
    if precision == "published" and torch.device(device).type == "cuda":
        return torch.float16
    return compute_type(device)


def types(model: Any) -> dict[str, str]:
    """The device of a trained model, and the types of its embeddings and of what was trained."""
    embeddings = model.get_input_embeddings().weight
    trained = next(weight for weight in model.parameters() if weight.requires_grad)
    return {
        "device": embeddings.device.type,
        "embeddings": str(embeddings.dtype).removeprefix("torch."),
        "trained": str(trained.dtype).removeprefix("torch."),
    }


def default_device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def load(
    folder: Path,
    quantize: bool,
    device: torch.device | str | None = None,
    *,
    dequantised: bool = True,
    precision: Precision = "corrected",
) -> tuple[Any, Any]:
    """A base model and its tokenizer, ready to train or to generate.

    Args:
        folder: from ``base_folder``, or a fully fine-tuned model's.
        quantize: NF4 with double quantisation, computing in bf16 (fp32 without native bf16).
        device: None for the first GPU, else the CPU.
        dequantised: for quantised bases: once, to weights that are bitwise those of every
            pass, for 1.5 bytes a weight more; else in every pass.
        precision: for quantised bases, to train on: see ``unquantized_type``. The study's
            inference scripts name bf16, so that models are evaluated as ``corrected``.
    """
    device = torch.device(device) if device is not None else default_device()
    dtype = compute_type(device)
    options: dict[str, Any] = {
        "dtype": dtype,
        "device_map": {"": device},
        "attn_implementation": "sdpa",
        "use_safetensors": True,
        "local_files_only": True,
    }
    if quantize:
        options["dtype"] = unquantized_type(precision, device)
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = AutoModelForCausalLM.from_pretrained(folder, **options)
    if quantize:
        (dequantize if dequantised else mend_cpu_quantisation)(model)
    return model, tokenizer.load_tokenizer(folder)


def mend_cpu_quantisation(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights at the first forward in eval mode.

    On CPUs with avx512_bf16 that repacking serves inference and cannot be undone: training
    afterwards fails or, without biases, gets silently wrong gradients.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit) and hasattr(
            module, "support_avx512bf16_for_cpu"
        ):
            module.support_avx512bf16_for_cpu = False


def dequantize(model: Any) -> None:
    """Replace every 4-bit layer by a plain one with the same, dequantised weights.

    Forward and backward equal bitsandbytes' own bit by bit; what every pass would
    dequantise again is there once, for 2 bytes a weight.
    """
    import bitsandbytes

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bitsandbytes.nn.Linear4bit):
                setattr(parent, name, _plain_linear(child))
    model.is_loaded_in_4bit = model.is_quantized = False
    model.hf_quantizer = None
    model.quantization_method = None
    del model.config.quantization_config


class _Plain(torch.nn.Linear):
    """A linear layer whose output has the type of its input, as a 4-bit layer's has.

    What it makes of fp16 it gives as fp32: PEFT adds LoRA's bf16 to a 4-bit layer's fp16,
    which is fp32, but rounds the sum of a plain layer back to what that layer gave.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The product, in the layer's own or autocast's type, and back."""
        output = super().forward(input).to(input.dtype)
        return output.float() if output.dtype == torch.float16 else output


def _plain_linear(layer: Any) -> torch.nn.Linear:
    import bitsandbytes

    weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    dtype = layer.compute_dtype or weight.dtype
    with torch.device("meta"):
        plain = _Plain(layer.in_features, layer.out_features, layer.bias is not None)
    plain.weight = torch.nn.Parameter(weight.to(dtype), requires_grad=False)
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.data.to(dtype), requires_grad=False)
    return plain
