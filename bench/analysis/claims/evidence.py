"""What decides a claim: intervals against margins, as pure functions.

A difference is always that of the claim's side minus the other, so that more is better for
the claim. Nothing here knows of tables, files or studies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from bench.analysis import statistics
from bench.analysis.statistics import Floats, Interval

#: Below this a bootstrap interval of a mean is too narrow to be believed.
MINIMUM_PAIRS = 20
CONFIDENCE = 0.95
_DIGITS = 12


class Ruling(StrEnum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    DEPENDS = "depends on the setting"
    NOT_RUN = "not run"


#: The settings under which costs are measured, and how people read them.
READINGS: Mapping[str, str] = {"published": "as published", "tuned": "at its best setting"}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A ruling with its reason; ``p`` is that of the contradiction, one-sided, unadjusted."""

    ruling: Ruling
    reason: str
    p: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """One row that a claim rests on.

    ``values``: the means (or costs) of the cells or sizes that are compared.
    ``difference`` with its 95 % interval is the claim's side minus the other over ``n`` paired
    problems; of costs it is the share by which the claim's side exceeds the other.
    ``limit`` is the margin or tolerance. ``lost`` problems lack a partner or a value. What
    only illustrates has ``decides`` False and no ruling of its own. ``reading`` is the setting
    under which a cost was measured, None where that makes no difference to it.
    """

    task: str | None
    language: str | None
    size: str | None
    metric: str
    cells: tuple[str, ...]
    values: Mapping[str, float]
    difference: float | None
    low: float | None
    high: float | None
    limit: float | None
    n: int
    lost: int
    decides: bool
    finding: Finding
    reading: str | None = None

    @property
    def place(self) -> str:
        """For example ``java pmd_design 3b``."""
        return " ".join(filter(None, (self.language, self.metric, self.size)))


def interval(differences: Floats, *, seed: int) -> Interval:
    """The 95 % interval of the mean of paired differences [problems], each in -1..1.

    Where no pair differs, resampling says nothing: the exact bound on the share of pairs that
    differ (Clopper-Pearson) bounds the mean difference, too.
    """
    if differences.size and not differences.any():
        share = proportion_confint(0, differences.size, alpha=1 - CONFIDENCE, method="beta")[1]
        return Interval(-float(share), float(share))
    found = statistics.bootstrap_ci(differences, seed=seed, confidence=CONFIDENCE)
    if found.low is None or found.high is None:
        return found
    # An end at 0 must be 0: means over methods leave rounding errors on either side.
    return Interval(round(found.low, _DIGITS), round(found.high, _DIGITS))


def p_below(differences: Floats, limit: float) -> float | None:
    """The one-sided p-value of a mean below ``limit`` (t test); None where it has none."""
    if differences.size < 2 or np.ptp(differences) == 0:
        return None
    return float(scipy.stats.ttest_1samp(differences, limit, alternative="less").pvalue)


def holds_against(
    differences: Floats, between: Interval, margin: float, other: float, names: tuple[str, str]
) -> Finding:
    """Whether the first of ``names`` is not worse than the second by more than ``margin``.

    ``other`` is what the second scores: a margin above half of it decides nothing, since next
    to any answer would pass (a trial without assay sensitivity).
    """
    a, b = names
    few = _too_few(differences, between)
    if few is not None:
        return few
    low, high = between.low or 0.0, between.high or 0.0
    if low > 0:
        return Finding(Ruling.SUPPORTED, f"{a} is better than {b}")
    if high < -margin:
        p = p_below(differences, -margin)
        return Finding(Ruling.CONTRADICTED, f"{a} is worse than {b} by more than the margin", p)
    if low <= -margin:
        reason = f"the interval does not say whether {a} is worse than {b} by more than the margin"
        return Finding(Ruling.INCONCLUSIVE, reason, p_below(differences, -margin))
    if margin > other / 2:
        reason = f"the margin is more than half of what {b} scores: next to any answer would pass"
        return Finding(Ruling.INCONCLUSIVE, reason)
    worse = f", though worse than {b}" if high < 0 else ""
    return Finding(Ruling.SUPPORTED, f"{a} is within the margin of {b}{worse}")


def trend(
    contrast: Floats, between: Interval, steps: Mapping[str, Interval], tolerance: float
) -> Finding:
    """Whether a contrast over sizes is above 0 and no step goes back by more than ``tolerance``.

    ``contrast`` and ``steps`` (from one size to the next) are in the claim's direction.
    """
    few = _too_few(contrast, between)
    if few is not None:
        return few
    low, high = between.low or 0.0, between.high or 0.0
    if high < 0:
        return Finding(Ruling.CONTRADICTED, "it goes the other way", p_below(contrast, 0.0))
    if low <= 0:
        reason = "the interval does not say which way it goes"
        return Finding(Ruling.INCONCLUSIVE, reason, p_below(contrast, 0.0))
    back = [
        name for name, step in steps.items() if step.high is not None and step.high < -tolerance
    ]
    if back:
        return Finding(Ruling.INCONCLUSIVE, f"so overall, but the other way {', '.join(back)}")
    return Finding(Ruling.SUPPORTED, "so, and no step goes back by more than the tolerance")


