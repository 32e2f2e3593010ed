"""Scores of one model's outputs: per-instance tables, their means, and why one is missing.

Every metric runs once per stage over all suites and tracks it applies to (Pylint takes
longer to start than to look at a batch), then the values are dealt out to the tables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records import SUMMARIZATION, Generation, Sample, Track, Verdict
from bench.scoring import encoded, metrics
from bench.scoring.admission import NotRunError, Rows
from bench.scoring.encoded import Encoded
from bench.scoring.outputs import PROMPT_TOO_LONG, Output, paired, unscored
from bench.scoring.quality.java import class_name
from bench.scoring.tables import Place, ScoreTables, gather

NO_TESTS = "not run: the suite has no tests for this track"
NOT_EXECUTED = "not run: outputs were not executed in this run"
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
    ``encoded``: the values of metrics that were measured before.
    """

    principal: Mapping[Track, str]
    metrics: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    laid_out: bool = False
    work: Path | None = None
    mirror: Path | None = None
    encoded: Mapping[str, Encoded] = dataclasses.field(default_factory=dict)


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
    outputs = paired(problems, generations)
    absent: dict[Place, str] = {}
    for name, wanted, arguments in _plan(outputs, options):
        if options.only is None or name in options.only:
            _measure(name, wanted, arguments, options.encoded, absent)
    for output in outputs:
        _grade(output, verdicts)
        _describe(output)
    return gather(outputs, absent, options.principal)


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
    if "bertscore" in options.metrics:
        mirror = str(options.mirror) if options.mirror else None
        yield "bertscore", encoded.applicable("bertscore", texts), lambda _: {"mirror": mirror}
    if "side" in options.metrics:
        aligned = encoded.applicable("side", texts)
        yield "side", aligned, lambda kept: {"codes": encoded.codes(kept)}
    if "judge" in options.metrics:
        yield "judge", list(texts), lambda kept: _judge_options(kept, options.work)


def _judge_options(outputs: Sequence[Output], work: Path | None) -> dict[str, Any]:
    return {
        "codes": encoded.codes(outputs),
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
    known: Mapping[str, Encoded],
    absent: dict[Place, str],
) -> None:
    """Put the values of one metric, ``known`` or run now, into the outputs; or why it has none."""
    columns = metrics.COLUMNS[name]
    written = []
    for output in wanted:
        why = unscored(output, compares=name not in metrics.WITHOUT_REFERENCE)
        if why is None:
            written.append(output)
        for column in columns:
            output.put(column, None, why)
    if not written:
        return
    try:
        rows = known[name].of(written) if name in known else _compute(name, written, arguments)
    except NotRunError as error:
        for output in written:
            for column in columns:
                output.put(column, None, str(error))
                absent[output.suite, output.problem.track, column] = str(error)
        return
    _deal(rows, written)


def _compute(
    name: str, outputs: list[Output], arguments: Callable[[list[Output]], dict[str, Any]]
) -> Rows:
    references = [output.problem.reference for output in outputs]
    return metrics.compute(
        name,
        [output.generation.output for output in outputs],
        None if name in metrics.WITHOUT_REFERENCE else references,
        **arguments(outputs),
    )


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
