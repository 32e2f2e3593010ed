"""Does a run folder still hold what it says? Every file, key and provenance, hashed again.

What lies in the folder is compared with its own records here, and with the checkout, the
data and the images of this machine in ``bench.run.checkout``. A folder from anywhere may
be broken in any way: each fault is told with its place and the next step, none is raised.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydantic

from bench.data import readers
from bench.errors import BenchError, DataError
from bench.grid import intact, keys, store
from bench.grid.store import MADE_OF, PROVENANCES, RECORD, RUN, STUDY, Store
from bench.grid.study import Study
from bench.records import Outcome
from bench.run import checkout
from bench.run.findings import Finding, Stored, grouped, unchecked

#: What stands in a run folder beside the stages.
_KNOWN = {RUN, PROVENANCES, STUDY, store.RESULTS, store.STATISTICS, store.CLAIMS}
_KNOWN |= {store.MARKDOWN, store.HTML, "bases", "cells", ".lock"}
_ELSEWHERE = "move it elsewhere"


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """What was hashed, what does not match, and what could not be checked here."""

    stages: int
    files: int
    bytes: int
    wrong: tuple[Finding, ...]
    unchecked: tuple[Finding, ...]


def verify(
    folder: Path,
    root: Path,
    *,
    study: Study | None = None,
    mirror: Path | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Check a run folder against its records, and against the kit in ``root``.

    ``study`` is the one to compare with; without it the checkout's of the same name.
    ``mirror`` is a folder with the public data.

    Raises:
        BenchError: not a run folder.
    """
    if not any((folder / name).exists() for name in (RUN, "bases", "cells")):
        raise BenchError(
            f"{folder} is no run: it holds neither {RUN} nor stages",
            hint="name the folder of a run, for example reports/smoke",
        )
    found = [*_foreign(folder)]
    stages, files, size = [], 0, 0
    for stored in _stages(Store(folder)):
        on_stage(stored.id)
        found += _stage(stored)
        if stored.record is not None and stored.stage in keys.ENTRIES:
            stages.append(stored)
            files += len(stored.record.files)
            size += sum(_bytes(stored.folder / name) for name in stored.record.files)
    own = _own_study(folder)
    found += [
        *_built_on(stages),
        *_taken(stages),
        *_provenances(folder, stages),
        *_study(folder, own),
    ]
    found += checkout.compare(stages, folder, root, own, study, mirror)
    wrong = grouped([one for one in found if one.next is not None])
    return Verification(
        len(stages), files, size, wrong, grouped([one for one in found if one.next is None])
    )


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _foreign(folder: Path) -> Iterator[Finding]:
    """What is in the folder and belongs to no run."""
    for path in sorted(folder.iterdir()):
        if path.name not in _KNOWN:
            yield unchecked(path.name, "it is no part of a run")


def _stages(run: Store) -> Iterator[Stored]:
    """Every finished stage of a run folder, whether its record can be read or not."""
    for pattern in ("bases/*/*", "cells/*/*/*"):
        for path in sorted(run.folder.glob(pattern)):
            owner = path.parent.relative_to(run.folder).as_posix()
            record, made = store.read_record(path), run.made_of(owner, path.name)
            yield Stored(owner, path.name, path, record, made)


def _stage(stored: Stored) -> Iterator[Finding]:
    """One stage's folder against its record."""
    where, folder, record = stored.id, stored.folder, stored.record
    again = intact.AGAIN.format(folder=folder)
    if folder.name.endswith((".partial", ".replaced")):
        yield unchecked(where, "work that failed or was stopped; the next run takes it up")
        return
    if folder.name not in keys.ENTRIES or not folder.is_dir():
        yield Finding(where, "is no stage of a run", _ELSEWHERE)
        return
    if record is None:
        told = f"{RECORD} is missing, truncated, altered or of another version"
        yield Finding(where, told, again)
        return
    if record.stage != folder.name or record.outcome is not Outcome.OK:
        told = f"{RECORD} is of a stage {record.stage} that ended as {record.outcome}"
        yield Finding(where, told, again)
    if stored.made_of is None:
        yield Finding(where, f"{MADE_OF} is missing: nothing says what its key is made of", again)
    elif stored.ingredients is None:
        yield Finding(where, f"{MADE_OF} is not what the record's key is the SHA-256 of", again)
    for name, told in intact.wrong(folder, record):
        unknown = name not in record.files
        yield Finding(f"{where}/{name}", told, _ELSEWHERE if unknown else again)


