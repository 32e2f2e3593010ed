"""What a model of Qwen2's architecture takes: parameters, memory and operations, from its shape.

Pure arithmetic, no torch: a plan asks it before anything is installed or downloaded. Bytes
are those of the tensors; an allocator takes some more. Figures are checked against published
ones and against tiny models in the tests.
"""

from __future__ import annotations

import dataclasses
from typing import Any

#: Bytes a weight of NF4 with double quantisation: half a byte, one 8-bit scale for each 64
#: weights, and one fp32 scale for each 256 of those.
NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256)
#: Positions whose logits the loss holds at one time: ``bench.train.loss.CHUNK_ROWS``.
CHUNK_ROWS = 2048
#: Slots of prompts that ``bench.generate.greedy`` reads at once.
PREFILL_TOKENS = 16_384
#: bitsandbytes keeps the state of smaller tensors in fp32.
_LEAST_8BIT = 4096
#: An 8-bit moment with its fp32 scale for each 256 values; AdamW has two.
_ADAM_8BIT_BYTES = 2 * (1 + 4 / 256)
_BF16, _FP32 = 2, 4
#: Bytes of a logit in the stock loss: as it comes, in fp32, its logarithm, its gradient.
_STOCK_LOGIT = 16
#: What the driver and an allocator's unused rest take of a device, beside the tensors; and the
#: share of a device's memory that fragments.
DEVICE_RESERVE_BYTES, UNUSABLE = 1.5e9, 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """Widths and counts of a Qwen2 model, named as its ``config.json`` has them, shortened."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: Any) -> Shape:
        """The shape of a loaded model, from its configuration in transformers."""
        return cls(
            config.hidden_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.intermediate_size,
            config.vocab_size,
            bool(config.tie_word_embeddings),
        )

    @property
    def kv_width(self) -> int:
        """Width of the keys, and of the values, of a token in a layer."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a layer's seven linear projections, by name."""
        hidden, kv, wide = self.hidden, self.kv_width, self.intermediate
        return {
            "q_proj": (hidden, hidden),
            "k_proj": (hidden, kv),
            "v_proj": (hidden, kv),
            "o_proj": (hidden, hidden),
            "gate_proj": (hidden, wide),
            "up_proj": (hidden, wide),
            "down_proj": (wide, hidden),
        }

    @property
    def linear(self) -> int:
        """Weights of the linear projections of all layers: what NF4 quantises."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.projections.values())

    @property
    def head(self) -> int:
        """Weights of the head, which are the embedding's where the two are tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights; a tied head counts once."""
        biases, norms = self.hidden + 2 * self.kv_width, 2 * self.hidden
        rest = self.layers * (biases + norms) + self.hidden
        return self.linear + rest + self.head * (1 if self.tied else 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Lora:
    """LoRA matrices of one rank on some of a layer's projections."""

    rank: int
    targets: tuple[str, ...]

    def matrices(self, shape: Shape) -> list[int]:
        """The sizes of a layer's matrices, two for each target."""
        projections = shape.projections
        return [self.rank * width for name in self.targets for width in projections[name]]

    def parameters(self, shape: Shape) -> int:
        """Weights that are trained."""
        return shape.layers * sum(self.matrices(shape))


@dataclasses.dataclass(frozen=True, slots=True)
class Fit:
    """How a model is trained, as far as it decides what that takes.

    ``lora`` None is full fine-tuning. ``dequantised``: the frozen base is bf16, not NF4.
    ``fp32_stream``: the residual stream is fp32, as fp16 embeddings under bf16 autocast make
    it. ``fused_dropout``: a dropped input leaves a mask of bytes (CUDA), else fp32 noise (CPU).
    ``stock_loss``: transformers' own, which keeps all logits. ``graphs``: the layers run as one
    CUDA graph.
    """

    micro_rows: int
    row_tokens: int
    optimizer: str
    lora: Lora | None = None
    dropout: bool = True
    dequantised: bool = True
    fp32_stream: bool = False
    checkpointing: bool = False
    fused_dropout: bool = True
    stock_loss: bool = False
    graphs: bool = False

    @property
    def micro_tokens(self) -> int:
        """Tokens that are computed at once."""
        return self.micro_rows * self.row_tokens


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by what holds them; ``step`` is there only after the backward pass.

    ``trained``: gradients and optimiser state, and LoRA's own weights. ``working``: what one
    layer computes with.
    """

    weights: int
    trained: int
    activations: int
    loss: int
    step: int
    working: int = 0

    @property
    def total(self) -> int:
        """The peak: a layer's work, the loss and the optimiser's temporaries take turns."""
        backward = self.activations + max(self.loss, self.working)
        return self.weights + self.trained + max(backward, self.step)


def weight_bytes(shape: Shape, *, quantised: bool) -> int:
    """A model's weights in bf16, its linear projections in NF4 if they are ``quantised``."""
    rest = _BF16 * (shape.parameters - shape.linear)
    return round(shape.linear * (NF4_BYTES if quantised else _BF16)) + rest


def training_memory(shape: Shape, fit: Fit) -> Memory:
    """What a training step holds at its peak.

    ``adamw_torch`` steps all tensors at once (``foreach``), for one more copy of them;
    ``adamw_torch_fused`` and the 8-bit optimiser need none.
    """
    weights = weight_bytes(shape, quantised=fit.lora is not None and not fit.dequantised)
    activations, working = activation_bytes(shape, fit), working_bytes(shape, fit)
    loss = loss_bytes(shape, fit)
    if fit.lora is None:
        each = _ADAM_8BIT_BYTES if fit.optimizer == "adamw_bnb_8bit" else 2 * _BF16
        temporary = _BF16 * shape.parameters if fit.optimizer == "adamw_torch" else 0
        trained = round((_BF16 + each) * shape.parameters)
        return Memory(weights, trained, activations, loss, temporary, working)
    # Weights and gradients in fp32, and the bf16 copy of the weights that autocast keeps.
    state = lora_state_bytes(shape, fit.lora, fit.optimizer)
    trained = (2 * _FP32 + _BF16) * fit.lora.parameters(shape) + state
    return Memory(weights, trained, activations, loss, 0, working)


def lora_state_bytes(shape: Shape, lora: Lora, optimizer: str) -> int:
    """AdamW's two moments of every LoRA matrix: 8-bit, but fp32 for small matrices."""
    eight = optimizer == "adamw_bnb_8bit"
    each = (
        count * (_ADAM_8BIT_BYTES if eight and count >= _LEAST_8BIT else 2 * _FP32)
        for count in lora.matrices(shape)
    )
    return round(shape.layers * sum(each))


def saved_bytes(shape: Shape, fit: Fit) -> int:
    """Activations that backward needs, per token and layer, without checkpointing.

    Both norms keep their fp32 input and its scale, attention its bf16 queries, keys, values,
    output and log-sum, the gate its input, its output and its factor. Weights that are trained
    keep their input, too; LoRA keeps a dropped-out bf16 input of each target, and its mask.
    """
    stream = _FP32 if fit.fp32_stream else _BF16
    norms = 2 * (_FP32 * shape.hidden + _FP32)
    attention = 2 * _BF16 * (shape.hidden + shape.kv_width) + _FP32 * shape.heads
    gate = 3 * stream * shape.intermediate
    if fit.lora is None:
        normalised = 2 * (stream + _BF16) * shape.hidden
        return norms + attention + gate + normalised + _BF16 * shape.intermediate
    mask = 0 if not fit.dropout else 1 if fit.fused_dropout else _FP32
    inputs = sum(shape.projections[name][0] for name in fit.lora.targets)
    inner = _BF16 * fit.lora.rank * len(fit.lora.targets)
    return norms + attention + gate + (_BF16 + mask) * inputs + inner


def activation_bytes(shape: Shape, fit: Fit) -> int:
    """What a micro-batch leaves for its backward pass; with checkpointing each layer's input."""
    if fit.checkpointing:
        stream = _FP32 if fit.fp32_stream else _BF16
        return fit.micro_tokens * stream * shape.hidden * shape.layers
    return fit.micro_tokens * saved_bytes(shape, fit) * shape.layers


def working_bytes(shape: Shape, fit: Fit) -> int:
    """What a layer's backward pass computes with; with checkpointing also all that it saves."""
    stream = _FP32 if fit.fp32_stream else _BF16
    working = stream * (4 * shape.hidden + 3 * shape.intermediate)
    again = saved_bytes(shape, fit) if fit.checkpointing else 0
    return fit.micro_tokens * (working + again)


def loss_bytes(shape: Shape, fit: Fit) -> int:
    """The logits of one chunk of the loss, and the gradients that it makes at once.

    fp32 logits with a temporary of their size; where the head is trained, its fp32 gradient,
    and a chunk's share of that in bf16 and fp32. The stock loss has the logits of all positions
    as they come, as fp32, and with them their gradients.
    """
    if fit.stock_loss:
        return _STOCK_LOGIT * fit.micro_tokens * shape.vocabulary
    positions = min(CHUNK_ROWS, fit.micro_rows * (fit.row_tokens - 1))
    logits = positions * shape.vocabulary
    hidden = _FP32 * fit.micro_tokens * shape.hidden
    if fit.lora is None:
        shares = 6 * logits + (_FP32 + _BF16) * shape.head
        return hidden + _FP32 * shape.head + max(8 * logits, shares)
    cast = _BF16 * shape.head if fit.fp32_stream else 0
    return hidden + cast + 8 * logits


def kv_cache_bytes(shape: Shape, rows: int, tokens: int) -> int:
    """Keys and values in bf16 of ``rows`` sequences of ``tokens``."""
    return rows * tokens * shape.layers * 2 * _BF16 * shape.kv_width


def generation_memory(
    shape: Shape,
    *,
    quantised: bool,
    rows: int,
    prompt_tokens: int,
    new_tokens: int,
    lora: bool = False,
) -> Memory:
    """What a batch of ``rows`` answers holds: weights, cache, and the widest layer's work.

    ``prompt_tokens`` is the longest prompt of the batch: all of them are padded to it.
    ``lora``: an adapter stands beside the weights.
    """
    cache = kv_cache_bytes(shape, rows, prompt_tokens + new_tokens)
    # Rows that have ended leave by a copy of a layer's keys, then of its values.
    stepping = cache + cache // (2 * shape.layers)
    reading = cache + _prefill_bytes(shape, rows * prompt_tokens, prompt_tokens, lora=lora)
    logits = _BF16 * rows * shape.vocabulary
    weights = weight_bytes(shape, quantised=quantised)
    return Memory(weights, 0, max(stepping, reading), logits, 0)


def _prefill_bytes(shape: Shape, slots: int, prompt_tokens: int, *, lora: bool) -> int:
    """What one layer computes with while prompts are read, some at a time.

    The residual stream, its norm, queries, keys and values, repeated for all heads; or the
    gate, the up-projection and their product. An adapter's input and output are fp32. The
    mask is of bytes, and once more of bf16.
    """
    filled = max(min(slots, PREFILL_TOKENS), prompt_tokens)
    width = 4 * shape.hidden + 3 * shape.intermediate
    adapter = _FP32 * 2 * shape.intermediate if lora else 0
    return filled * (_BF16 * width + adapter + (1 + _BF16) * prompt_tokens)


def usable_bytes(device_bytes: int) -> int:
    """What of a device's memory tensors can fill: less the driver's share, and fragments."""
    return round(device_bytes * (1 - UNUSABLE) - DEVICE_RESERVE_BYTES)


def generation_tokens(
    shape: Shape,
    *,
    quantised: bool,
    memory_bytes: int,
    rows: int,
    prompt_tokens: int,
    lora: bool = False,
) -> int:
    """The tokens (rows × longest prompt and answer) of a batch that fits a device's memory.

    ``rows`` at most, with prompts of ``prompt_tokens`` at most; 0 where the rest fills it.
    """
    fixed = weight_bytes(shape, quantised=quantised) + _BF16 * rows * shape.vocabulary
    fixed += _prefill_bytes(shape, PREFILL_TOKENS, prompt_tokens, lora=lora)
    token = kv_cache_bytes(shape, 1, 1)
    each = token + token / (2 * shape.layers)
    return max(0, int((memory_bytes - fixed) / each))


def forward_flops(shape: Shape, row_tokens: float, lora: Lora | None = None) -> float:
    """Operations of the layers' forward pass per token, the head apart; causal attention."""
    attention = 2 * row_tokens * shape.hidden * shape.layers
    return 2 * shape.linear + attention + 2 * (lora.parameters(shape) if lora else 0)


def training_flops(shape: Shape, fit: Fit) -> float:
    """Operations per token of forward and backward.

    A frozen weight takes part in two products (forward, gradient of its input), a trained one
    in three; checkpointing repeats the layers' forward pass.
    """
    products = 3 if fit.lora is None else 2
    attention = 3 * 2 * fit.row_tokens * shape.hidden * shape.layers
    trained = 6 * (fit.lora.parameters(shape) if fit.lora else 0)
    again = forward_flops(shape, fit.row_tokens, fit.lora) if fit.checkpointing else 0
    return 2 * products * (shape.linear + shape.head) + attention + trained + again
