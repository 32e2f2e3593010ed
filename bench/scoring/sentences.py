"""Sentence embeddings: the mean of an encoder's token vectors, on the CPU.

Texts are encoded once each, sorted by length, so that batches hold little padding. The
accelerator is left alone: a training may be measured on it meanwhile.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.scoring.admission import NotRunError

#: Texts per batch.
BATCH = 16
#: Weights that no embedding needs, so that a checkpoint may lack them.
UNUSED = ("pooler.",)
#: The reason where an encoder knows less than half of a text's words.
UNSEEN = "most of the {text} is of words or a script that the encoder does not know"


@functools.lru_cache(maxsize=1)  # the metrics run one after the other
def load(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the encoder (float32, eval mode) of a local folder, read once.

    Raises:
        NotRunError: the folder does not hold all files and all weights of an encoder.
    """
    try:
        import torch
        import transformers
        from safetensors import SafetensorError
    except ImportError as error:
        raise NotRunError(f"not run: no {error.name} here; pip install 'bench[train]'") from error
    transformers.utils.logging.disable_progress_bar()
    if not any(folder.glob("*.safetensors")):
        raise NotRunError(f"not run: {folder} holds no weights as safetensors; save them as such")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder, report = transformers.AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        why = str(error).partition("\n")[0][:200]
        raise NotRunError(f"not run: {folder} cannot be loaded ({why}); get it again") from error
    missing = [key for key in report["missing_keys"] if not key.startswith(UNUSED)]
    if missing:
        told = f"{len(missing)} weights, first {sorted(missing)[0]}"
        raise NotRunError(f"not run: {folder} lacks {told}; get it again")
    return tokenizer, encoder.eval()


def unseen(texts: Iterable[str], folder: Path) -> dict[str, int]:
    """How many tokens each text has of which most are unknown; the others are left out.

    All unknown words are one token, so that any two of such texts look alike.

    Raises:
        NotRunError: see ``load``.
    """
    tokenizer, _ = load(folder)
    found = {}
    for text in set(texts):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        if 2 * tokens.count(tokenizer.unk_token_id) > len(tokens) or not tokens:
            found[text] = len(tokens)
    return found


def blindness(
    written: str, other: str, unseen: Mapping[str, int], *, other_is: str = "reference"
) -> str | None:
    """Why an encoder cannot compare what was written with another text; None where it can.

    A text that was written and has no word at all is worth nothing, and known well enough.
    """
    if other in unseen:
        return UNSEEN.format(text=other_is)
    return UNSEEN.format(text="prediction") if unseen.get(written) else None


def encode(texts: Iterable[str], folder: Path, max_tokens: int) -> Mapping[str, Any]:
    """Text to its normalised embedding (torch, float32 [width]); longer texts are cut.

    Raises:
        NotRunError: see ``load``.
    """
    import torch

    tokenizer, encoder = load(folder)
    # MPNet counts its positions from behind the padding's.
    first = getattr(encoder.embeddings, "padding_idx", -1) + 1
    max_tokens = min(max_tokens, encoder.config.max_position_embeddings - first)
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    vectors: dict[str, Any] = {}
    with torch.inference_mode():
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            inputs = tokenizer(
                batch, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt"
            )
            hidden = encoder(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            vectors.update(zip(batch, torch.nn.functional.normalize(pooled, dim=1), strict=True))
    return vectors


def cosine(left: Any, right: Any) -> float:
    """Cosine of two normalised embeddings, kept in -1..1."""
    return max(-1.0, min(1.0, float(left @ right)))
