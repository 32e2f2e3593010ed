"""The package's optional parts: which modules each brings, and which stages cannot do without.

``pip install .`` alone plans, reads data, redoes the statistics and reports. What computes
with models or measures code needs an extra, and is refused by name before it starts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator

import bench
from bench.errors import MachineError
from bench.grid.plan import SCORE, PlannedStage

#: Per extra, the modules without which nothing that needs it can start.
MODULES = {
    "train": ("torch", "transformers", "peft", "bitsandbytes"),
    "score": ("tree_sitter", "codebleu", "evaluate", "lizard"),
}
#: Modules that are not called as their distribution is.
_DISTRIBUTIONS = {"pynvml": "nvidia-ml-py", "clr": "pythonnet", "clr_loader": "pythonnet"}
_EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*extra\s*==\s*[\"']([a-z]+)[\"']")


def require(stages: Iterable[PlannedStage]) -> None:
    """Refuse to start stages in this environment where an extra that they need is absent.

    Raises:
        MachineError: which modules are absent, and how to get them.
    """
    needed = dict.fromkeys("score" if stage.stage == SCORE else "train" for stage in stages)
    absent = {extra: missing for extra in needed if (missing := _missing(extra))}
    if absent:
        raise lacking([name for missing in absent.values() for name in missing], absent)


def lacking(modules: Iterable[str], extras: Iterable[str]) -> MachineError:
    """What to tell where some modules of some extras are not installed."""
    named = ",".join(extras)
    return MachineError(
        f"{', '.join(modules)}: not installed",
        hint=f"in the kit's folder: pip install '.[{named}]', which is the extra that brings it",
    )


def of_module(module: str) -> str | None:
    """The extra that brings a module, as the installed kit says; None where none does."""
    wanted = _normal(module.partition(".")[0])
    return next((extra for package, extra in _declared() if package == wanted), None)


def _missing(extra: str) -> list[str]:
    return [name for name in MODULES[extra] if importlib.util.find_spec(name) is None]


def _declared() -> Iterator[tuple[str, str]]:
    """The packages that an extra brings, each with the extra."""
    try:
        lines = importlib.metadata.requires(bench.__name__) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        if found := _EXTRA.match(line):
            yield _normal(found[1]), found[2]


def _normal(name: str) -> str:
    return _DISTRIBUTIONS.get(name, name).lower().replace("_", "-").replace(".", "-")
