"""Grading the suites' own reference solutions: before a model is blamed, the machine is tested.

A reference that fails is a fault of the suite or of the machine, never of a model. Known
faults are data with a reason (``datasets/known_failures.toml``); any other is unexplained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import places
from bench.data import readers
from bench.records import Sample, Track, Verdict

KNOWN = places.ROOT / "datasets" / "known_failures.toml"


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A reference that did not pass. ``reason`` is None where nobody has explained it."""

    id: str
    track: Track
    outcome: str
    detail: str
    reason: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class SelfCheck:
    """The references of a suite, graded.

    ``counts`` has (passed, all) per track. ``not_run`` maps the reason why references could
    not be executed to their number; those are neither passed nor failed.
    """

    suite: str
    counts: Mapping[Track, tuple[int, int]]
    failures: tuple[Failure, ...]
    not_run: Mapping[str, int]

    @property
    def passed(self) -> int:
        """References that passed."""
        return sum(passed for passed, _ in self.counts.values())

    @property
    def total(self) -> int:
        """All references."""
        return sum(total for _, total in self.counts.values())

    @property
    def unexplained(self) -> int:
        """Failures that are not known ones."""
        return sum(failure.reason is None for failure in self.failures)


def summarize(
    suite: str, problems: Sequence[Sample], verdicts: Mapping[str, Verdict], known: Path = KNOWN
) -> SelfCheck:
    """The verdicts of the references of a suite, with the known failures explained."""
    reasons = known_failures(known)
    counts: dict[Track, tuple[int, int]] = {}
    failures = []
    not_run: dict[str, int] = {}
    for problem in problems:
        verdict = verdicts[problem.id]
        passed, total = counts.get(problem.track, (0, 0))
        counts[problem.track] = (passed + bool(verdict.passed), total + 1)
        if verdict.passed is None:
            not_run[verdict.detail] = not_run.get(verdict.detail, 0) + 1
        elif not verdict.passed:
            failures.append(
                Failure(
                    problem.id,
                    problem.track,
                    verdict.outcome,
                    verdict.detail,
                    reasons.get((suite, problem.id)),
                )
            )
    return SelfCheck(suite, counts, tuple(failures), not_run)


def known_failures(path: Path = KNOWN) -> dict[tuple[str, str], str]:
    """The reason of every known failure by suite and problem id.

    Raises:
        DataError: the file is not what it should be.
    """

    def make(content: Mapping[str, Any]) -> dict[tuple[str, str], str]:
        return {(one["suite"], one["id"]): one["reason"] for one in content["failures"]}

    return readers.parsed(path, make, readers.read_toml(path))
