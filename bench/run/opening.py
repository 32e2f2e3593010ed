"""The folder of an earlier run, in a folder or an archive, and whether it is of this study."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from bench.data import readers
from bench.errors import DataError
from bench.grid.plan import BASE, EMBED, GENERATE, MEASURE, SCORE, TRAIN
from bench.grid.store import PROVENANCES, RUN, STUDY
from bench.grid.study import Study, expand, select
from bench.records import Cell
from bench.run import archives

STAGES = (BASE, TRAIN, MEASURE, GENERATE, EMBED, SCORE)
_OWNER = r"(?P<owner>bases/[^/]+|cells/[^/]+/[^/]+)"
_PART = re.compile(rf"(?P<root>(?:.*?/)?){_OWNER}/(?P<stage>{'|'.join(STAGES)})/.+")
_ABOUT = re.compile(rf"(?:.*/)?(?:{re.escape(RUN)}|{re.escape(STUDY)}|{PROVENANCES}/[^/]+\.json)")


def owners_of(study: Study, cells: Sequence[Cell]) -> set[str]:
    """The models of some cells, and the bases of their sizes."""
    models = {f"cells/{cell.id}/{model.id}" for cell in cells for model in cell.models}
    return models | {f"bases/{cell.size}" for cell in cells}


def open_run(
    path: Path, study: Study, owners: set[str], draft: Path
) -> tuple[Path, dict[str, list[str]]]:
    """The folder of the earlier run, and the finished stages of each model and base in it."""
    if os.path.isdir(path):  # noqa: PTH112 - of any name, too long ones among them
        root = path if not (path / study.name).is_dir() else path / study.name
        names = [one.relative_to(root).as_posix() for one in root.glob("*/**/record.json")]
    elif os.path.lexists(path):
        into = draft / "unpacked"
        into.mkdir()
        unpacked = [str(name) for name in archives.unpack(path, into, lambda n: _is(n, owners))]
        inside = _inside(path, unpacked, study)
        root = into / inside
        names = [name.removeprefix(inside) for name in unpacked if name.startswith(inside)]
    else:
        raise DataError(f"--from {path}: there is no such file or folder", hint="check the path")
    found: dict[str, list[str]] = {}
    for name in names:
        match = _PART.fullmatch(name)
        if match and not match["root"] and match["stage"] not in found.get(match["owner"], ()):
            found.setdefault(match["owner"], []).append(match["stage"])
    if not found:
        raise _no_run(path)
    return root, {owner: sorted(found[owner], key=STAGES.index) for owner in sorted(found)}


def _is(name: PurePosixPath, owners: set[str]) -> bool:
    """Whether a file of an archive is looked at: one of a chosen model, or about the run."""
    match = _PART.fullmatch(str(name))
    return match["owner"] in owners if match else bool(_ABOUT.fullmatch(str(name)))


def _inside(path: Path, names: Sequence[str], study: Study) -> str:
    """Where in an archive the run's folder is: ``""``, ``smoke/``, ``reports/smoke/``."""
    roots = {match["root"] for match in map(_PART.fullmatch, names) if match}
    named = {root for root in roots if PurePosixPath(root).name == study.name}
    chosen = roots if len(roots) == 1 else named
    if not roots:
        raise _no_run(path)
    if len(chosen) != 1:
        listed = ", ".join(sorted(roots))
        raise DataError(
            f"{path}: holds several runs ({listed}), not one of the study {study.name}",
            hint="unpack it and name the folder of one: --from FOLDER",
        )
    return next(iter(chosen))


def _no_run(path: Path) -> DataError:
    return DataError(
        f"{path}: holds no finished stage of a run (bases/… or cells/…)",
        hint="name the folder of a run, for example reports/smoke, or an archive of one",
    )


def check_study(root: Path, path: Path, study: Study) -> None:
    """Raise the error for a run of another study, as far as the run says which it is of."""
    for file, field in ((STUDY, "name"), (RUN, "study")):
        try:
            name = readers.read_object(root / file).get(field)
        except DataError:
            continue
        if isinstance(name, str) and name != study.name:
            raise DataError(
                f"{path}: a run of the study {name}, not of {study.name}",
                hint=f"take it into that study's results: --study {name}",
            )


def check_owners(
    found: Mapping[str, Sequence[str]], path: Path, study: Study, cells: Sequence[Cell]
) -> None:
    """Raise the error for models that the study has not, unless only some cells are taken."""
    grid = expand(study)
    known = owners_of(study, grid)
    for owner in found if len(cells) == len(grid) else ():
        if owner in known:
            continue
        top, name, *model = owner.split("/")
        if top == "cells" and all(cell.id != name for cell in grid):
            select(study, [name])  # names the option that has it, or the nearest cells
        what = f"the model {model[0]} of {name}" if model else f"the base {name}"
        raise DataError(
            f"{path}: holds {what}, which the study {study.name} has not",
            hint="take it into the study that it is of (--study), or only some cells: --cells",
        )
