"""``run.json``: what a run was made of, so that two runs can be told apart or compared.

It names versions, hashes and hardware. It holds no environment variable, host name, user
or address.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.grid import keys, store
from bench.grid.study import Study, canonical
from bench.records import SCHEMA

FILE = "run.json"
#: The libraries whose versions can change a figure.
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


def collect(
    study: Study,
    root: Path,
    *,
    engine: str,
    command: Sequence[str],
    threads: int,
    jobs: int,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """The provenance of a run as plain data.

    ``root`` is the kit's folder, ``engine`` how stages are started (``venv``), ``data``
    the digests of what the study reads. What cannot be found out is null.
    """
    return {
        "schema": SCHEMA,
        "study": study.name,
        "study_sha256": keys.digest(canonical(study)),
        "seed": study.seed,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "engine": engine,
        "command": list(command),
        "threads": threads,
        "jobs": jobs,
        "git": git(root),
        "environment": keys.environment(root),
        "libraries": libraries(LIBRARIES),
        "machine": machine(),
        "data": dict(data),
    }


def write(folder: Path, provenance: Mapping[str, Any]) -> Path:
    """Write ``run.json`` into a run's folder, whole or not at all.

    Raises:
        DiskError: the folder cannot be written.
    """
    path = folder / FILE
    with store.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        store.write_atomic(path, json.dumps(provenance, indent=1).encode())
    return path


def read(folder: Path) -> dict[str, Any] | None:
    """A run's provenance; None where it has none or it is unreadable."""
    try:
        content = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None


def git(root: Path) -> dict[str, Any] | None:
    """The commit, and whether tracked files differ from it; None outside a checkout."""
    commit = _output("git", "-C", str(root), "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def libraries(names: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each library, None for an absent one."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """Processor, memory, kernel and accelerators of this machine."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpu_flags": _notable_flags(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "="),
        "architecture": platform.machine(),
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, Any]]:
    """Name, memory and driver of each NVIDIA GPU, as the driver's own tool tells it."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = "--query-gpu=name,memory.total,driver_version"
    told = _output("nvidia-smi", query, "--format=csv,noheader,nounits") or ""
    found = []
    for line in told.splitlines():
        name, memory_mib, driver = (part.strip() for part in line.split(","))
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
