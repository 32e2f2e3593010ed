"""Scores of one model's outputs: per-instance tables, their means, and why one is missing.

Every metric runs once per stage over all suites and tracks it applies to (Pylint takes
longer to start than to look at a batch), then the values are dealt out to the tables. A
value that could not be measured is null with a reason: per instance in the counts of the
notes, and for a whole metric, as ``not run: why and how to get it``.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.errors import DataError
from bench.records import SUMMARIZATION, Generation, Sample, Track, Verdict
from bench.scoring import metrics
from bench.scoring.admission import Column, NotRunError, Rows, mean

NO_TESTS = "not run: the suite has no tests for this track"
NOT_EXECUTED = "not run: outputs were not executed in this run"
PROMPT_TOO_LONG = "prompt longer than the window, nothing generated"
ONE_MISSING = "one of its parts is missing"

#: The summaries' similarity is the mean of these; code's is CodeBLEU.
SUMMARY_SIMILARITY = ("bleu", "chrf", "rouge_l", "meteor")

#: Columns that are counted, not averaged, over a suite or part.
COUNTED = ("parse_failures", "empty_outputs")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """``principal``: the suite whose scores have the plain keys, per track."""

    principal: Mapping[Track, str]


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreTables:
    """The scores of one model.

    ``tables``: per suite and track, one row per problem: ``id``, ``part``,
    ``finish_reason`` and a column per metric (null where it has no value). ``metrics``:
    ``<task>/<language>/<metric>[:<part or suite>][@variant]`` to the mean over the values
    that exist (``parse_failures`` and ``empty_outputs`` are counts). ``notes``: why a
    metric is null, or how many of its instances have no value and why.
    """

    tables: Mapping[tuple[str, Track], pd.DataFrame]
    metrics: Mapping[str, float | None]
    notes: Mapping[str, str]


@dataclasses.dataclass(slots=True)
class _Output:
    """One problem with what a model wrote for it, and its values as they are found."""

    suite: str
    problem: Sample
    generation: Generation
    values: dict[str, float | None] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)

    def put(self, column: str, value: float | None, reason: str | None) -> None:
        self.values[column] = value
        self.reasons.pop(column, None)
        if value is None:
            self.reasons[column] = reason or "no value"


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
    absent: dict[tuple[str, Track, str], str] = {}
    for name, wanted, arguments in _plan(outputs):
        _measure(name, wanted, arguments, absent)
    for output in outputs:
        _grade(output, verdicts)
        _describe(output)
    return _gather(outputs, absent, options)


def _paired(
    problems: Mapping[str, Sequence[Sample]], generations: Iterable[Generation]
) -> list[_Output]:
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
        outputs += [_Output(suite, sample, written.pop((suite, sample.id))) for sample in samples]
    if written:
        suite, identifier = next(iter(written))
        raise DataError(
            f"suite {suite}: {len(written)} generations of unknown problems, first {identifier}",
            hint="the problems have changed since; run the model's generate stage again",
        )
    return outputs


def _plan(
    outputs: Sequence[_Output],
) -> Iterable[tuple[str, list[_Output], Callable[[list[_Output]], dict[str, Any]]]]:
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


def _file_names(outputs: Sequence[_Output]) -> list[str]:
    """The problems' own ids, without the track that the kit appends to them."""
    return [output.problem.id.partition("@")[0] for output in outputs]


def _pylint_options(outputs: Sequence[_Output]) -> dict[str, Any]:
    """A problem with tests is complete in itself, one without belongs into a project."""
    standalone = [output.problem.check is not None for output in outputs]
    return {"names": _file_names(outputs), "standalone": standalone}


def _measure(
    name: str,
    wanted: Sequence[_Output],
    arguments: Callable[[list[_Output]], dict[str, Any]],
    absent: dict[tuple[str, Track, str], str],
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


def _deal(rows: Rows, outputs: Sequence[_Output]) -> None:
    for index, output in enumerate(outputs):
        for column, values in rows.columns.items():
            output.put(column, values[index], rows.reasons[index])


def _grade(output: _Output, verdicts: Mapping[str, Mapping[str, Verdict]] | None) -> None:
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


def _describe(output: _Output) -> None:
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


def _gather(
    outputs: Sequence[_Output], absent: Mapping[tuple[str, Track, str], str], options: Options
) -> ScoreTables:
    """Tables, means and notes of the scored outputs."""
    groups: dict[tuple[str, Track], list[_Output]] = {}
    for output in outputs:
        groups.setdefault((output.suite, output.problem.track), []).append(output)
    means: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    tables: dict[tuple[str, Track], pd.DataFrame] = {}
    for (suite, track), members in groups.items():
        columns = list(members[0].values)
        tables[suite, track] = _table(members, columns)
        for column in columns:
            why = absent.get((suite, track, column))
            for qualifier, chosen in _sections(suite, track, members, options):
                key = _key(track, column, qualifier)
                means[key] = _aggregate(column, [output.values[column] for output in chosen])
                note = why or _counted_reasons(column, chosen)
                if note:
                    notes[key] = note
    return ScoreTables(tables, means, notes)


def _sections(
    suite: str, track: Track, members: Sequence[_Output], options: Options
) -> Iterable[tuple[str | None, list[_Output]]]:
    """What is averaged: the suite, and where it is the principal one, each of its parts.

    A suite that is not the track's principal one has its name as the qualifier.
    """
    if options.principal.get(track, suite) != suite:
        yield suite, list(members)
        return
    yield None, list(members)
    for part in dict.fromkeys(out.problem.part for out in members):
        if part is not None:
            yield part, [out for out in members if out.problem.part == part]


def _key(track: Track, column: str, qualifier: str | None) -> str:
    """The metric key of a column: the qualifier stands before the variant."""
    name, at, variant = column, "", ""
    if not column.startswith("pass@") and "@" in column:
        name, at, variant = column.partition("@")
    section = f":{qualifier}" if qualifier else ""
    return f"{track}/{name}{section}{at}{variant}"


def _aggregate(column: str, values: Column) -> float | None:
    if column in COUNTED:
        present = [value for value in values if value is not None]
        return float(sum(present)) if present else None
    return mean(values)


def _counted_reasons(column: str, outputs: Sequence[_Output]) -> str | None:
    """Why instances have no value: the reason itself if all share it, else counts."""
    reasons = Counter(out.reasons[column] for out in outputs if column in out.reasons)
    if not reasons:
        return None
    if reasons.total() == len(outputs) and len(reasons) == 1:
        return next(iter(reasons))
    listed = "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    return f"{reasons.total()} of {len(outputs)} outputs have no value: {listed}"


def _table(members: Sequence[_Output], columns: Sequence[str]) -> pd.DataFrame:
    """One row per problem; metric columns are float64 with NaN for null."""
    data: dict[str, Any] = {
        "id": [output.problem.id for output in members],
        "part": [output.problem.part for output in members],
        "finish_reason": [output.generation.finish_reason for output in members],
    }
    data |= {
        column: pd.array([output.values[column] for output in members], dtype="Float64")
        for column in columns
    }
    table = pd.DataFrame(data)
    return table.astype(dict.fromkeys(columns, "float64"))
