"""pass@k: the chance that at least one of k samples of a problem passes."""

from __future__ import annotations

import math
from collections.abc import Iterable


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The unbiased estimate from ``samples`` of one problem, of which ``passed`` passed.

    1 − C(n−c, k) / C(n, k): Chen et al. 2021, "Evaluating Large Language Models Trained on
    Code", equation 1. It averages over all ways to choose k of the n samples.

    Raises:
        ValueError: not 0 ≤ passed ≤ samples, or not 1 ≤ k ≤ samples.
    """
    if not 0 <= passed <= samples:
        raise ValueError(f"{passed} of {samples} samples cannot have passed")
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples, not {samples}")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def mean_pass_at_k(problems: Iterable[tuple[int, int]], k: int) -> float | None:
    """The mean over problems, each given as (samples, passed); None without problems."""
    values = [pass_at_k(samples, passed, k) for samples, passed in problems]
    return math.fsum(values) / len(values) if values else None
