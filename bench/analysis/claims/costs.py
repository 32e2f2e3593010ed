"""The rows of a claim on costs: each quantity under each setting that was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bench.analysis.claims import evidence
from bench.analysis.claims.evidence import READINGS, Evidence, Finding, Ruling
from bench.analysis.claims.file import Cheaper, Quantity
from bench.records import Cell

NO_COSTS = "no GPU, time or memory figure is published anywhere"
ARTIFACT = "artifact_bytes"
#: What each quantity is measured as: where a GPU computed, and where none did.
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "time": ("wall_s_per_mtoken", "cpu_s_per_mtoken"),
    "energy": ("energy_j_per_mtoken", "energy_j_per_mtoken"),
    "memory": ("peak_device_bytes", "peak_rss_bytes"),
    "artifact": (ARTIFACT, ARTIFACT),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What training a cell costs under one setting: rates of its steady steps, highest peaks.

    Seconds and joules are those of a million real tokens. ``setting`` says what they hold for,
    with a word on figures that are bound by launches; ``lacks`` why a quantity is not known
    (by its name; under ``""`` for all of them).
    """

    wall_s_per_mtoken: float | None = None
    cpu_s_per_mtoken: float | None = None
    energy_j_per_mtoken: float | None = None
    peak_rss_bytes: float | None = None
    peak_device_bytes: float | None = None
    artifact_bytes: float | None = None
    setting: str = ""
    lacks: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def why(self, quantity: str) -> str | None:
        """Why a quantity is not known, where that is told."""
        return self.lacks.get(quantity) or self.lacks.get("")


def cost_rows(
    claim: Cheaper,
    size: str,
    cells: tuple[Cell, Cell],
    costs: Mapping[str, Mapping[str, Cost]] | None,
) -> Iterator[Evidence]:
    """A row per quantity and setting; what is kept on disk does not depend on the setting.

    Seconds and memory are the GPU's where all that was measured used one. Without a GPU energy
    cannot be measured, and does not decide.
    """
    known = [(costs or {}).get(cell.id, {}) for cell in cells]
    measured = [cost for by_reading in known for cost in by_reading.values() if not cost.why("")]
    gpu = bool(measured) and all(cost.peak_device_bytes is not None for cost in measured)
    for quantity in claim.quantities:
        readings = [None] if quantity.name == "artifact" else list(READINGS)
        for reading in readings:
            column = _COLUMNS[quantity.name][0 if gpu else 1]
            found = {
                cell.id: _of(by_reading, reading)
                for cell, by_reading in zip(cells, known, strict=True)
            }
            row = _row(quantity, size, column, found, published=costs is None)
            decides = quantity.name != "energy" or gpu or costs is None
            yield dataclasses.replace(row, reading=reading, decides=decides)


def _of(by_reading: Mapping[str, Cost], reading: str | None) -> Cost:
    """The cost under a reading; what depends on none is told by the first."""
    if reading is None:
        return next(iter(by_reading.values()), Cost())
    return by_reading.get(reading, Cost())


def _row(
    quantity: Quantity, size: str, column: str, found: Mapping[str, Cost], *, published: bool
) -> Evidence:
    costs = {name: getattr(cost, column) for name, cost in found.items()}
    values = {name: float(cost) for name, cost in costs.items() if cost is not None}
    ratio = None
    if published:
        finding = Finding(Ruling.NOT_RUN, NO_COSTS)
    elif len(values) < len(costs):
        finding = Finding(Ruling.NOT_RUN, _lacking(quantity, values, found))
    else:
        value, other = values.values()
        finding = evidence.cheaper(value, other, quantity.tolerance)
        ratio = value / other - 1 if other > 0 else None
        settings = dict.fromkeys(cost.setting for cost in found.values() if cost.setting)
        if settings and column != ARTIFACT:
            told = f"{finding.reason} ({' against '.join(settings)})"
            finding = dataclasses.replace(finding, reason=told)
    return Evidence(
        task=None,
        language=None,
        size=size,
        metric=column,
        cells=tuple(costs),
        values=values,
        difference=ratio,
        low=None,
        high=None,
        limit=quantity.tolerance,
        n=0,
        lost=0,
        decides=True,
        finding=finding,
    )


def _lacking(quantity: Quantity, values: Mapping[str, float], found: Mapping[str, Cost]) -> str:
    """Which cells lack a value, and why: a reason that all of them share stands alone."""
    lacking = [name for name in found if name not in values]
    reasons = list(dict.fromkeys(found[name].why(quantity.name) or "" for name in lacking))
    told = f"{quantity.name} of {', '.join(lacking)} is not measured"
    return told + (f" ({'; '.join(filter(None, reasons))})" if any(reasons) else "")
