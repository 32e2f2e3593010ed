"""Scores of one model's outputs: per-instance tables, their means, and why one is missing.

Every metric runs once per stage over all suites and tracks it applies to (Pylint takes
longer to start than to look at a batch), then the values are dealt out to the tables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.errors import DataError
from bench.records import SUMMARIZATION, Generation, Sample, Track, Verdict
from bench.scoring import metrics
from bench.scoring.admission import NotRunError, Rows
from bench.scoring.tables import Output, Place, ScoreTables, gather

NO_TESTS = "not run: the suite has no tests for this track"
NOT_EXECUTED = "not run: outputs were not executed in this run"
PROMPT_TOO_LONG = "prompt longer than the window, nothing generated"
ONE_MISSING = "one of its parts is missing"

#: The summaries' similarity is the mean of these; code's is CodeBLEU.
SUMMARY_SIMILARITY = ("bleu", "chrf", "rouge_l", "meteor")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """``principal``: the suite whose scores have the plain keys, per track.

    ``metrics``: those that the study asks for beyond the ones that every study has.
    """

    principal: Mapping[Track, str]
    metrics: tuple[str, ...] = ()


def score(
    problems: Mapping[str, Sequence[Sample]],
    generations: Iterable[Generation],
    verdicts: Mapping[str, Mapping[str, Verdict]] | None,
    *,
    options: Options,
) -> ScoreTables:
    """Score a model's ``generations`` of the ``problems`` of each suite.

    ``verdicts`` are those of ``bench.scoring.execution.grade``, by suite and problem id;
    None where nothing was executed.

    Raises:
        DataError: a problem without a generation, a generation without its problem, or
            two of one problem.
    """
    outputs = _paired(problems, generations)
    absent: dict[Place, str] = {}
    for name, wanted, arguments in _plan(outputs, options.metrics):
        _measure(name, wanted, arguments, absent)
    for output in outputs:
        _grade(output, verdicts)
        _describe(output)
    return gather(outputs, absent, options.principal)


def _paired(
    problems: Mapping[str, Sequence[Sample]], generations: Iterable[Generation]
) -> list[Output]:
    """Each problem with its generation, in the order of the problems."""
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


def _plan(
    outputs: Sequence[Output], further: Sequence[str]
) -> Iterable[tuple[str, list[Output], Callable[[list[Output]], dict[str, Any]]]]:
    """Each metric with the outputs it applies to and its options for them."""
    texts = [output for output in outputs if output.problem.track.task == SUMMARIZATION]
    codes = [output for output in outputs if output.problem.track.task != SUMMARIZATION]
    for language in ("python", "java", "csharp"):
        written = [out for out in codes if out.problem.track.target_language == language]
        for name in ("codebleu", "lizard"):
            yield name, written, lambda _, language=language: {"language": language}  # type: ignore[misc]
        if language == "python":
            yield "pylint", written, _pylint_options
            yield "flake8", written, lambda kept: {"names": _file_names(kept)}
    for name in ("sentence_bleu", "chrf"):
        yield name, list(outputs), lambda _: {}
    for name in ("rouge_l", "meteor", "meteor_wordnet", "embedding_similarity"):
        yield name, texts, lambda _: {}
    yield from _further(codes, texts, further)


def _further(
    codes: Sequence[Output], texts: Sequence[Output], names: Sequence[str]
) -> Iterable[tuple[str, list[Output], Callable[[list[Output]], dict[str, Any]]]]:
    """The metrics that only some studies ask for, see ``bench.grid.study.Scoring``."""
    yield from ()


def _file_names(outputs: Sequence[Output]) -> list[str]:
    """The problems' own ids, without the track that the kit appends to them."""
    return [output.problem.id.partition("@")[0] for output in outputs]


def _pylint_options(outputs: Sequence[Output]) -> dict[str, Any]:
    """A problem with tests is complete in itself, one without belongs into a project."""
    standalone = [output.problem.check is not None for output in outputs]
    return {"names": _file_names(outputs), "standalone": standalone}


def _measure(
    name: str,
    wanted: Sequence[Output],
    arguments: Callable[[list[Output]], dict[str, Any]],
    absent: dict[Place, str],
) -> None:
    """Run one metric and put its values into the outputs; or note why it did not run."""
    columns = metrics.COLUMNS[name]
    written = [out for out in wanted if out.generation.finish_reason != "prompt-too-long"]
    for output in wanted:
        for column in columns:
            output.put(column, None, PROMPT_TOO_LONG)
    if not wanted:
        return
    references = [output.problem.reference for output in written]
    try:
        rows = metrics.compute(
            name,
            [output.generation.output for output in written],
            None if name in metrics.WITHOUT_REFERENCE else references,
            **arguments(written),
        )
    except NotRunError as error:
        for output in wanted:
            for column in columns:
                absent[output.suite, output.problem.track, column] = str(error)
        return
    _deal(rows, written)


def _deal(rows: Rows, outputs: Sequence[Output]) -> None:
    for index, output in enumerate(outputs):
        for column, values in rows.columns.items():
            output.put(column, values[index], rows.reasons[index])


def _grade(output: Output, verdicts: Mapping[str, Mapping[str, Verdict]] | None) -> None:
    """``pass@1`` of an output that a model was asked to make executable."""
    if output.problem.track.task == SUMMARIZATION:
        return
    verdict = (verdicts or {}).get(output.suite, {}).get(output.problem.id)
    if output.problem.check is None:
        output.put("pass@1", None, NO_TESTS)
    elif output.generation.finish_reason == "prompt-too-long":
        output.put("pass@1", None, PROMPT_TOO_LONG)
    elif verdict is None:
        output.put("pass@1", None, NOT_EXECUTED)
    elif verdict.passed is None:
        output.put("pass@1", None, _not_run(verdict.detail))
    else:
        output.put("pass@1", float(verdict.passed), None)


def _not_run(detail: str) -> str:
    return detail if detail.startswith("not run") else f"not run: {detail or 'no reason given'}"


def _describe(output: Output) -> None:
    """The similarity of an output, and whether it is empty or was cut off."""
    values = output.values
    if output.problem.track.task == SUMMARIZATION:
        parts = [values.get(name) for name in SUMMARY_SIMILARITY]
        present = [part for part in parts if part is not None]
        complete = len(present) == len(parts)
        output.put("similarity", sum(present) / len(parts) if complete else None, ONE_MISSING)
    else:
        output.put("similarity", values["codebleu"], output.reasons.get("codebleu"))
    output.put("empty_outputs", float(not output.generation.output.strip()), None)
    output.put("truncated_share", float(output.generation.finish_reason == "length"), None)
