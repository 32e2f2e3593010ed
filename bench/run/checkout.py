"""A stored run against this machine: the checkout's code, study and locks, data, images.

What is not here (data that was not fetched, an engine) is not checked, and said so. Facts
of the machine that made the run are not compared: it may be another machine's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import places
from bench.containers import engine, identity
from bench.data import hub, readers, sources
from bench.errors import BenchError, DataError, MachineError
from bench.grid import changes, keys
from bench.grid import study as study_module
from bench.grid.store import PROVENANCES, STUDY
from bench.grid.study import Study
from bench.run.findings import Finding, Stored, unchecked


def compare(
    stages: Sequence[Stored],
    folder: Path,
    root: Path,
    own: Study | None,
    asked: Study | None,
    mirror: Path | None,
) -> list[Finding]:
    """What the stages were made of against what is here now.

    ``own`` is the study that the run keeps, ``asked`` the one to compare with; without it
    the checkout's of the same name.
    """
    made = [(stored, content) for stored in stages if (content := stored.ingredients)]
    found = [*_recipes(made)]
    made = [(stored, content) for stored, content in made if content["recipe"] == keys.RECIPE]
    found += _sources(made, root)
    found += _locks(made, root)
    found += _options(made, own, asked)
    found += _data(made, root, mirror)
    found += _images(made, folder)
    return found


_Made = Sequence[tuple[Stored, Mapping[str, Any]]]


def _recipes(made: _Made) -> Iterator[Finding]:
    for stored, content in made:
        if content.get("recipe") != keys.RECIPE:
            told = f"its key is of recipe {content.get('recipe')}, this kit's is {keys.RECIPE}"
            yield Finding(stored.id, told, "verify with the kit that made it: see its commit")


def _sources(made: _Made, root: Path) -> Iterator[Finding]:
    """The code of the checkout against that which each stage used."""
    present = keys.sources(places.code_of(root))
    for stored, content in made:
        for line in changes.between("sources", content["sources"], present[stored.stage]):
            yield Finding(
                stored.id,
                f"{line} is not that of the checkout",
                "run again for the present code, or check out the commit that made it",
            )


def _locks(made: _Made, root: Path) -> Iterator[Finding]:
    folder = root / "containers" / "locks"
    for stored, content in made:
        locks = content["environment"].get("locks")
        if not isinstance(locks, Mapping):
            yield Finding(stored.id, "its key names no locks", "run the stage again")
            continue
        for name, sha256 in locks.items():
            path = folder / Path(name).name
            if not path.is_file() or sources.sha256_of(path) != sha256:
                yield Finding(
                    stored.id,
                    f"lock {name} is not that of the checkout",
                    "run again under the present lock, or check out the commit that made it",
                )


def _options(made: _Made, own: Study | None, asked: Study | None) -> Iterator[Finding]:
    """Each stage's slice of the study against the checkout's study."""
    try:
        study = asked or (study_module.load(own.name, own.with_) if own else None)
    except BenchError as error:
        yield unchecked(STUDY, f"{error.problem}; name the study's file: --study FILE")
        study = None
    study = study or own
    if study is None:
        return
    models: dict[str, tuple[str, str | None, Sequence[str]]] = {
        f"cells/{cell.id}/{model.id}": (cell.size, cell.method, model.tasks)
        for cell in study_module.expand(study)
        for model in cell.models
    }
    models |= {f"bases/{base.name}": (base.name, None, study.tasks) for base in study.sizes}
    for stored, content in made:
        if stored.owner not in models:
            told = f"the study {study.name} has no such cell or size"
            yield Finding(stored.id, told, "name the study that made it: --study, --with")
            continue
        size, method, tasks = models[stored.owner]
        config = keys.decides(study, stored.stage, size=size, method=method, tasks=tasks)
        present = json.loads(keys.canonical_json(config))
        for line in changes.between("config", content["config"], present):
            yield Finding(
                stored.id, f"{line}, in the study {study.name}", "run again for the present study"
            )


def _data(made: _Made, root: Path, mirror: Path | None) -> Iterator[Finding]:
    """Every data file that a stage read, hashed again where it lies."""
    read: dict[str, dict[str, None]] = {}
    for _, content in made:
        for path, sha256 in dict(content["data"]).items():
            read.setdefault(path, {})[str(sha256)] = None
    folder = mirror or sources.data_folder()
    absent = 0
    for path, digests in sorted(read.items()):
        file = _data_file(path, root, folder)
        if file is None:
            absent += 1
        elif list(digests) != [sources.sha256_of(file)]:
            told = f"{file} is not what the stages read"
            yield Finding(path, told, "fetch it again, or run again on the present data")
    if absent:
        why = f"{absent} of {len(read)} data files are not in {folder}; name it: --mirror DIR"
        yield unchecked("data", why)


def _data_file(path: str, root: Path, folder: Path) -> Path | None:
    """A data file as keys name it: the kit's own, a public one, or a hub repository's."""
    candidates = [root / path] if path.startswith("datasets/") else [folder / path]
    parts = Path(path).parts
    if parts[:1] == (hub.FOLDER,) and len(parts) > 3:
        place = folder.joinpath(*parts[:3])
        candidates = [revision.joinpath(*parts[3:]) for revision in place.glob("*")]
    return next((file for file in candidates if file.is_file()), None)


def _images(made: _Made, folder: Path) -> Iterator[Finding]:
    """The images by the references under which the run knew them."""
    used = [
        (stored, str(content["environment"]["image"]))
        for stored, content in made
        if content["environment"].get("image")
    ]
    if not used:
        return
    try:
        here = engine.find()
    except MachineError as error:
        yield unchecked("images", error.problem)
        return
    known: dict[str, str | None] = {}
    for stored, wanted in used:
        reference = _reference(stored, folder)
        if reference is None:
            yield unchecked(stored.id, "its provenance names no image")
            continue
        if reference not in known:
            found = identity.of(here, reference)
            known[reference] = None if found is None else found[0]
        if known[reference] is None:
            yield unchecked(reference, f"{here.name} has no such image: nox -s images builds it")
        elif known[reference] != wanted.removeprefix("sha256:"):
            told = f"the image {reference} is another one than that in which it ran"
            yield Finding(stored.id, told, "run again in the present image")


def _reference(stored: Stored, folder: Path) -> str | None:
    name = stored.record.provenance if stored.record else None
    try:
        content = readers.read_object(folder / PROVENANCES / f"{name}.json")
        return str(content["images"][keys.IMAGES[stored.stage]]["reference"])
    except (DataError, KeyError, TypeError):
        return None
