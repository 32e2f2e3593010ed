"""One process trains on one device.

Where several are visible and no launcher started it, ``transformers.Trainer`` takes all of
them with ``nn.DataParallel``: a step gets as many times the rows, tokens are miscounted, and
what is patched into the model stays bound to the first device.
"""

from __future__ import annotations

import torch

from bench.errors import BenchError


def require_one_device(used: int = 1) -> None:
    """Refuse to train where several devices are visible, or the Trainer took ``used`` of them.

    Raises:
        BenchError: more than one, with what to do.
    """
    visible = torch.cuda.device_count()
    if max(visible, used) > 1:
        raise BenchError(
            f"a training sees {max(visible, used)} GPUs, and would be spread over all of them",
            hint="show it one: CUDA_VISIBLE_DEVICES=0; `bench run --gpus` gives each model its own",
        )
