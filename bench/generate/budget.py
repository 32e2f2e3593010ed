"""How many tokens a batch may hold on this machine, where the study leaves that to it.

On a GPU what the memory model says fits the card, by the card's size and not by what is free
at the moment: the plan of batches is the same each time. A machine without one gets a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench import costs
from bench.costs import Shape
from bench.errors import MachineError
from bench.generate.batches import Encoded
from bench.grid.study import Decoding

#: The token budget on a CPU: beyond it a larger batch is no faster there.
CPU_TOKENS = 65_536


def of_machine(
    model: Any, decoding: Decoding, *, quantised: bool, lora: bool
) -> Callable[[Sequence[Encoded]], int]:
    """What ``bench.generate.decode.generate`` asks for a token budget.

    Args:
        model: as it is loaded; its device counts.
        decoding: the study's.
        quantised: whether the base's weights stay in 4 bits.
        lora: whether an adapter stands beside the weights, unmerged.
    """

    def tokens(encoded: Sequence[Encoded]) -> int:
        device = model.get_input_embeddings().weight.device
        if device.type != "cuda":
            return CPU_TOKENS
        total = torch.cuda.get_device_properties(device).total_memory
        longest = max((len(one.ids) for one in encoded if one.limit), default=0)
        found = costs.generation_tokens(
            Shape.of(model.config),
            quantised=quantised,
            memory_bytes=costs.usable_bytes(total),
            rows=decoding.batch_rows,
            prompt_tokens=longest,
            lora=lora,
        )
        if found < 1:
            name = torch.cuda.get_device_properties(device).name
            raise MachineError(
                f"{name}: the model leaves no room to generate beside its weights",
                hint="take a larger GPU, or fewer decoding.batch_rows",
            )
        return found

    return tokens
