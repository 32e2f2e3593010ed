"""Which wording a study's models are taught and asked in.

``published`` asks as the package's inference scripts do, with their mismatches; ``corrected``
asks as the same models were trained. Both are trained alike. Any other variant is a file of
``datasets/prompts``, the same on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.prompts import PROMPTS, Prompts
from bench.data.prompts import published as publishedprompts
from bench.data.prompts import scripts as packagescripts
from bench.errors import unknown

PUBLISHED, CORRECTED = "published", "corrected"


def taught(variant: str, tasks: Sequence[str], mirror: Path | None) -> Prompts:
    """The wording that a model of some tasks is trained in.

    Raises:
        BenchError: no such variant.
        DataError: the published wording is not among the data, or not what it should be.
    """
    check_name(variant)
    if variant in (PUBLISHED, CORRECTED):
        return publishedprompts.load("training", single=len(tasks) == 1, mirror=mirror)
    return Prompts.load(variant)


def asked(variant: str, tasks: Sequence[str], mirror: Path | None) -> Prompts:
    """The wording in which problems are put to a model that was trained on some tasks.

    Raises:
        BenchError: no such variant.
        DataError: the published wording is not among the data, or not what it should be.
    """
    check_name(variant)
    if variant == PUBLISHED:
        return publishedprompts.load("inference", single=len(tasks) == 1, mirror=mirror)
    return taught(variant, tasks, mirror)


def files(variant: str) -> tuple[str, ...]:
    """The public files that a variant is read from, as paths of a mirror."""
    check_name(variant)
    return (publishedprompts.FILE,) if variant in (PUBLISHED, CORRECTED) else ()


def script_digests(variant: str, mirror: Path | None) -> Mapping[str, str]:
    """SHA-256 of the package's scripts, where the wording is built from them."""
    built = variant in (PUBLISHED, CORRECTED) and publishedprompts.from_scripts(mirror)
    return packagescripts.listed() if built else {}


def own_digests(variant: str) -> Mapping[str, str]:
    """SHA-256 of the kit's own files that a variant is read from, by path."""
    if variant in (PUBLISHED, CORRECTED):
        return {}
    return {f"datasets/prompts/{variant}.toml": Prompts.load(variant).digest}


def check_name(variant: str) -> None:
    """Raise a BenchError unless there is a wording of this name."""
    if variant not in names():
        raise unknown("prompts", variant, names())


def names() -> tuple[str, ...]:
    """The wordings that there are."""
    return (PUBLISHED, CORRECTED, *sorted(path.stem for path in PROMPTS.glob("*.toml")))
