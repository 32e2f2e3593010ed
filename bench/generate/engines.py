"""What answers a batch: the kit's own greedy decoding, or an engine of a library.

All decode greedily from the same token ids with the same weights. Their kernels add in
another order, so that a near-tie may fall the other way: an engine is part of a study.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.costs import PREFILL_TOKENS
from bench.errors import BenchError, MachineError
from bench.generate.greedy import greedy, slots_computed

#: Slots of a block of the paged cache, and the fewest blocks of one.
_BLOCK_TOKENS, _LEAST_BLOCKS = 64, 16


class Engine(Protocol):
    """Answers batches of prompts greedily."""

    def answer(self, ids: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        """New token ids of each prompt, a stop token included; at most ``limits`` of them."""

    def slots(self, prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
        """The token slots that a batch took to answer, padding included."""


def stop_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: end of text and, where it is one token, end of turn."""
    ends = {tokenizer.eos_token_id}
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    if turn_end is not None and turn_end != tokenizer.unk_token_id:
        ends.add(turn_end)
    return frozenset(int(token) for token in ends if token is not None)


class Greedy:
    """The kit's own loop (``bench.generate.greedy``) over a model of transformers."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model.eval()
        self._stops = stop_ids(tokenizer)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def answer(self, ids: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        """As ``Engine.answer``."""
        return greedy(self._model, ids, limits, self._stops, self._pad)

    def slots(self, prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
        """As ``Engine.slots``."""
        return slots_computed(prompt_tokens, output_tokens)


class Continuous:
    """transformers' continuous batching: a paged cache, no padding, CUDA graphs on a GPU."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        # PEFT's layers are in the model that its wrapper holds.
        self._model = model.get_base_model() if hasattr(model, "get_base_model") else model
        if not hasattr(self._model, "generate_batch"):
            raise MachineError(
                "decoding.engine: this transformers has no continuous batching",
                hint='install the locked one, or set decoding.engine = "greedy" in the study',
            )
        self._model.eval()
        self._stops = stop_ids(tokenizer)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def answer(self, ids: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        """As ``Engine.answer``."""
        from transformers import ContinuousBatchingConfig, GenerationConfig

        longest = max(len(row) + limit for row, limit in zip(ids, limits, strict=True))
        blocks = len(ids) * -(-longest // _BLOCK_TOKENS)
        # All explicit: by itself it takes nine tenths of the memory that is free, and asks the
        # hub for attention kernels. Older versions have other names and no such switch.
        wanted: dict[str, Any] = {
            "page_size": _BLOCK_TOKENS,
            "block_size": _BLOCK_TOKENS,
            "num_blocks": max(_LEAST_BLOCKS, blocks),
            "max_batch_tokens": min(PREFILL_TOKENS, sum(map(len, ids))),
            "auto_switch_to_flash": False,
        }
        names = {field.name for field in dataclasses.fields(ContinuousBatchingConfig)}
        if "page_size" in names:
            del wanted["block_size"]  # the old name of the same
        batching = ContinuousBatchingConfig(**{k: v for k, v in wanted.items() if k in names})
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(limits),
            eos_token_id=sorted(self._stops),
            pad_token_id=self._pad,
        )
        attention = self._model.config._attn_implementation
        try:
            found = self._model.generate_batch(
                [list(row) for row in ids],
                generation_config=config,
                continuous_batching_config=batching,
                progress_bar=False,
            )
        finally:
            self._model.set_attn_implementation(attention)
        if len(found) != len(ids) or any(one.error for one in found.values()):
            why = next((one.error for one in found.values() if one.error), "answers are missing")
            raise BenchError(
                f"continuous batching failed: {why}",
                hint='set decoding.engine = "greedy" in the study',
            )
        assert [one.prompt_ids for one in found.values()] == [list(row) for row in ids]
        outputs = [list(one.generated_tokens) for one in found.values()]
        return [row[:limit] for row, limit in zip(outputs, limits, strict=True)]

    def slots(self, prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
        """As ``Engine.slots``."""
        return unpadded_slots(prompt_tokens, output_tokens)


def require_vllm() -> Any:
    """The module vllm.

    Raises:
        MachineError: it is not installed.
    """
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise MachineError(
            f'decoding.engine = "vllm": vLLM cannot be imported ({error})',
            hint="install the extra bench[vllm] from containers/locks/vllm.txt on a machine with "
            'a CUDA GPU, or set decoding.engine = "greedy"',
        ) from None


class Vllm:
    """vLLM on a folder of bf16 weights, with a LoRA adapter beside them, unmerged.

    Args:
        folder: the base's weights, or a fully fine-tuned model's.
        tokenizer: its tokenizer, for the tokens that end an answer.
        window_tokens: the longest prompt and answer together.
        adapter: the folder of a LoRA adapter and its rank.

    Raises:
        MachineError: vLLM is not installed.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: Any,
        window_tokens: int,
        adapter: tuple[Path, int] | None = None,
    ) -> None:
        self._vllm = vllm = require_vllm()
        request = importlib.import_module("vllm.lora.request").LoRARequest
        self._stops = sorted(stop_ids(tokenizer))
        self._lora = request("adapter", 1, str(adapter[0])) if adapter else None
        options = {"enable_lora": True, "max_lora_rank": max(8, adapter[1])} if adapter else {}
        self._model = vllm.LLM(
            model=str(folder),
            dtype="bfloat16",
            max_model_len=window_tokens,
            skip_tokenizer_init=True,
            generation_config="vllm",
            seed=0,
            **options,
        )

    def answer(self, ids: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[int]]:
        """As ``Engine.answer``."""
        prompts = [{"prompt_token_ids": list(row)} for row in ids]
        sampling = [
            self._vllm.SamplingParams(
                temperature=0.0, max_tokens=limit, stop_token_ids=self._stops, detokenize=False
            )
            for limit in limits
        ]
        found = self._model.generate(prompts, sampling, use_tqdm=False, lora_request=self._lora)
        return [list(one.outputs[0].token_ids) for one in found]

    def slots(self, prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
        """As ``Engine.slots``."""
        return unpadded_slots(prompt_tokens, output_tokens)


def unpadded_slots(prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
    """The slots of an engine without padding: all but an answer's last token are computed."""
    return sum(prompt_tokens) + sum(output_tokens) - len(output_tokens)
