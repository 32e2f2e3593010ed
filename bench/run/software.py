"""What a process runs on: Python and the libraries whose versions can change a figure.

A stage's own process tells it, since in a container they are the image's.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "safetensors",
    "tokenizers",
    "datasets",
    "evaluate",
    "numpy",
    "scipy",
    "statsmodels",
    "pandas",
    "codebleu",
    "sacrebleu",
    "rouge-score",
    "nltk",
    "lizard",
    "pylint",
    "flake8",
    "tree-sitter",
)


@functools.cache
def versions() -> Mapping[str, str | None]:
    """Python's version and each library's, None for an absent one."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def united(told: Iterable[Mapping[str, str | None]]) -> dict[str, str | None]:
    """The versions that several processes tell; two that differ stand beside each other.

    The image that scores has no torch, and the one that trains no analyser: together they
    have what a run used.
    """
    found: dict[str, dict[str, None]] = {}
    for versions_ in told:
        for name, version in versions_.items():
            found.setdefault(name, {}).update({} if version is None else {version: None})
    return {name: " and ".join(several) or None for name, several in found.items()}
