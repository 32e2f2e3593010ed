"""Cross-entropy over a large vocabulary in chunks, at the positions that count only.

The stock loss keeps every logit of a batch several times over (about 16 bytes each).
Here the positions without a target are dropped before the head, and the head runs over
``chunk_rows`` positions at a time, whose logits are turned into gradients at once and
forgotten: peak memory is one chunk of logits. With a frozen head (QLoRA) no gradient of
its weight is computed at all.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutputWithPast

IGNORED = -100
CHUNK_ROWS = 2048


class Selected(NamedTuple):
    """``hidden`` [n, h], ``targets`` [n] and ``places`` [n] in the flattened batch."""

    hidden: Tensor
    targets: Tensor
    places: Tensor


def select(hidden: Tensor, labels: Tensor, position_ids: Tensor | None = None) -> Selected:
    """The positions that predict a target.

    Args:
        hidden: final hidden states, ``[batch, time, width]``.
        labels: unshifted labels ``[batch, time]``; -100 is no target.
        position_ids: where given, a token at position 0 begins a document and is no
            target, so that no document is asked to predict the next one's first token.
    """
    shifted = torch.full_like(labels, IGNORED)
    shifted[:, :-1] = labels[:, 1:]
    if position_ids is not None:
        starts = position_ids.expand_as(labels)[:, 1:] == 0
        shifted[:, :-1].masked_fill_(starts, IGNORED)
    flat = shifted.reshape(-1)
    index = torch.nonzero(flat != IGNORED).squeeze(1)
    return Selected(hidden.reshape(-1, hidden.shape[-1])[index], flat[index], index)


def _product_type(hidden: Tensor) -> torch.dtype:
    """The type in which a product with the head runs: autocast's where that is on."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return hidden.dtype


def _logits(hidden: Tensor, head: Tensor) -> Tensor:
    """A chunk's logits: the product in the type of ``hidden``, the rest in fp32."""
    return (hidden @ head.T).float()


def _softmax(logits: Tensor, log_sum: Tensor) -> Tensor:
    """The softmax of a chunk whose log-sum-exp is known.

    On a CPU in place. A GPU subtracts a column slowly (0.5 of 4.3 TB/s on an H200) and has one
    kernel for the whole.
    """
    if logits.is_cuda:
        return torch.softmax(logits, dim=-1)
    return logits.sub_(log_sum).exp_()


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropies; gradients are made in forward and scaled in backward."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        """The summed loss (fp32 scalar); keeps the gradients that will be asked for."""
        want_hidden, want_weight = ctx.needs_input_grad[:2]
        product = _product_type(hidden)
        head = weight.to(product)
        d_hidden = torch.empty_like(hidden) if want_hidden else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if want_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, hidden.shape[0], rows):
            chunk = hidden[start : start + rows].to(product)
            wanted = targets[start : start + rows, None]
            logits = _logits(chunk, head)
            log_sum = logits.logsumexp(dim=-1, keepdim=True)
            total += (log_sum - logits.gather(1, wanted)).sum()
            slope = _softmax(logits, log_sum)
            del logits
            slope.scatter_add_(1, wanted, torch.full_like(log_sum, -1.0))
            slope = slope.to(product)
            if d_hidden is not None:
                d_hidden[start : start + rows] = slope @ head
            if d_weight is not None:
                d_weight += (slope.T @ chunk).float()
            del slope  # else it is there while the next chunk's logits are made
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Scale the stored gradients by the gradient of the loss."""
        d_hidden, d_weight = ctx.saved_tensors
        if d_hidden is not None:
            d_hidden = d_hidden * grads[0].to(d_hidden.dtype)
        if d_weight is not None:
            d_weight = (d_weight * grads[0]).to(ctx.weight_dtype)
        return d_hidden, d_weight, None, None


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, chunk_rows: int = CHUNK_ROWS
) -> Tensor:
    """Summed cross-entropy of ``hidden @ weight.T`` against ``targets``: an fp32 scalar.

    Args:
        hidden: ``[n, width]``; the matrix products run in its type, the log-sum-exp in fp32.
        weight: the head, ``[vocabulary, width]``; frozen or trained.
        targets: token ids ``[n]``, none of them ignored (see ``select``).
        chunk_rows: positions whose logits exist at one time.

    It can be differentiated once, with respect to ``hidden`` and ``weight``.
    """
    total: Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, chunk_rows
    )
    return total


@torch.no_grad()
def measure(
    hidden: Tensor, weight: Tensor, targets: Tensor, chunk_rows: int = CHUNK_ROWS
) -> tuple[Tensor, Tensor]:
    """The same sum without gradients, and the arg-max token of each position (int64 [n])."""
    product = _product_type(hidden)
    head = weight.to(product)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    best = torch.empty_like(targets)
    for start in range(0, hidden.shape[0], chunk_rows):
        rows = slice(start, start + chunk_rows)
        logits = _logits(hidden[rows].to(product), head)
        best[rows] = logits.argmax(dim=-1)
        total += (logits.logsumexp(dim=-1) - logits.gather(1, targets[rows, None])[:, 0]).sum()
        del logits
    return total, best


def install(model: nn.Module, chunk_rows: int = CHUNK_ROWS) -> None:
    """Let a causal language model compute its own loss in chunks from now on.

    Called with ``labels``, its forward returns the loss and, outside training, the arg-max
    token ids ``[batch, time]`` (-100 where no target follows) in the place of the logits;
    without labels nothing changes. The loss is the sum over targets divided by
    ``num_items_in_batch`` where the Trainer gives it (the count over all micro-batches of
    a step), else by the targets of this batch, as the stock loss has it.

    Patching the inner model keeps PEFT, DDP and FSDP wrappers around it working.
    """
    stock = model.forward

    def forward(
        self: Any,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> Any:
        batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            **kwargs,
        }
        if labels is None:
            return stock(**batch)
        batch.pop("logits_to_keep", None)
        hidden = self.model(**{**batch, "use_cache": False, "return_dict": True})[0]
        chosen = select(hidden, labels, position_ids)
        arguments = (chosen.hidden, self.lm_head.weight, chosen.targets, chunk_rows)
        predicted = None
        if self.training:
            total = chunked_cross_entropy(*arguments)
        else:
            total, best = measure(*arguments)
            predicted = torch.full_like(labels, IGNORED).reshape(-1)
            predicted[chosen.places] = best
            predicted = predicted.reshape(labels.shape)
        count = chosen.targets.numel() if num_items_in_batch is None else num_items_in_batch
        # A step without any target has nothing to learn: 0, not 0 / 0. The count may be on
        # the device: a tensor's clamp does not wait for it.
        loss = total / torch.as_tensor(count).clamp(min=1)
        return CausalLMOutputWithPast(loss=loss, logits=predicted)

    model.forward = types.MethodType(forward, model)
