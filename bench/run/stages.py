"""What each stage does: glue over the rooms below, one function a stage.

A stage reads its job and the folders it builds on, works in its own folder, and returns
what only it knows. Imports stand inside the functions: a process loads what its stage
needs, and a stage's key covers the code that its function reaches.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.grid.store import CHECKPOINTS
from bench.measure import Meter
from bench.records import Generation, Sample, Track
from bench.run.job import CHECKPOINT_MINUTES, Job, Progress, StageResult

if TYPE_CHECKING:
    from bench.data.packing import PackedRows
    from bench.data.rowcache import RowCache
    from bench.generate import decode
    from bench.grid.study import Training
    from bench.scoring.answers.generations import Answered
    from bench.train.similarity import Similarity

MODEL = "model"
GENERATIONS = "generations.jsonl"
ENCODED = "encoded.json"
SCORES = "scores.json"
ANSWERS = "answers.jsonl"


def base(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """The size's base model: ``work/model``, or the hub's own folder if it is one.

    A tiny one is copied from the kit where it comes with it, else made, and kept in the cache.
    """
    from bench.data import shippedbases

    model, seed, target = job.study.base(job.size), job.study.seed, work / MODEL
    shutil.rmtree(target, ignore_errors=True)  # half a copy, of a run that was killed
    with meter.phase("prepare"):
        shipped = model.kind == "tiny" and shippedbases.copy(model, seed, target)
        folder = target if shipped else _made_base(job, work, progress)
    if model.kind == "tiny" and not shipped:
        shutil.copytree(folder, target)
    return StageResult(
        artifact_bytes=_folder_bytes(folder),
        details={"parameters": _parameters(folder), **({"shipped": True} if shipped else {})},
    )


def _made_base(job: Job, work: Path, progress: Progress) -> Path:
    """Where a base lies that does not come with the kit; a tiny one is made there first."""
    from bench.run import keptbases
    from bench.train import bases

    model, cache = job.study.base(job.size), _cache(job)
    if model.kind == "tiny" and not bases.is_made(model, job.study.seed, cache):
        cache = _writable(cache, work)
    folder = bases.base_folder(model, job.study.seed, cache, progress, mirror=_mirror(job))
    if model.kind == "tiny" and not keptbases.is_whole(folder):
        print(f"{folder} is not as it was made, and is made again")
        keptbases.forget(folder)
        cache = _writable(cache, work)
        folder = bases.base_folder(model, job.study.seed, cache, progress)
        keptbases.is_whole(folder)  # notes how it is
    return folder


def train(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Train one model; ``work/model`` holds its adapter or its weights."""
    result = _train(job, work, meter, progress)
    return dataclasses.replace(result, artifact_bytes=_folder_bytes(work / MODEL))


