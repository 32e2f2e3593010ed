"""What is scored: each problem with what a model wrote for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from bench.errors import DataError
from bench.records import Generation, Sample

PROMPT_TOO_LONG = "prompt longer than the window, nothing generated"
NO_REFERENCE = "no reference to compare with"


@dataclasses.dataclass(slots=True)
class Output:
    """One problem with what a model wrote for it, and its values as they are found."""

    suite: str
    problem: Sample
    generation: Generation
    values: dict[str, float | None] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    remarks: dict[str, str] = dataclasses.field(default_factory=dict)

    def put(self, column: str, value: float | None, reason: str | None) -> None:
        """Set the value of a column, or why it has none."""
        self.values[column] = value
        self.reasons.pop(column, None)
        if value is None:
            self.reasons[column] = reason or "no value"


def paired(
    problems: Mapping[str, Sequence[Sample]], generations: Iterable[Generation]
) -> list[Output]:
    """Each problem with its generation, in the order of the problems.

    Raises:
        DataError: a problem without a generation, a generation without its problem, or
            two of one problem.
    """
    written: dict[tuple[str, str], Generation] = {}
    for generation in generations:
        place = generation.suite, generation.id
        if place in written:
            raise DataError(
                f"suite {generation.suite}: two generations of problem {generation.id}",
                hint="delete the model's generate stage and run it again",
            )
        written[place] = generation
    outputs = []
    for suite, samples in problems.items():
        missing = [sample.id for sample in samples if (suite, sample.id) not in written]
        if missing:
            raise DataError(
                f"suite {suite}: {len(missing)} problems have no generation, first {missing[0]}",
                hint="run the model's generate stage again",
            )
        outputs += [Output(suite, sample, written.pop((suite, sample.id))) for sample in samples]
    if written:
        suite, identifier = next(iter(written))
        raise DataError(
            f"suite {suite}: {len(written)} generations of unknown problems, first {identifier}",
            hint="the problems have changed since; run the model's generate stage again",
        )
    return outputs


def unscored(output: Output, *, compares: bool) -> str | None:
    """Why a metric (one that ``compares`` with a reference or not) is not asked at all."""
    if output.generation.finish_reason == "prompt-too-long":
        return PROMPT_TOO_LONG
    return NO_REFERENCE if compares and not output.problem.reference.strip() else None
