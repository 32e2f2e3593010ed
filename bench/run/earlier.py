"""Finished stages of an earlier run, taken into this one: verified first, then moved.

The earlier run is a folder or an archive, perhaps from another machine. Everything that is
taken is first brought into a draft folder beside its place and hashed there; nothing is in its
place before all of it is whole. A model is one: stages of two trainings are never mixed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bench.data import readers
from bench.errors import DataError
from bench.grid import changes, intact, store
from bench.grid.store import PROVENANCES, RUN, STUDY, Store, writing
from bench.grid.study import Study
from bench.records import Cell, Outcome, StageRecord
from bench.run import opening
from bench.run.opening import STAGES

_DRAFT = ".taking-"
_AGAIN = "copy or download it again, or leave that cell out: --cells PATTERN"


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What became of an earlier run's stages (by id) and models (by owner).

    ``stages`` were taken; ``present`` lie here already; ``kept`` are models that differ from
    the earlier run's and stay; ``absent`` are chosen cells of which it holds nothing.
    """

    stages: tuple[str, ...]
    present: tuple[str, ...]
    kept: tuple[str, ...]
    absent: tuple[str, ...]


#: The stages of one model or base in a run, by name.
Records = Mapping[str, StageRecord]


def take(
    path: Path,
    study: Study,
    cells: Sequence[Cell],
    results: Store,
    *,
    replace_older: bool = False,
) -> Taken:
    """Take the chosen cells, and the bases of their sizes, of an earlier run into ``results``.

    The caller holds the lock. A model that lies here, and not as there, stays as it is;
    ``replace_older`` replaces it where every record here is older.

    Raises:
        DataError: no run, another study's, a cell that the study has not, or a file that is
            missing or not the recorded one; nothing was taken.
        DiskError: the folder cannot be written.
    """
    with writing(results.folder), _draft(results.folder) as draft:
        owners = opening.owners_of(study, cells)
        root, found = opening.open_run(path, study, owners, draft)
        opening.check_study(root, path, study)
        opening.check_owners(found, path, study, cells)
        wanted = {owner: _records(root, owner, path) for owner in found if owner in owners}
        moves, present, kept = [], [], []
        for owner, there in wanted.items():
            here = _stored(results, owner)
            if _fit(results, root, owner, here, there):
                moves += [(owner, stage) for stage in there if stage not in here]
                present += [f"{owner}/{stage}" for stage in there if stage in here]
            elif replace_older and _older(results, root, owner, here, there):
                moves += [(owner, stage) for stage in there]
            else:
                kept.append(owner)
        for owner, stage in moves:
            _bring(root, draft / "whole", owner, stage, wanted[owner][stage], path)
        about = _provenances(root, [wanted[owner][stage] for owner, stage in moves], path)
        _put_about(results.folder, about)  # first, since the records name it
        for owner in dict.fromkeys(owner for owner, _ in moves):
            _clear(results, owner, [stage for one, stage in moves if one == owner])
        for owner, stage in moves:
            results.put(owner, stage, draft / "whole" / owner / stage)
    held = {owner.split("/")[1] for owner in wanted if owner.startswith("cells/")}
    return Taken(
        tuple("/".join(move) for move in moves),
        tuple(present),
        tuple(kept),
        tuple(cell.id for cell in cells if cell.id not in held),
    )


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder on the disk of the results; those of takers that were killed go, too."""
    for left in folder.glob(f"{_DRAFT}*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = folder / f"{_DRAFT}{os.getpid()}"
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _records(root: Path, owner: str, path: Path) -> dict[str, StageRecord]:
    """The records of a model's finished stages in the earlier run."""
    records = {}
    for stage in STAGES:
        folder = root / owner / stage
        if not folder.is_dir():
            continue
        record = store.read_record(folder)
        if record is None:
            raise DataError(
                f"{path}: {owner}/{stage}: record.json is missing or damaged", hint=_AGAIN
            )
        if record.outcome is not Outcome.OK or record.stage != stage:
            raise DataError(f"{path}: {owner}/{stage}: not a finished {stage}", hint=_AGAIN)
        records[stage] = record
    return records


def _stored(results: Store, owner: str) -> dict[str, StageRecord]:
    found = {stage: results.whole(owner, stage) for stage in STAGES}
    return {stage: record for stage, record in found.items() if record is not None}


def _fit(results: Store, root: Path, owner: str, here: Records, there: Records) -> bool:
    """Whether the stages of both sides are of one training, as far as they tell."""
    for stage in here.keys() & there.keys():
        one, other = here[stage], there[stage]
        if (one.key, one.files) != (other.key, other.files):
            return False
    for stage in {**there, **here}:
        side = results if stage in here else Store(root)
        for before, other in {**there, **here}.items():
            used = changes.upstream(side.made_of(owner, stage), before)
            if stage != before and used not in (None, other.key):
                return False
    return True


def _older(results: Store, root: Path, owner: str, here: Records, there: Records) -> bool:
    """Whether all records here are older than those there."""
    newest = max((results.path(owner, one) / store.RECORD).stat().st_mtime for one in here)
    return newest < min((root / owner / one / store.RECORD).stat().st_mtime for one in there)


def _bring(
    root: Path, draft: Path, owner: str, stage: str, record: StageRecord, path: Path
) -> None:
    """Copy the recorded files of a stage into the draft, and hash them there."""
    source, target = root / owner / stage, draft / owner / stage
    extra = [store.RECORD] + [store.MADE_OF] * (source / store.MADE_OF).is_file()
    for name in (*record.files, *extra):
        inner = PurePosixPath(name)
        where = f"{path}: {owner}/{stage}/{name}"
        if inner.is_absolute() or ".." in inner.parts:
            raise DataError(f"{where}: a name that leads out of its stage", hint=_AGAIN)
        # Unlike a path's own, these take any name: too long, or with a NUL.
        if os.path.islink(source / name) or not readers.exists(source / name):  # noqa: PTH114
            raise DataError(f"{where}: missing, though the stage has recorded it", hint=_AGAIN)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)
        with (target / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        wanted = record.key if name == store.MADE_OF else record.files.get(name, found)
        if found != wanted:
            told = f"SHA-256 {found[:12]}…, recorded is {wanted[:12]}…"
            raise DataError(f"{where}: changed: {told}", hint=_AGAIN)


def _provenances(root: Path, records: Sequence[StageRecord], path: Path) -> dict[str, bytes]:
    """What is to be put beside the stages: what their invocations were made of, run and study."""
    files: dict[str, bytes] = {}
    for name in dict.fromkeys(filter(None, (record.provenance for record in records))):
        file = root / PROVENANCES / f"{name}.json"
        try:
            files[f"{PROVENANCES}/{name}.json"] = readers.read_bytes(file)
            same = intact.name_of(readers.read_object(file)) == name
        except DataError:
            same = False
        if not same:
            where = f"{path}: {PROVENANCES}/{name}.json"
            raise DataError(f"{where}: missing or changed, though a stage names it", hint=_AGAIN)
    for name in (RUN, STUDY):
        if readers.exists(root / name):
            files[name] = readers.read_bytes(root / name, hint=_AGAIN)
    return files


def _clear(results: Store, owner: str, coming: Sequence[str]) -> None:
    """Take away the stages of a model that is replaced, so that no two trainings are mixed."""
    here = _stored(results, owner)
    if any(stage in here for stage in coming):
        for stage in here.keys() - set(coming):
            shutil.rmtree(results.path(owner, stage))


def _put_about(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write what is not there yet; a run here keeps its own ``run.json``."""
    for name, content in files.items():
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            store.write_atomic(folder / name, content)
