"""Digests of the data that each stage of a study reads: the data's part of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bench.data import codetotext, codexglue, corpora, embedded, hub, problems
from bench.data.corpora import EMBEDDED, FULL, SPLITS, tracks_of
from bench.data.prompts import wordings
from bench.data.sources import locate, manifest
from bench.data.suites import SUITES
from bench.grid.keys import ENTRIES
from bench.grid.study import Study, TinyBase
from bench.records import GENERATION, TRANSLATION, Track

#: The stages that read data: a rerun of some reads, and needs, only what those read.
STAGES = tuple(ENTRIES)


def of_study(study: Study, mirror: Path | None, stages: Collection[str] = STAGES) -> dict[str, str]:
    """SHA-256 of every data file that some stages of a study read, by path.

    With a mirror each public file is verified (once; then remembered), so that a broken one
    is told before anything is computed. Without one, the manifest's digest stands for it.

    Raises:
        BenchError: an unknown corpus, suite or wording.
        DataError: a file of the mirror that is missing or not the listed one.
    """
    read = of_stages(study, study.tasks, mirror, stages)
    return {path: sha256 for stage in stages for path, sha256 in read[stage].items()}


def verify(study: Study, mirror: Path | None, stages: Collection[str] = STAGES) -> None:
    """Check that every public file that some stages read is there, before anything runs.

    Raises:
        DataError: a public file that is missing or not the listed one.
        MachineError: a data set of the hub that is not here.
    """
    read = of_study(study, mirror, stages)
    for path in sorted(read.keys() & manifest().keys()):
        locate(path, mirror)
    if any(path.startswith(f"{hub.FOLDER}/") for path in read):
        hub.folder(codetotext.repository(), mirror)


def of_stages(
    study: Study,
    tasks: Sequence[str],
    mirror: Path | None,
    checked: Collection[str] = STAGES,
) -> dict[str, dict[str, str]]:
    """The digests of what each stage of a model reads: another suite retrains nothing.

    Only for the stages that are ``checked`` are the mirror's files verified, and must be there.
    """
    trains = bool({"train", "measure"} & set(checked))
    learned = mirror if trains else None
    read = mirror if {"generate", "embed", "score"} & set(checked) else None
    wording = _wording_digests(study.prompts, mirror, trains)
    corpora.check_name(study.data.corpus)
    own = _embedded_digests()
    training: dict[str, str] = {}
    evaluation: dict[str, str] = {}
    asked: dict[str, str] = {}
    for suite in study.suites:
        problems.check_name(suite.name)
        asked |= _wording_digests(study.asked(suite), mirror, "generate" in checked)
    for track in tracks_of(tasks):
        if study.data.corpus == EMBEDDED:
            training |= own
        elif study.data.corpus == FULL and track.task != TRANSLATION:
            training |= _full_digests(study, track, mirror, trains)
        else:
            for split in SPLITS:
                training |= _public_digests(codexglue.files(track, split), learned)
        for suite in study.suites:
            if suite.name == EMBEDDED:
                evaluation |= own
            else:
                evaluation |= _public_digests(SUITES[suite.name].files.get(track, ()), read)
    return {
        # A tiny base learns from material that leaves the corpus out, so it reads it, too.
        "base": own if any(isinstance(b, TinyBase) for b in study.sizes) else {},
        "train": training | wording,
        "measure": training | wording if study.measuring else {},
        "generate": evaluation | asked,
        "embed": evaluation,
        "score": evaluation,
    }


def _full_digests(study: Study, track: Track, mirror: Path | None, checked: bool) -> dict[str, str]:
    """The locked files of a language, or the authors' where a study names them."""
    authors = corpora.authors_folder(study.data)
    if track.task == GENERATION and authors is not None:
        return codetotext.authors_digests(authors, track) if checked else {}
    return hub.digests(codetotext.repository(), f"{track.language}/", mirror)


def _wording_digests(variant: str, mirror: Path | None, checked: bool) -> dict[str, str]:
    """The files of a wording; the published one may stand in scripts that no manifest lists."""
    scripts = wordings.script_digests(variant, mirror)
    if scripts:
        return dict(scripts)
    read = mirror if checked else None
    return {**wordings.own_digests(variant), **_public_digests(wordings.files(variant), read)}


def _embedded_digests() -> dict[str, str]:
    return {
        f"datasets/embedded/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in embedded.files()
    }


def _public_digests(paths: Sequence[str], mirror: Path | None) -> Mapping[str, str]:
    for path in paths if mirror is not None else ():
        locate(path, mirror)
    return {path: manifest()[path].sha256 for path in paths}
