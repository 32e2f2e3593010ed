"""Where the kit's own files lie: beside the package in a checkout, within it once installed.

A wheel carries ``datasets/``, ``containers/`` and ``reports/reference/`` as ``bench/kit/``
(see ``setup.py``). What a run makes never goes there, but where the user is.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from bench.errors import MachineError

#: The folder that holds ``bench/``.
CODE = Path(__file__).resolve().parents[1]
_WITHIN = Path(__file__).resolve().with_name("kit")
INSTALLED = _WITHIN.is_dir()
#: The folder that holds ``datasets/``, ``containers/`` and ``reports/reference/``.
ROOT = _WITHIN if INSTALLED else CODE


def code_of(kit: Path) -> Path:
    """The folder that holds ``bench/``, for the folder of a kit: in a checkout it is the same."""
    return CODE if kit == ROOT else kit


def reports() -> Path:
    """Where runs are kept unless the user says otherwise."""
    return Path("reports") if INSTALLED else ROOT / "reports"


def cache() -> Path:
    """Where the kit keeps what it can make again: ``BENCH_CACHE``, else ``.cache``."""
    if named := os.environ.get("BENCH_CACHE"):
        return Path(named)
    if not INSTALLED:
        return ROOT / ".cache"
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "bench"
    try:
        return Path.home() / ".cache" / "bench"
    except RuntimeError:  # neither HOME nor an entry in passwd
        return Path(tempfile.gettempdir()) / f"bench-cache-{os.getuid()}"


def commands(hint: str) -> str:
    """A hint with its commands as they are given here: an installed package has no sessions."""
    if not INSTALLED:
        return hint
    hint = re.sub(r"nox -s reproduce\b", "nox -s run", hint)
    return re.sub(r"nox -s ([a-z]+)( --(?= ))?", r"bench \1", hint)


def require_checkout(what: str) -> None:
    """Refuse what only a checkout of the kit can do.

    Raises:
        MachineError: this is an installed package.
    """
    if INSTALLED:
        raise MachineError(
            f"{what} a checkout of the kit, and this bench is an installed package",
            hint="clone the kit's repository, or unpack an archive of it, and use it from there",
        )
