"""The claims of the paper's abstract, decided on any run or on the published values.

``bench/studies/claims.toml`` says what decides each claim; ``load`` parses it strictly and
``decide`` is a pure function of it, the grid, the per-instance tables and the costs. Each
claim gets a verdict of its own and one per part (a task, a size, or both).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.analysis.claims import evidence
from bench.analysis.claims import rows as claimrows
from bench.analysis.claims.costs import Cost, cost_rows
from bench.analysis.claims.evidence import Evidence, Finding, Ruling
from bench.analysis.claims.file import CLAIMS, Cheaper, Claim, HoldsAgainst, load
from bench.analysis.claims.paired import Scores, Variant
from bench.analysis.claims.rows import Grid
from bench.analysis.comparisons import Tables
from bench.naming import METHOD_LABELS
from bench.records import Cell, Track

__all__ = ["CLAIMS", "Claim", "Cost", "Ruling", "Verdict", "decide", "load"]


CHANCE = "what contradicts it does not survive Holm's adjustment over all parts"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a claim, or of its part in one task, at one size, or both.

    ``id`` is the claim's, with ``/<task>`` and ``/<size>`` behind it for a part. ``label``
    is the claim in few words, ``brief`` its text in half a line, ``reading`` how it was made
    decidable. The rows of a whole claim's ``evidence`` are those of its parts that decide.
    """

    id: str
    claim: str
    label: str
    text: str
    reading: str
    task: str | None
    size: str | None
    verdict: Ruling
    reason: str
    evidence: tuple[Evidence, ...]
    brief: str = ""

    @property
    def whole(self) -> bool:
        """Whether this is a claim as a whole."""
        return self.id == self.claim


def decide(
    claims: Sequence[Claim],
    cells: Sequence[Cell],
    tables: Tables,
    costs: Mapping[str, Mapping[str, Cost]] | None = None,
    *,
    variant: Variant = "corrected",
    seed: int = 42,
    unsound: Mapping[tuple[str, Track], str] | None = None,
) -> tuple[Verdict, ...]:
    """The verdicts: each claim as a whole, followed by its parts.

    ``costs`` by cell id and reading; None where none are known. ``variant`` says which column of a
    metric is read where a table has both. ``unsound`` says by cell and track why its scores
    tell nothing of the model. A claim whose inputs are missing is "not run" with the reason.

    Raises:
        DataError: a table without ids or with an id twice.
    """
    by_place = {(cell.method, cell.size): cell for cell in cells if cell.series == cell.method}
    grid = Grid(Scores(tables, variant, unsound or {}), costs, by_place, _sizes(cells), seed)
    return tuple(itertools.chain.from_iterable(_verdicts(claim, grid) for claim in claims))


def _sizes(cells: Iterable[Cell]) -> tuple[str, ...]:
    """The sizes in ascending order where their names tell it, else in the grid's."""
    names = list(dict.fromkeys(cell.size for cell in cells))
    return tuple(sorted(names, key=lambda name: claimrows.parameters(name) or 0.0))


def _verdicts(claim: Claim, grid: Grid) -> Iterator[Verdict]:
    """A claim as a whole, then its parts."""
    parts = list(_parts(claim, grid))
    rows = tuple(row for part in parts for row in part.evidence if row.decides)
    ruling = evidence.together([finding for _, finding in evidence.settled(rows)])
    reason = _summed(parts, ruling) if parts else f"not run: the grid has {_lacks(claim)}"
    yield _verdict(claim, (), claim.text, ruling, reason, rows)
    yield from parts


def _lacks(claim: Claim) -> str:
    if isinstance(claim, HoldsAgainst | Cheaper):
        return f"no size with {METHOD_LABELS[claim.method]} and {METHOD_LABELS[claim.against]}"
    return "no cell"


def _parts(claim: Claim, grid: Grid) -> Iterator[Verdict]:
    """The parts of a claim that the grid has cells for."""
    if isinstance(claim, Cheaper):
        for size in grid.sizes:
            cells = grid.opponents(claim, size)
            if cells is not None:
                rows = cost_rows(claim, size, cells, grid.costs)
                yield _part(claim, None, size, list(rows))
    elif isinstance(claim, HoldsAgainst):
        for measure, size in itertools.product(claim.measures, grid.sizes):
            cells = grid.opponents(claim, size)
            if cells is not None:
                rows = claimrows.method_rows(measure, size, cells, grid)
                yield _part(claim, measure.task, size, list(rows))
    elif grid.cells:
        for measure in claim.measures:
            rows = claimrows.size_rows(claim, measure, grid)
            yield _part(claim, measure.task, None, list(rows))


def _part(claim: Claim, task: str | None, size: str | None, rows: Sequence[Evidence]) -> Verdict:
    """The verdict of one part, with the reasons of the rows that made it."""
    place = [name for name in (task, size) if name is not None]
    settled = evidence.settled(rows)
    ruling = evidence.together([finding for _, finding in settled])
    reason = _reason(settled, ruling)
    text = f"{claim.text}: {' at '.join(place)}"
    return _verdict(claim, (task, size), text, ruling, reason, rows)


def _verdict(
    claim: Claim,
    place: Sequence[str | None],
    text: str,
    ruling: Ruling,
    reason: str,
    rows: Sequence[Evidence],
) -> Verdict:
    """The verdict of a claim, or at a ``place`` (task and size) that of a part."""
    task, size = place or (None, None)
    return Verdict(
        id="/".join((claim.id, *(name for name in place if name is not None))),
        claim=claim.id,
        label=claim.label,
        text=text,
        reading=claim.reading,
        task=task,
        size=size,
        verdict=ruling,
        reason=reason,
        evidence=tuple(rows),
        brief=claim.brief or claim.text,
    )


def _reason(rows: Sequence[tuple[str, Finding]], ruling: Ruling) -> str:
    """Why findings together have a ruling: the reasons of those that speak for it, once each."""
    telling = [row for row in rows if row[1].ruling is ruling]
    if not telling or ruling is Ruling.INCONCLUSIVE:
        telling = [row for row in rows if row[1].ruling is not Ruling.SUPPORTED]
    places: dict[str, list[str]] = {}
    for place, finding in telling:
        places.setdefault(finding.reason, []).append(place)
    if ruling is Ruling.NOT_RUN:
        return f"not run: {'; '.join(places)}"
    if len(places) == 1 and len(telling) == len(rows):
        return next(iter(places))
    return "; ".join(f"{', '.join(of)}: {why}" for why, of in places.items())


def _summed(parts: Sequence[Verdict], ruling: Ruling) -> str:
    """How many parts have which verdict; those that are not supported are named."""
    counts = Counter(part.verdict for part in parts)
    if counts[ruling] == len(parts) and len({part.reason for part in parts}) == 1:
        return parts[0].reason
    told = [f"{counts[Ruling.SUPPORTED]} of {len(parts)} parts supported"]
    for verdict in (Ruling.CONTRADICTED, Ruling.DEPENDS, Ruling.INCONCLUSIVE, Ruling.NOT_RUN):
        names = [part.id.partition("/")[2] for part in parts if part.verdict is verdict]
        if names:
            told.append(f"{len(names)} {verdict} ({', '.join(names)})")
    if counts[Ruling.CONTRADICTED] and ruling is not Ruling.CONTRADICTED:
        told.append(CHANCE)
    return "; ".join(told)
