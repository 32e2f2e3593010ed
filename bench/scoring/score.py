"""Scores of one model's outputs: per-instance tables, their means, and why one is missing.

Every metric runs once per stage over all suites and tracks it applies to (Pylint takes
longer to start than to look at a batch), then the values are dealt out to the tables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.records import SUMMARIZATION, Generation, Sample, Track, Verdict
from bench.scoring import metrics
from bench.scoring.admission import NotRunError, Rows
from bench.scoring.quality.java import class_name
from bench.scoring.tables import Output, Place, ScoreTables, gather

NO_TESTS = "not run: the suite has no tests for this track"
NOT_EXECUTED = "not run: outputs were not executed in this run"
PROMPT_TOO_LONG = "prompt longer than the window, nothing generated"
NO_REFERENCE = "no reference to compare with"
ONE_MISSING = "one of its parts is missing"
#: What the judge answered, in the folder of the stage.
JUDGMENTS = "judgments.jsonl"

#: The summaries' similarity is the mean of these; code's is CodeBLEU.
SUMMARY_SIMILARITY = ("bleu", "chrf", "rouge_l", "meteor")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """``principal``: the suite whose scores have the plain keys, per track.

    ``metrics``: those that the study asks for beyond the ones that every study has.
    ``only``: nothing else is measured; None for all of them. ``laid_out``: translations were
    laid out in lines after they were written, as the study's files (``bench.scoring.layout``).
    ``work``: a folder for what a metric puts beside its values; None for nowhere.
    ``mirror``: where models of the hub may lie; None for the folder that is fetched.
    """

    principal: Mapping[Track, str]
    metrics: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    laid_out: bool = False
    work: Path | None = None
    mirror: Path | None = None


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
    for name, wanted, arguments in _plan(outputs, options):
        if options.only is None or name in options.only:
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
    outputs: Sequence[Output], options: Options
) -> Iterable[tuple[str, list[Output], Callable[[list[Output]], dict[str, Any]]]]:
    """Each metric with the outputs it applies to and its options for them."""
    texts = [output for output in outputs if output.problem.track.task == SUMMARIZATION]
    codes = [output for output in outputs if output.problem.track.task != SUMMARIZATION]
    for language in ("python", "java", "csharp"):
        written = [out for out in codes if out.problem.track.target_language == language]
        about = {"language": language}
        yield "codebleu", written, lambda _, about=about: {**about, "laid_out": options.laid_out}  # type: ignore[misc]
        yield "lizard", written, lambda _, about=about: about  # type: ignore[misc]
        if language == "python":
            yield "pylint", written, _pylint_options
            yield "flake8", written, lambda kept: {"names": _file_names(kept)}
    for name in ("sentence_bleu", "chrf"):
        yield name, list(outputs), lambda _: {}
    for name in ("rouge_l", "meteor", "meteor_wordnet", "embedding_similarity"):
        yield name, texts, lambda _: {}
    yield from _further(codes, texts, options.metrics)
    yield from _models(texts, options)


def _further(
    codes: Sequence[Output], texts: Sequence[Output], names: Sequence[str]
) -> Iterable[tuple[str, list[Output], Callable[[list[Output]], dict[str, Any]]]]:
    """The metrics that only some studies ask for, see ``bench.grid.study.Scoring``."""
    csharp = [output for output in codes if output.problem.track.target_language == "csharp"]
    if "roslyn" in names:
        yield "roslyn", csharp, lambda _: {}
    java = [output for output in codes if output.problem.track.target_language == "java"]
    for name in ("pmd", "checkstyle"):
        if name in names:
            yield name, java, lambda kept: {"names": _class_names(kept)}
    for language in ("python", "java", "csharp") if "cognitive" in names else ():
        written = [out for out in codes if out.problem.track.target_language == language]
        yield "cognitive", written, lambda _, language=language: {"language": language}  # type: ignore[misc]
    if "sonar" in names:
        python = [output for output in codes if output.problem.track.target_language == "python"]
        yield "sonar", python, lambda _: {"language": "python"}
        yield "sonar", java, lambda kept: {"language": "java", "names": _class_names(kept)}
        yield "sonar", csharp, lambda _: {"language": "csharp"}


def _models(
    texts: Sequence[Output], options: Options
) -> Iterable[tuple[str, list[Output], Callable[[list[Output]], dict[str, Any]]]]:
    """The metrics of summaries that are models themselves, where a study asks for them."""
    java = [output for output in texts if output.problem.track.source_language == "java"]
    if "bertscore" in options.metrics:
        mirror = str(options.mirror) if options.mirror else None
        yield "bertscore", list(texts), lambda _: {"mirror": mirror}
    if "side" in options.metrics:
        yield "side", java, lambda kept: {"codes": _codes(kept)}
    if "judge" in options.metrics:
        yield "judge", list(texts), lambda kept: _judge_options(kept, options.work)


def _codes(outputs: Sequence[Output]) -> list[str]:
    """The code that each summary is of."""
    return [output.problem.inputs.get("code", "") for output in outputs]


def _judge_options(outputs: Sequence[Output], work: Path | None) -> dict[str, Any]:
    return {
        "codes": _codes(outputs),
        "languages": [output.problem.track.source_language for output in outputs],
        "names": [f"{output.suite}/{output.problem.id}" for output in outputs],
        "record": str(work / JUDGMENTS) if work else None,
    }


def _class_names(outputs: Sequence[Output]) -> list[str]:
    """What the classes around Java outputs are called."""
    ids = _file_names(outputs)
    return [
        class_name(output.problem.track.task, ids[index], index)
        for index, output in enumerate(outputs)
    ]


def _file_names(outputs: Sequence[Output]) -> list[str]:
    """The problems' own ids, without the track that the kit appends to them."""
    return [output.problem.id.partition("@")[0] for output in outputs]


