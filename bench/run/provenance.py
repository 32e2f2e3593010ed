"""What a run was made of, so that two runs can be told apart or compared.

A run folder is filled by several invocations, over time and perhaps on several machines:
``provenance/<name>.json`` holds what each of them was made of, named by its own digest, and
each stage's record names the one under which it ran. ``run.json`` is the last one,
``study.json`` the study that it ran. They name versions, hashes and hardware; they hold no
environment variable, host name, user or address.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import readers
from bench.errors import DataError
from bench.gpus import gpu_visible
from bench.grid import intact, keys, store
from bench.grid.store import PROVENANCES, RUN
from bench.grid.study import HubBase, Study, canonical
from bench.records import SCHEMA, StageRecord
from bench.run import gpuprobe, software
from bench.run.slots import Slots
from bench.train import arithmetic

#: A file that every repository of the kit tracks.
_TRACKED = "datasets/sources.tsv"


def collect(
    study: Study,
    root: Path,
    *,
    executor: str,
    engine: Mapping[str, str] | None = None,
    images: Mapping[str, Mapping[str, str]] | None = None,
    command: Sequence[str],
    slots: Slots,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """The provenance of an invocation as plain data.

    ``root`` is the kit's folder, ``executor`` how stages are started (``venv`` or
    ``container``, then with the ``engine``'s name and version and the ``images``'
    references and ids by name), ``data`` the digests of what the study reads. What cannot
    be found out is null. ``libraries`` are this process's own where stages share its
    environment, and empty where they do not: see ``complete``.
    """
    return {
        "schema": SCHEMA,
        "study": study.name,
        "study_sha256": keys.digest(canonical(study)),
        "seed": study.seed,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "executor": executor,
        "engine": dict(engine) if engine else None,
        "images": {name: dict(image) for name, image in (images or {}).items()},
        "command": list(command),
        "threads": 1,
        "jobs": slots.jobs,
        "gpus": list(slots.gpus),
        "git": git(root),
        "locks": locks(root),
        "libraries": dict(software.versions()) if executor == "venv" else {},
        "machine": machine(),
        "models": models(study),
        "data": dict(data),
    }


def write(folder: Path, provenance: Mapping[str, Any], study: Study) -> str:
    """Write what an invocation is made of into a run's folder; the name for its records.

    Raises:
        DiskError: the folder cannot be written.
    """
    name = intact.name_of(provenance)
    each = folder / PROVENANCES / f"{name}.json"
    with store.writing(folder):
        each.parent.mkdir(parents=True, exist_ok=True)
        if not each.is_file():
            store.write_atomic(each, _text(provenance))
        store.write_atomic(folder / RUN, _text(intact.sealed(provenance)))
        store.write_atomic(folder / store.STUDY, _text(canonical(study)))
    return name


def complete(folder: Path, records: Iterable[StageRecord]) -> None:
    """Put the libraries that the stages themselves told into ``run.json``.

    Raises:
        DiskError: the folder cannot be written.
    """
    last = read(folder)
    told = software.united(record.software for record in records)
    if last is not None and told:
        with store.writing(folder):
            content = intact.sealed({**last, "libraries": told})
            store.write_atomic(folder / RUN, _text(content))


def read(folder: Path) -> dict[str, Any] | None:
    """A run's last provenance; None where it has none or it is unreadable."""
    try:
        content = readers.read_object(folder / RUN)
    except DataError:
        return None
    whole = intact.unsealed(content) and content.get("schema") == SCHEMA
    return content if whole else None


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()


def locks(root: Path) -> dict[str, str]:
    """The SHA-256 of every lock, by its name."""
    paths = sorted((root / "containers" / "locks").glob("*.txt"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def models(study: Study) -> dict[str, str]:
    """Where each size's base comes from: a pinned revision, or the kit itself."""
    return {
        base.name: f"{base.repository}@{base.revision}"
        if isinstance(base, HubBase)
        else "made by the kit"
        for base in study.sizes
    }


def git(root: Path) -> dict[str, Any] | None:
    """The commit, and whether tracked files differ from it; None outside a checkout.

    A kit from an archive, or an installed one, may lie in somebody else's repository, whose
    commit says nothing of it: one of the kit's own files has to be tracked.
    """
    if _output("git", "-C", str(root), "ls-files", "--error-unmatch", _TRACKED) is None:
        return None
    commit = _output("git", "-C", str(root), "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def machine() -> dict[str, Any]:
    """Processor, memory, kernel and accelerators of this machine.

    ``gpus`` are those that torch can compute on, ``gpus_shown`` the names that ``nvidia-smi``
    shows; on which of them a stage computed, its record says.
    """
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpu_flags": _notable_flags(),
        "cpu_arithmetic": arithmetic.on_cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "="),
        "architecture": platform.machine(),
        "gpus": gpus(),
        "gpus_shown": [one["name"] for one in shown_gpus()],
    }


def gpus() -> list[dict[str, Any]]:
    """Name, memory and driver of each NVIDIA GPU that torch can compute on."""
    found = gpuprobe.here()
    return [
        {"name": one.name, "memory_bytes": one.total_bytes, "driver": found.driver}
        for one in found.usable
    ]


def shown_gpus() -> list[dict[str, Any]]:
    """Name, memory and driver of each NVIDIA GPU, as the driver's own tool tells it."""
    if not gpu_visible():
        return []
    query = "--query-gpu=name,memory.total,driver_version"
    told = _output("nvidia-smi", query, "--format=csv,noheader,nounits") or ""
    found = []
    for line in told.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3:
            name, memory_mib, driver = parts
            memory_bytes = int(memory_mib) * 2**20 if memory_mib.isdigit() else None
            found.append({"name": name, "memory_bytes": memory_bytes, "driver": driver})
    return found


def _notable_flags() -> list[str]:
    """The processor's abilities that choose the kernels, and so the last bits, of torch."""
    flags = (_field("/proc/cpuinfo", "flags") or "").split()
    return [flag for flag in flags if flag.startswith(("avx", "amx", "fma"))]


def _field(path: str, name: str, separator: str = ":") -> str | None:
    """The first value of a ``name: value`` line of a system file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return None


def _output(*command: str) -> str | None:
    """What a program prints; None where it is absent, hangs or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