def measure(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Train as published for a few steps, for what that costs; no model is kept."""
    published = dataclasses.replace(job, study=job.study.as_published())
    return _train(published, work, meter, progress, keep=False)


def _train(
    job: Job, work: Path, meter: Meter, progress: Progress, *, keep: bool = True
) -> StageResult:
    """Train; out of a GPU's memory, with a smaller micro-batch where the study leaves it open."""
    from bench.data import architectures
    from bench.data.rowcache import RowCache
    from bench.train import bases, efficiency, fit, methods, microbatch

    assert job.method is not None
    training = job.study.training.of(job.tasks)
    tried: list[dict[str, Any]] = []
    cache = RowCache(_cache(job))
    rows: dict[str, PackedRows] = {}
    counts: Sequence[Mapping[str, Any]] = ()
    result = None
    while result is None:
        with meter.phase("load"):
            model, tokenizer = bases.load(
                _base_folder(job),
                quantize=methods.quantizes(job.method),
                dequantised=training.dequantises,
                precision=training.precision,
            )
        if not rows:
            with meter.phase("pack"):
                counts, rows = _corpus(job, tokenizer, cache)
        with meter.phase("train"), microbatch.fitting(model, training, job.method, work) as one:
            result = fit.train(
                model,
                tokenizer,
                rows,
                training,
                job.method,
                job.study.seed,
                work,
                progress,
                _similarity(job, training, rows, tokenizer),
                one.setting,
                job.options.get("checkpoint_minutes", CHECKPOINT_MINUTES),
                keep=keep,
            )
        if one.failed:
            del model
            tried.append(one.failed)
    rows_per_step = methods.optimization(training, job.method).rows_per_step
    shape = architectures.shape(job.study.base(job.size), _mirror(job))
    return StageResult(
        tokens=result.tokens,
        details={
            "steps": result.steps,
            "best_step": result.best_step,
            "stopped_early": result.stopped_early,
            "losses": [dataclasses.asdict(point) for point in result.losses],
            "documents": rows["train"].documents,
            "cut_documents": rows["train"].cut_documents,
            "dropped_tokens": rows["train"].dropped_tokens,
            "rows_cache": cache.told,
            "types": bases.types(model),
            "micro_batch": {**one.setting.as_json(rows_per_step), "tried": tried},
            "data": counts,
            **efficiency.cost(model, shape, training, job.method, result.timing),
        },
    )


def _corpus(
    job: Job, tokenizer: Any, cache: RowCache
) -> tuple[Sequence[Mapping[str, Any]], dict[str, PackedRows]]:
    """What the job's corpus counts, and its packed rows; the samples are let go."""
    from bench.data import corpora

    corpus = corpora.load(job.study.data, job.tasks, _mirror(job))
    rows = _rows(job, tokenizer, corpus.samples, cache)
    for note in cache.notes:
        print(note)
    return corpus.as_json(), rows


def generate(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Answer every problem of the study's suites; ``work/generations.jsonl``, one a line."""
    from bench.generate import answering, decode

    with meter.phase("load"):
        loaded = answering.load(
            job.study, job.method, _answering_base(job), _adapter(job), work / CHECKPOINTS
        )
    prompts = _prompts(job, loaded.tokenizer)
    with meter.phase("generate"):
        answered = decode.generate(
            loaded.engine,
            loaded.tokenizer,
            prompts,
            job.study.decoding,
            work / GENERATIONS,
            progress,
            loaded.budget,
        )
    with meter.phase("check"):
        effect = answered.sample.effect(loaded.engine)
    return StageResult(
        tokens=answered.tokens,
        details={
            "prompts": len(prompts),
            "batches": answered.batches,
            "batch_effect": effect,
            **loaded.details,
        },
    )


def embed(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Measure the metrics that are encoders; ``work/encoded.json`` is what ``score`` takes."""
    from bench.scoring import encoded, hubmodels, outputs

    problems = _problems(job)
    written = outputs.paired(problems, _answered(job, problems).generations)
    names = job.study.scoring.encoders
    progress(0, 1, ", ".join(names))
    with meter.phase("embed"):
        found = encoded.measure(names, written, _mirror(job))
    encoded.write(found, work / ENCODED)
    return StageResult(details={"models": hubmodels.found(names, _mirror(job))})


def score(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Execute and score what a model wrote: tables per suite and track, means, notes."""
    from bench.scoring import encoded, execution, judge, score
    from bench.scoring.sandbox import jail

    problems = _problems(job)
    answered = _answered(job, problems)
    answered.write(work / ANSWERS)
    generations = answered.generations
    total = len(problems) + 1
    confined = jail.unsafe_jail() if job.options.get("unsafe") else jail.find_jail()
    verdicts = {}
    with meter.phase("execute"):
        for done, (suite, members) in enumerate(problems.items()):
            progress(done, total, f"execute {suite}")
            outputs = {one.id: one.output for one in generations if one.suite == suite}
            verdicts[suite] = execution.grade(members, outputs, confined)
    before = job.inputs.get("embed")
    progress(total - 1, total, "score")
    with meter.phase("score"):
        scores = score.score(
            problems,
            generations,
            verdicts,
            options=score.Options(
                _principal(problems),
                job.study.scoring.metrics,
                work=work,
                mirror=_mirror(job),
                encoded=encoded.read(before / ENCODED) if before else {},
            ),
        )
    for (suite, track), table in scores.tables.items():
        name = f"{suite}.{track.task}-{track.language}.csv"
        table.to_csv(work / name, index=False, lineterminator="\n")
    content = {"metrics": scores.metrics, "notes": scores.notes}
    (work / SCORES).write_text(json.dumps(content, indent=1, sort_keys=True))
    details: dict[str, Any] = {"sandbox": confined.way, "unsafe": bool(job.options.get("unsafe"))}
    if "judge" in job.study.scoring.metrics:
        details["models"] = {"judge": judge.obtainable()}
    return StageResult(details=details)


def _base_folder(job: Job) -> Path:
    """Where the size's base lies: in the run for a tiny one, else in the hub's cache."""
    from bench.train import bases

    model = job.study.base(job.size)
    if model.kind == "tiny":
        return job.inputs["base"] / MODEL
    return bases.base_folder(model, job.study.seed, _cache(job), mirror=_mirror(job))


def _answering_base(job: Job) -> Path:
    """The weights that answer: the plain base's, or those that full fine-tuning has left."""
    from bench.train import methods

    if job.method is None or methods.quantizes(job.method):
        return _base_folder(job)
    return job.inputs["train"] / MODEL


def _adapter(job: Job) -> Path | None:
    """What QLoRA has left, to stand on the base."""
    from bench.train import methods

    if job.method is None or not methods.quantizes(job.method):
        return None
    return job.inputs["train"] / MODEL


def _parameters(folder: Path) -> int:
    """The number of weights in a folder's safetensors files (a tied head counts once)."""
    from bench.data.readers import safetensors_shapes

    files = [safetensors_shapes(path) for path in sorted(folder.glob("*.safetensors"))]
    return sum(math.prod(shape) for shapes in files for shape in shapes.values())


def _cache(job: Job) -> Path:
    return Path(job.options["cache"])


def _writable(cache: Path, work: Path) -> Path:
    """The cache, or where it may only be read (in a container) a folder of this stage alone."""
    if os.access(cache if cache.exists() else cache.parent, os.W_OK):
        return cache
    return work / CHECKPOINTS


def _mirror(job: Job) -> Path | None:
    mirror = job.options.get("mirror")
    return Path(mirror) if mirror else None


def _rows(
    job: Job, tokenizer: Any, samples: Mapping[str, Sequence[Sample]], cache: RowCache
) -> dict[str, PackedRows]:
    """The packed training and validation rows of the job's tasks."""
    from bench.data import rows
    from bench.data.prompts import wordings

    return rows.packed_rows(
        samples,
        wordings.taught(job.study.prompts, job.tasks, _mirror(job)),
        tokenizer,
        job.study.training.of(job.tasks),
        job.study.seed,
        cache,
    )


def _similarity(
    job: Job, training: Training, rows: Mapping[str, PackedRows], tokenizer: Any
) -> Similarity | None:
    """What early stopping watches, where that is not the loss."""
    if training.early_stopping is None or training.early_stopping.metric == "loss":
        return None
    from bench.data.prompts import wordings
    from bench.train import similarity

    wording = wordings.taught(job.study.prompts, job.tasks, _mirror(job))
    return similarity.metric(rows["valid"], training, job.tasks, wording, tokenizer)


def _prompts(job: Job, tokenizer: Any) -> list[decode.Prompt]:
    """Every problem of every suite as the suite has it asked."""
    from bench.data.prompts import wordings
    from bench.data.rows import prompt_text
    from bench.generate import decode

    suites = {suite.label: suite for suite in job.study.suites}
    prompts = []
    for label, problems in _problems(job).items():
        suite = suites[label]
        wording = wordings.asked(job.study.asked(suite), job.tasks, _mirror(job))
        prompts += [
            decode.Prompt(
                problem.id,
                label,
                problem.track,
                prompt_text(problem, wording, tokenizer),
                wording.opening(problem),
                suite.prompt_tokens.get(problem.track.task),  # type: ignore[call-overload]
            )
            for problem in problems
        ]
    return prompts


def _problems(job: Job) -> dict[str, list[Sample]]:
    """The problems of every suite that has some for the job's tasks."""
    from bench.data.problems import suite_problems

    found = {
        suite.label: suite_problems(suite, job.tasks, _mirror(job)) for suite in job.study.suites
    }
    return {name: problems for name, problems in found.items() if problems}


def _principal(problems: Mapping[str, Sequence[Sample]]) -> dict[Track, str]:
    """The first suite that has a track is its principal one."""
    found: dict[Track, str] = {}
    for suite, members in problems.items():
        for problem in members:
            found.setdefault(problem.track, suite)
    return found


def _answered(job: Job, problems: Mapping[str, Sequence[Sample]]) -> Answered:
    """What the model wrote, with the answers found in it by the rules of each suite."""
    from bench.data.prompts import wordings
    from bench.scoring import answers
    from bench.scoring.answers.generations import answered

    rules = {}
    for suite in job.study.suites:
        wording = wordings.asked(job.study.asked(suite), job.tasks, _mirror(job))
        found = answers.published if suite.extraction == "published" else answers.extract
        rules[suite.label] = functools.partial(found, marks=wording.marks)
    return answered(problems, _read_generations(job.inputs["generate"] / GENERATIONS), rules)


def _read_generations(path: Path) -> list[Generation]:
    from bench.data import readers

    kinds = {"str": str, "int": int}
    fields = {one.name: kinds[str(one.type)] for one in dataclasses.fields(Generation)}
    del fields["output"]  # which scoring finds
    hint = "delete the model's generate stage and give the same command again"
    lines = readers.read_jsonl(path, fields, hint=hint)
    return [readers.parsed(path, lambda one: Generation(**one), line, hint=hint) for line in lines]


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
