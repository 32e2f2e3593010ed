"""What the containers of a run can see of this machine, and what of it they may use."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bench.data import rowcache
from bench.data.sources import ROOT, cache_folder
from bench.errors import MachineError
from bench.grid.study import HubBase, Study
from bench.run.container import Surroundings
from bench.scoring import codereval, hubmodels
from bench.scoring.quality import javatools, sonartools
from bench.train import arithmetic

#: Variables with which a user names a file or folder that a metric or suite needs.
_NAMED = (
    codereval.VARIABLE,
    hubmodels.BERT.variable,
    hubmodels.SIDE_VARIABLE,
    javatools.JAR_VARIABLE,
    sonartools.FOLDER_VARIABLE,
)
_HUB_VARIABLE = "HF_HUB_CACHE"


def surroundings(study: Study, mirror: Path | None, *, at_once: int) -> Surroundings:
    """What the containers of so many stages ``at_once`` share, memory and cores in equal parts.

    Readable are the checkout, the kit's cache, the mirror, the hub's cache, local models,
    and what the user's variables name. Keys and addresses of services are not passed on:
    there is no network to use them. Of the cache they may write the packed rows alone, so
    that a corpus is tokenized once and not by each training.

    Raises:
        MachineError: a folder that a user has named holds a file that containers cannot read.
    """
    cache = cache_folder().resolve()
    variables = {"BENCH_CACHE": str(cache), arithmetic.VARIABLE: arithmetic.on_cpu()}
    readable = [ROOT, cache, *([mirror.resolve()] if mirror else [])]
    if (hub := _hub_cache()) is not None:
        readable.append(hub)
        variables[_HUB_VARIABLE] = str(hub)
    named_by_user = list(_local_models(study))
    for variable in _NAMED:
        named = Path(os.environ.get(variable) or os.devnull).resolve()
        if named.is_file() or named.is_dir():
            named_by_user.append(named)
            variables[variable] = str(named)
    for path in named_by_user:
        _require_readable(path)
    readable += named_by_user
    cores = len(os.sched_getaffinity(0))
    return Surroundings(
        [path for path in dict.fromkeys(readable) if path.exists()],
        variables,
        memory_bytes(at_once),
        max(1.0, cores / at_once),
        _rows(cache),
    )


def _rows(cache: Path) -> list[Path]:
    """The folder of the packed rows, made here: a container cannot; none where nobody can."""
    folder = cache / rowcache.FOLDER
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return [folder] if os.access(folder, os.W_OK) else []


def memory_bytes(at_once: int) -> int:
    """What one of so many containers may use of this machine: nine tenths, shared out."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // at_once


def _local_models(study: Study) -> Iterator[Path]:
    """The folders that a study names instead of a repository of the hub."""
    for base in study.sizes:
        if isinstance(base, HubBase) and Path(base.repository).is_dir():
            yield Path(base.repository).resolve()


def _require_readable(path: Path) -> None:
    """Whoever is root has containers run as somebody else; safetensors saves with mode 600."""
    if os.geteuid() != 0:
        return
    for one in filter(Path.exists, (path, *path.rglob("*"))):
        wanted = stat.S_IROTH | (stat.S_IXOTH if one.is_dir() else 0)
        if one.stat().st_mode & wanted != wanted:
            raise MachineError(
                f"{one}: only its owner can read it, and containers run as nobody",
                hint=f"chmod -R o+rX {path}; or use --executor venv",
            )


def _hub_cache() -> Path | None:
    """The hub's own cache, where models that a user has downloaded already may lie."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    return folder.resolve() if folder.is_dir() else None