def _built_on(stages: Sequence[Stored]) -> Iterator[Finding]:
    """What each stage says it was made from, against the stages that lie there."""
    present = {(stored.owner, stored.stage): stored.key for stored in stages}
    bases = {key for (_, stage), key in present.items() if stage == "base"}
    for stored in stages:
        made = stored.ingredients
        for name, key in made["upstream"].items() if made else ():
            there = {present[place]} if (place := (stored.owner, name)) in present else set()
            if name == "base" and not there:
                there = bases
            if not there:
                yield unchecked(stored.id, f"the {name} that it builds on is not in this run")
            elif key not in there:
                yield Finding(
                    stored.id,
                    f"it was made from another {name} than the one that lies beside it",
                    intact.AGAIN.format(folder=stored.folder),
                )


def _taken(stages: Sequence[Stored]) -> Iterator[Finding]:
    """The digests of what each stage was built on, against what lies there now."""
    present = {(one.owner, one.stage): one.record for one in stages if one.record}
    for (owner, stage), record in present.items():
        earlier = {
            name: present[owner, name] for name in intact.TAKEN[stage] if (owner, name) in present
        }
        anew = intact.made_anew(record, earlier)
        if anew is not None:
            yield Finding(
                f"{owner}/{stage}",
                f"the {anew} beside it holds other files than those that it was built on",
                intact.AGAIN.format(folder=f"{owner}/{stage}"),
            )


def _provenances(folder: Path, stages: Sequence[Stored]) -> Iterator[Finding]:
    """The provenance that each record names, by its digest, and that of the last command."""
    elsewhere = "copy it from where the run was made, or make the stages that name it anew"
    kept = {}
    for path in sorted((folder / PROVENANCES).glob("*")):
        content = _object(path)
        if content is None or path.name != f"{intact.name_of(content)}.json":
            told = "its content is not what its name is the digest of"
            yield Finding(f"{PROVENANCES}/{path.name}", told, elsewhere)
        else:
            kept[path.stem] = content
    for stored in stages:
        name = stored.record.provenance if stored.record else None
        if name is None:
            yield unchecked(stored.id, "its record names no provenance")
        elif name not in kept:
            told = f"its record names {PROVENANCES}/{name}.json, which is not here or not whole"
            yield Finding(stored.id, told, "copy that file from where the stage was made")
    last = _object(folder / RUN)
    last_one = f"put the last of {PROVENANCES}/*.json in its place"
    if last is None:
        yield Finding(RUN, "is missing or no JSON object", last_one)
    elif not intact.unsealed(last):
        yield Finding(RUN, "its content is not what it carries the SHA-256 of", last_one)
    elif kept and not any(intact.same_invocation(last, one) for one in kept.values()):
        yield Finding(RUN, f"is none of the files in {PROVENANCES}/", last_one)


def _object(path: Path) -> dict[str, Any] | None:
    try:
        return readers.read_object(path)
    except DataError:
        return None


def _own_study(folder: Path) -> Study | None:
    """The study as it was run, which the run keeps."""
    try:
        return Study.model_validate(readers.read_object(folder / STUDY))
    except (DataError, pydantic.ValidationError):
        return None


def _study(folder: Path, own: Study | None) -> Iterator[Finding]:
    """The kept study against the digest in ``run.json``."""
    content, last = _object(folder / STUDY), _object(folder / RUN)
    elsewhere = "copy it from where the run was made, or name its file: --study FILE"
    if content is None or own is None:
        yield Finding(STUDY, "is missing or is no study", elsewhere)
    elif last is not None and keys.digest(content) != last.get("study_sha256"):
        yield Finding(STUDY, f"its content is not what {RUN} names by its SHA-256", elsewhere)
