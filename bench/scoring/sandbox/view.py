"""What a prisoner sees beside the system folders: places at other paths than outside."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """Other places of a prisoner.

    ``shown`` maps paths inside to folders outside, read-only; ``scratch`` are empty and
    writable inside. The system folders come from ``root``: another one where a file system
    was unpacked that brings its own programs.
    """

    root: Path = Path("/")
    shown: tuple[tuple[Path, Path], ...] = ()
    scratch: tuple[Path, ...] = ()

    def places(self) -> list[Path]:
        """Every path inside that has to be made."""
        return [*(inside for inside, _ in self.shown), *self.scratch]

    def arguments(self, scratch_bytes: int) -> list[str]:
        """The arguments for bubblewrap; each scratch folder holds up to ``scratch_bytes``."""
        arguments: list[str] = []
        for inside, outside in self.shown:
            arguments += ["--ro-bind", str(outside), str(inside)]
        for folder in self.scratch:
            arguments += ["--perms", "1777", "--size", str(scratch_bytes), "--tmpfs", str(folder)]
        return arguments
