"""Systematic defects of outputs, seen from their values: where no correction can be computed.

A model whose outputs lost their first character has values of every tool, but they say
little about the model. Only the restored outputs, scored again, would.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from bench.analysis.audits import repeated_value, unread
from bench.analysis.published.instances import Instances, Package
from bench.analysis.published.papertables import Asked
from bench.analysis.published.printed import Side
from bench.records import Track

#: From this share of outputs that no parser reads on, a defect of the outputs is assumed.
UNREAD_SHARE = 0.2
#: Tools that parse the text, so that a lost character changes what they say. Lizard only
#: looks for what resembles a function, and finds it all the same.
_PARSING = ("codebleu", "pmd", "sonar", "roslyn")

#: Track, size (``3B``) and model.
Place = tuple[Track, str, Side]


class Defects:
    """Which models' outputs on which track look damaged, and why."""

    def __init__(self, package: Package, restored: Collection[tuple[str, Place]]) -> None:
        """Look through the values; ``restored`` (tool and place) are of mended outputs."""
        self._restored = frozenset(restored)
        self._unread: dict[Place, tuple[int, int]] = {}
        self._repeated: dict[Place, tuple[int, float]] = {}
        for one in package.instances:
            place = (one.track, f"{one.size[:-1]}B", (one.method, one.mixture))
            self._look(place, one)

    def _look(self, place: Place, one: Instances) -> None:
        failed = unread(one.tool, one.values)
        if one.tool != "lizard" and failed is not None and np.mean(failed) >= UNREAD_SHARE:
            count = int(failed.sum()), failed.size
            self._unread[place] = max(count, self._unread.get(place, (0, 1)))
        if "codebleu" in one.values and (repeated := repeated_value(one.values["codebleu"])):
            self._repeated[place] = repeated

    def withheld(self, row: Asked) -> str | None:
        """Why a row's corrected values need outputs that the package lacks; None: they do not."""
        if row.column is None or row.column[0] not in _PARSING:
            return None
        places = [(row.track, row.size, side) for side in row.sides]
        if all((row.column[0], place) in self._restored for place in places):
            return None
        told = []
        for place, side in zip(places, row.sides, strict=True):
            name = " ".join(filter(None, side))
            if place in self._unread:
                count, total = self._unread[place]
                told.append(f"{count} of {total} outputs of {name} cannot be parsed")
            elif place in self._repeated:
                count, value = self._repeated[place]
                told.append(f"{count} outputs of {name} score exactly {value:.6g}")
        if not told:
            return None
        return ", ".join(told)

    def damaged(self) -> Mapping[Place, str]:
        """Every place that looks damaged, and how."""
        found = {
            place: f"{count} of {total} unread" for place, (count, total) in self._unread.items()
        }
        for place, (count, value) in self._repeated.items():
            found.setdefault(place, f"{count} equal to {value:.6g}")
        return found