def _pylint_options(outputs: Sequence[Output]) -> dict[str, Any]:
    """A problem with tests is complete in itself; CoderEval's belong into their projects."""
    checks = [output.problem.check for output in outputs]
    standalone = [check is not None and check["kind"] != "codereval" for check in checks]
    return {"names": _file_names(outputs), "standalone": standalone}


def _measure(
    name: str,
    wanted: Sequence[Output],
    arguments: Callable[[list[Output]], dict[str, Any]],
    absent: dict[Place, str],
) -> None:
    """Run one metric and put its values into the outputs; or note why it did not run."""
    columns = metrics.COLUMNS[name]
    written = []
    for output in wanted:
        why = _unscored(output, compares=name not in metrics.WITHOUT_REFERENCE)
        if why is None:
            written.append(output)
        for column in columns:
            output.put(column, None, why)
    if not written:
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
        for output in written:
            for column in columns:
                output.put(column, None, str(error))
                absent[output.suite, output.problem.track, column] = str(error)
        return
    _deal(rows, written)


def _unscored(output: Output, *, compares: bool) -> str | None:
    """Why a metric (one that ``compares`` with a reference or not) is not asked at all."""
    if output.generation.finish_reason == "prompt-too-long":
        return PROMPT_TOO_LONG
    return NO_REFERENCE if compares and not output.problem.reference.strip() else None


def _deal(rows: Rows, outputs: Sequence[Output]) -> None:
    for index, output in enumerate(outputs):
        for column, values in rows.columns.items():
            output.put(column, values[index], rows.reasons[index])
            if rows.remark:
                output.remarks[column] = rows.remark


def _grade(output: Output, verdicts: Mapping[str, Mapping[str, Verdict]] | None) -> None:
    """``pass@1`` of an output that a model was asked to make executable."""
    if output.problem.track.task == SUMMARIZATION:
        return
    verdict = (verdicts or {}).get(output.suite, {}).get(output.problem.id)
    if verdict is None and output.problem.check is None:
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
        output.put("similarity", values.get("codebleu"), output.reasons.get("codebleu"))
    output.put("empty_outputs", float(not output.generation.output.strip()), None)
    output.put("truncated_share", float(output.generation.finish_reason == "length"), None)
