"""The study's statistics as pure functions over arrays: no files, no tables, no torch.

The rules are those that reproduce the paper's published statistics to the printed
precision. Each function wraps scipy or statsmodels and adds only what the rules ask for;
a value that is not defined is None with a reason, never a number.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar
from statsmodels.stats.multitest import multipletests

Floats = npt.NDArray[np.float64]

#: Numbers drawn at once by the bootstrap: bounds its memory to some tens of megabytes.
_NUMBERS_PER_BATCH = 2_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class PairedTest:
    """A two-sided test: its statistic and p-value, or None with the ``reason``."""

    statistic: float | None
    p: float | None
    reason: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, or None at both ends with the ``reason``."""

    low: float | None
    high: float | None
    reason: str | None = None


def _paired(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Two finite float arrays of one equal length [pairs]."""
    left, right = (np.asarray(values, dtype=np.float64) for values in (a, b))
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(f"paired columns of one length are needed, not {left.shape}/{right.shape}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("paired columns must be finite: drop missing values before the test")
    return left, right


def wilcoxon(a: npt.ArrayLike, b: npt.ArrayLike) -> PairedTest:
    """The paired Wilcoxon signed-rank test of two columns [pairs].

    Zero differences are dropped, ties get average ranks; normal approximation with tie
    correction and without continuity correction, two-sided. This is R's
    ``wilcox.test(paired = TRUE, exact = FALSE, correct = FALSE)``, which made the
    published values. Not defined (None) where both columns are constant or all
    differences are zero.

    Raises:
        ValueError: columns of different length, or a value that is not finite.
    """
    left, right = _paired(a, b)
    if left.size == 0:
        return PairedTest(None, None, "no pairs")
    difference = left - right
    if not difference.any():
        return PairedTest(None, None, "all differences are zero")
    if np.ptp(left) == 0 and np.ptp(right) == 0:
        return PairedTest(None, None, "both columns are constant")
    result = scipy.stats.wilcoxon(
        difference,
        zero_method="wilcox",
        correction=False,
        alternative="two-sided",
        method="asymptotic",
    )
    return PairedTest(float(result.statistic), float(result.pvalue))


def cliffs_delta(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Cliff's delta, P(a > b) - P(a < b) over all pairs of values, in -1..1.

    As in the published analysis it compares every value with every value of the other
    column, also where the columns are paired. Sorts once: O(n log n). None if a column
    is empty.
    """
    left, right = np.asarray(a, dtype=np.float64), np.sort(np.asarray(b, dtype=np.float64))
    if left.size == 0 or right.size == 0:
        return None
    smaller = int(np.searchsorted(right, left, side="left").sum())
    not_larger = int(np.searchsorted(right, left, side="right").sum())
    larger = left.size * right.size - not_larger
    return (smaller - larger) / (left.size * right.size)


def discordant(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[int, int]:
    """How many pairs only ``a`` passed and how many only ``b`` passed; columns of 0 and 1."""
    left, right = _paired(a, b)
    if not (np.isin(left, (0, 1)).all() and np.isin(right, (0, 1)).all()):
        raise ValueError("discordant pairs are defined for columns of 0 and 1 only")
    return int((left > right).sum()), int((left < right).sum())


def mcnemar(a_only: int, b_only: int) -> PairedTest:
    """McNemar's chi-squared test of two discordant counts.

    The continuity correction applies only where the counts differ; equal counts, none
    included, give p = 1 (R's ``mcnemar.test``, except that R gives NaN for 0 and 0).
    """
    if a_only < 0 or b_only < 0:
        raise ValueError("discordant counts cannot be negative")
    if a_only == b_only:
        return PairedTest(0.0, 1.0)
    result = _mcnemar([[0, a_only], [b_only, 0]], exact=False, correction=True)
    return PairedTest(float(result.statistic), float(result.pvalue))


def odds_ratio(a_only: int, b_only: int) -> float:
    """The odds ratio of discordant counts with half a count added to both."""
    return (a_only + 0.5) / (b_only + 0.5)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment of one family; None stays None, outside the family."""
    return _adjusted(p_values, _step_down)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """The Benjamini-Hochberg adjustment of one family; None stays None, outside of it."""
    return _adjusted(p_values, lambda family: multipletests(family, method="fdr_bh")[1])


def _step_down(family: Floats) -> Floats:
    """Holm by hand: statsmodels collects garbage in every call of it, 20 ms a family."""
    order = np.argsort(family)
    factors = np.arange(family.size, 0, -1)
    adjusted = np.empty_like(family)
    adjusted[order] = np.minimum(np.maximum.accumulate(family[order] * factors), 1)
    return adjusted


def _adjusted(
    p_values: Sequence[float | None], adjust: Callable[[Floats], Floats]
) -> list[float | None]:
    family = np.array([p for p in p_values if p is not None], dtype=np.float64)
    if family.size == 0:
        return list(p_values)
    adjusted = iter(adjust(family))
    return [None if p is None else float(next(adjusted)) for p in p_values]


#: The adjustments by the names that the published files use.
ADJUSTMENTS: dict[str, Callable[[Sequence[float | None]], list[float | None]]] = {
    "holm": holm,
    "BH": benjamini_hochberg,
}


def bootstrap_ci(
    values: npt.ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
    method: Literal["BCa", "percentile"] = "BCa",
) -> Interval:
    """A bootstrap confidence interval of the mean of ``values`` [n].

    The same seed gives the same interval. Not defined for fewer than two values, or for
    equal values, whose resamples are all the same and would feign certainty.

    Raises:
        ValueError: a value that is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        raise ValueError("bootstrap values must be finite: drop missing values first")
    if sample.size < 2:
        return Interval(None, None, "fewer than two values")
    if np.ptp(sample) == 0:
        return Interval(None, None, "all values are equal")
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        interval = scipy.stats.bootstrap(
            (sample,),
            np.mean,
            confidence_level=confidence,
            n_resamples=resamples,
            batch=max(1, _NUMBERS_PER_BATCH // sample.size),
            vectorized=True,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    if not np.isfinite(interval).all():
        return Interval(None, None, "the values vary too little")
    return Interval(float(interval.low), float(interval.high))


def bootstrap_difference_ci(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
    method: Literal["BCa", "percentile"] = "BCa",
) -> Interval:
    """A bootstrap confidence interval of mean(a - b): whole pairs are resampled."""
    left, right = _paired(a, b)
    interval = bootstrap_ci(
        left - right, seed=seed, confidence=confidence, resamples=resamples, method=method
    )
    if interval.reason == "all values are equal":
        return Interval(None, None, "all differences are equal")
    return interval
