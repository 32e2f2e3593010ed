"""A stage's key: SHA-256 of the canonical JSON of everything that decides its result.

That JSON is kept beside the stage's record, so that a stale stage can say which ingredient
changed and anyone can hash it again. The recipe is versioned: a change of what goes into a
key, or of how it is written, needs a new ``RECIPE`` and a new golden value in the tests, and
makes every stage stale.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import shippedbases
from bench.grid.closure import Code
from bench.grid.study import Study, canonical

RECIPE = 3

#: What each stage executes, as ``module:function``.
ENTRIES: Mapping[str, str] = {
    "base": "bench.run.stages:base",
    "train": "bench.run.stages:train",
    "measure": "bench.run.stages:measure",
    "generate": "bench.run.stages:generate",
    "embed": "bench.run.stages:embed",
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


#: The image in which each stage runs under the container executor.
IMAGES: Mapping[str, str] = {
    "base": "run",
    "train": "run",
    "measure": "run",
    "generate": "run",
    "embed": "run",
    "score": "score",
}


#: Per stage, the SHA-256 of each data file that a model of some tasks reads.
DataDigests = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]


def no_data(_tasks: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The digests of a study that reads nothing."""
    return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Ingredients:
    """What decides the stages beside the study itself.

    All of it per stage. ``sources``: the SHA-256 of each file of code that it uses.
    ``environment``: the locks, versions and image under which it runs. ``data``: the
    digests of what it reads. ``machine``: facts of the machine that change what it can do
    (for example the tool chains that scoring finds).
    """

    sources: Mapping[str, Mapping[str, str]]
    environment: Mapping[str, Mapping[str, Any]]
    data: DataDigests = no_data
    machine: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


def sources(root: Path, entries: Mapping[str, str] = ENTRIES) -> dict[str, dict[str, str]]:
    """Per stage, the SHA-256 of each source file that its entry uses."""
    code = Code(root)
    return {stage: code.files(entry) for stage, entry in entries.items()}


def environment(
    root: Path, images: Mapping[str, str | None] | None = None
) -> dict[str, dict[str, Any]]:
    """Per stage, the locks' SHA-256 with the versions that no lock names, or with the image.

    ``images``: the ids of the images ``run`` and ``score``, where stages run in containers,
    None for one that is not built yet. An image's id stands for its Python and its torch;
    in a virtual environment torch has a build per accelerator and is installed beside the
    lock, and Python runs what the models write.
    """
    found = {}
    for image in dict.fromkeys(IMAGES.values()):
        names = [f"{image}.txt"]
        versions: dict[str, Any] = {}
        if images is not None:
            versions = {"image": images[image]}
        else:
            versions["python"] = platform.python_version()
            if image == "run":
                versions["torch"] = _torch()
                names.append(f"torch-{_torch_build()}.txt")
        found[image] = {"locks": _locks(root, names), **versions}
    return {stage: found[image] for stage, image in IMAGES.items()}


@functools.cache
def _torch() -> str | None:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch_build() -> str:
    """The lock that the installed torch comes from."""
    return "cpu" if (_torch() or "+cpu").endswith("+cpu") else "cuda"


def _locks(root: Path, names: Sequence[str]) -> dict[str, str]:
    paths = [root / "containers" / "locks" / name for name in names]
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()
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
        base = study.base(size)
        told = {"base": canonical(base), "seed": study.seed}
        if base.kind == "tiny":
            files = shippedbases.files(base, study.seed)
            told["taught"] = shippedbases.fingerprint(base, study.seed)
            told["shipped"] = None if files is None else digest(dict(files))
        return told
    if stage == "measure":
        published = study.as_published()
        return decides(published, "train", size=size, method=method, tasks=tasks)
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
        kept = whole["training"].get("dequantised")
        new_tokens = {task: decoding["new_tokens"][task] for task in tasks}
        return {
            "method": method,
            "tasks": list(tasks),
            "suites": suites,
            "decoding": {**decoding, "new_tokens": new_tokens},
            "plan": study.training.plan,
            **({} if kept is None else {"dequantised": kept}),
        }
    if stage == "embed":
        return {"tasks": list(tasks), "suites": suites, "metrics": list(study.scoring.encoders)}
    if stage == "score":
        return {"tasks": list(tasks), "suites": suites, "scoring": whole["scoring"]}
    raise ValueError(f"unknown stage {stage}")


def made_of(
    stage: str,
    config: Mapping[str, Any],
    tasks: Sequence[str],
    ingredients: Ingredients,
    upstream: Mapping[str, str],
) -> bytes:
    """Everything that decides a stage, in canonical JSON: its SHA-256 is the stage's key.

    ``config`` is its slice of the study, ``upstream`` the keys of the stages that it
    builds on, by stage (``base``, ``train``, ``generate``, ``embed``).
    """
    data = ingredients.data(tasks)
    return canonical_json(
        {
            "recipe": RECIPE,
            "stage": stage,
            "config": config,
            "sources": ingredients.sources[stage],
            "data": dict(data.get(stage, {})),
            "machine": dict(ingredients.machine.get(stage, {})),
            "environment": dict(ingredients.environment.get(stage, {})),
            "upstream": dict(upstream),
        }
    )


def key_of(made: bytes) -> str:
    """The key of a stage, from what it is made of."""
    return hashlib.sha256(made).hexdigest()
