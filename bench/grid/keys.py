"""A stage's key: SHA-256 of the canonical JSON of everything that decides its result.

The recipe is versioned: a change of what goes into a key, or of how it is written, needs
a new ``RECIPE`` and a new golden value in the tests, and makes every stage stale.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.grid.closure import Code
from bench.grid.study import Study, canonical

RECIPE = 2

#: What each stage executes, as ``module:function``.
ENTRIES: Mapping[str, str] = {
    "base": "bench.run.stages:base",
    "train": "bench.run.stages:train",
    "generate": "bench.run.stages:generate",
    "score": "bench.run.stages:score",
}


def canonical_json(value: Any) -> bytes:
    """The one spelling of plain data: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """SHA-256 of plain data in its canonical spelling."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


#: Per stage, the SHA-256 of each data file that a model of some tasks reads.
DataDigests = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]


def no_data(_tasks: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The digests of a study that reads nothing."""
    return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Ingredients:
    """What decides the stages beside the study itself.

    ``sources``: per stage, the digest of the code it uses. ``environment``: the locks and
    versions under which everything runs. ``data``: the digests of what it reads.
    ``machine``: per stage, facts of the machine that change what it can do (for example
    the tool chains that scoring finds).
    """

    sources: Mapping[str, str]
    environment: Mapping[str, Any]
    data: DataDigests = no_data
    machine: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


def sources(root: Path, entries: Mapping[str, str] = ENTRIES) -> dict[str, str]:
    """Per stage, the digest of the source files that its entry uses."""
    code = Code(root)
    return {stage: digest(code.files(entry)) for stage, entry in entries.items()}


def environment(root: Path) -> dict[str, Any]:
    """The locks' SHA-256 and the versions that no lock names: Python's and torch's.

    torch has a build per accelerator and is installed beside the lock. The tiny bases
    learn from Python's own standard library, so its exact version decides, too.
    """
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = None
    locks = sorted((root / "containers" / "locks").glob("*.txt"))
    return {
        "locks": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in locks},
        "python": platform.python_version(),
        "torch": torch,
    }


def decides(
    study: Study, stage: str, *, size: str, method: str | None, tasks: Sequence[str]
) -> dict[str, Any]:
    """The slice of a study that decides one stage, as plain data.

    ``method`` is None for a base model. What a stage inherits from the stages before it
    is not repeated: their keys are in its key.
    """
    whole = canonical(study)
    suites = [{**canonical(suite), "prompts": study.asked(suite)} for suite in study.suites]
    if stage == "base":
        base = canonical(study.base(size))
        return {"base": base, "seed": study.seed}
    if stage == "train":
        training = canonical(study.training.of(tasks))
        unused = {"single", *(("qlora", "lora") if method == "mt-fft" else ("full",))}
        return {
            "method": "full" if method == "mt-fft" else "qlora",
            "tasks": list(tasks),
            "seed": study.seed,
            "prompts": study.prompts,
            "data": whole["data"],
            "training": {name: part for name, part in training.items() if name not in unused},
        }
    if stage == "generate":
        decoding = whole["decoding"]
        new_tokens = {task: decoding["new_tokens"][task] for task in tasks}
        return {
            "method": method,
            "tasks": list(tasks),
            "suites": suites,
            "decoding": {**decoding, "new_tokens": new_tokens},
            "plan": study.training.plan,
        }
    if stage == "score":
        return {"tasks": list(tasks), "suites": suites, "scoring": whole["scoring"]}
    raise ValueError(f"unknown stage {stage}")


def stage_key(
    stage: str,
    config: Mapping[str, Any],
    tasks: Sequence[str],
    ingredients: Ingredients,
    upstream: Sequence[str],
) -> str:
    """The key of a stage: its config slice, what it is made of, the keys it builds on."""
    data = ingredients.data(tasks)
    return digest(
        {
            "recipe": RECIPE,
            "stage": stage,
            "config": config,
            "sources": ingredients.sources[stage],
            "data": dict(data.get(stage, {})),
            "machine": dict(ingredients.machine.get(stage, {})),
            "environment": dict(ingredients.environment),
            "upstream": list(upstream),
        }
    )
