"""Digests of the data that each stage of a study reads: the data's part of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data import codexglue, corpora, embedded, problems, prompts
from bench.data.corpora import EMBEDDED, SPLITS, tracks_of
from bench.data.sources import locate, manifest
from bench.data.suites import SUITES
from bench.grid.study import Study, TinyBase


def of_study(study: Study, mirror: Path | None) -> dict[str, str]:
    """SHA-256 of every data file that a study reads, by path.

    With a mirror each public file is verified (once; then remembered), so that a broken one
    is told before anything is computed. Without one, the manifest's digest stands for it.

    Raises:
        BenchError: an unknown corpus, suite or wording.
        DataError: a file of the mirror that is missing or not the listed one.
    """
    stages = of_stages(study, study.tasks, mirror)
    return {path: sha256 for files in stages.values() for path, sha256 in files.items()}


def verify(study: Study, mirror: Path | None) -> None:
    """Check that every public file that a study reads is there, before anything runs.

    Raises:
        DataError: no mirror, or a file of it that is missing or not the listed one.
    """
    for path in sorted(of_study(study, mirror).keys() & manifest().keys()):
        locate(path, mirror)


def of_stages(study: Study, tasks: Sequence[str], mirror: Path | None) -> dict[str, dict[str, str]]:
    """The digests of what each stage of a model reads: another suite retrains nothing."""
    variant = prompts.Prompts.load(study.prompts)
    wording = {f"datasets/prompts/{variant.variant}.toml": variant.digest}
    corpora.check_name(study.data.corpus)
    training: dict[str, str] = {}
    evaluation: dict[str, str] = {}
    for track in tracks_of(tasks):
        if study.data.corpus == EMBEDDED:
            training |= _embedded_digests()
        else:
            for split in SPLITS:
                training |= _public_digests(codexglue.files(track, split), mirror)
        for suite in study.suites:
            problems.check_name(suite.name)
            if suite.name == EMBEDDED:
                evaluation |= _embedded_digests()
            else:
                evaluation |= _public_digests(SUITES[suite.name].files.get(track, ()), mirror)
    return {
        # A tiny base learns from material that leaves the corpus out, so it reads it, too.
        "base": _embedded_digests() if any(isinstance(b, TinyBase) for b in study.sizes) else {},
        "train": training | wording,
        "generate": evaluation | wording,
        "score": evaluation,
    }


def _embedded_digests() -> dict[str, str]:
    return {
        f"datasets/embedded/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in embedded.files()
    }


def _public_digests(paths: Sequence[str], mirror: Path | None) -> Mapping[str, str]:
    for path in paths if mirror is not None else ():
        locate(path, mirror)
    return {path: manifest()[path].sha256 for path in paths}