def cheaper(value: float, other: float, tolerance: float) -> Finding:
    """Whether a cost, measured once, is below another by more than a share of it."""
    if other <= 0:
        return Finding(Ruling.INCONCLUSIVE, "the other's cost is nothing")
    ratio = value / other
    told = f"{ratio:.3g} times the other"
    if ratio < 1 - tolerance:
        return Finding(Ruling.SUPPORTED, told)
    if ratio > 1 + tolerance:
        return Finding(Ruling.CONTRADICTED, told)
    return Finding(Ruling.INCONCLUSIVE, f"{told}: within the tolerance")


def agreed(readings: Mapping[str, Finding]) -> Finding:
    """What the readings of one cost say together: a ruling only where all of them have it.

    ``readings`` by setting. Where one was not run, the others alone decide nothing.
    """
    rulings = {finding.ruling for finding in readings.values()}
    told = "; ".join(
        f"{READINGS[name]}: {'not run: ' * (one.ruling is Ruling.NOT_RUN)}{one.reason}"
        for name, one in readings.items()
    )
    if rulings == {Ruling.NOT_RUN}:
        return Finding(
            Ruling.NOT_RUN, "; ".join(dict.fromkeys(f.reason for f in readings.values()))
        )
    if len(rulings) == 1:
        return Finding(rulings.pop(), told)
    return Finding(Ruling.INCONCLUSIVE if Ruling.NOT_RUN in rulings else Ruling.DEPENDS, told)


def settled(rows: Sequence[Evidence]) -> list[tuple[str, Finding]]:
    """The place and finding of each row that decides; the readings of one cost as one."""
    found: list[tuple[str, Finding]] = []
    readings: dict[tuple[str, str | None], dict[str, Finding]] = {}
    places: dict[tuple[str, str | None], str] = {}
    for row in rows:
        if row.decides and row.reading is None:
            found.append((row.place, row.finding))
        elif row.decides and row.reading is not None:
            readings.setdefault((row.metric, row.size), {})[row.reading] = row.finding
            places[row.metric, row.size] = row.place
    return found + [(places[key], agreed(of)) for key, of in readings.items()]


def together(findings: Sequence[Finding]) -> Ruling:
    """The ruling over several findings that a claim asserts all at once.

    Supported only if all are (an intersection-union test: no adjustment is due). Contradicted
    if one is; where there are several, one whose p-value is below 2.5 % after Holm, since of
    many true parts some seem contradicted by chance. Not run only if none was; else it depends
    on the setting if a finding does.
    """
    rulings = [finding.ruling for finding in findings]
    if not rulings or all(ruling is Ruling.NOT_RUN for ruling in rulings):
        return Ruling.NOT_RUN
    if all(ruling is Ruling.SUPPORTED for ruling in rulings):
        return Ruling.SUPPORTED
    # What is not contradicted still belongs to the family: its p-value is at most 1.
    tested = [finding for finding in findings if finding.ruling is not Ruling.NOT_RUN]
    adjusted = statistics.holm([1.0 if f.p is None else f.p for f in tested])
    for finding, p in zip(tested, adjusted, strict=True):
        if finding.ruling is Ruling.CONTRADICTED and (
            len(tested) == 1 or finding.p is None or (p or 0.0) < (1 - CONFIDENCE) / 2
        ):
            return Ruling.CONTRADICTED
    return Ruling.DEPENDS if Ruling.DEPENDS in rulings else Ruling.INCONCLUSIVE


def contrast_weights(sizes: int) -> Floats:
    """Weights of a linear contrast over ascending sizes: mean of the upper minus of the lower.

    Two sizes: -1, 1; three: -1, 0, 1; four: -3/4, -1/4, 1/4, 3/4. They sum to 0, the positive
    ones to 1.
    """
    centred = np.arange(sizes) - (sizes - 1) / 2
    return np.asarray(centred / centred[centred > 0].sum(), dtype=np.float64)


def _too_few(differences: Floats, between: Interval) -> Finding | None:
    """Why there is no interval to decide by; None where there is one."""
    if differences.size == 0:
        return Finding(Ruling.NOT_RUN, "no problem has a value of every side")
    if differences.size < MINIMUM_PAIRS:
        few = f"{differences.size} pairs; at least {MINIMUM_PAIRS} are needed"
        return Finding(Ruling.INCONCLUSIVE, few)
    if between.low is None or between.high is None:
        return Finding(Ruling.INCONCLUSIVE, between.reason or "no interval")
    return None
