"""The adjustment of a printed table: which one it was, and of families that lack inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis import statistics
from bench.analysis.published.papertables import DEFAULT_ADJUSTMENT, PaperTable
from bench.analysis.published.printed import agrees


def adjustment(table: PaperTable, p_values: Mapping[str, Sequence[float | None]]) -> str:
    """The adjustment that a table was printed with.

    The file's name says it; else the one that gives more of its printed values, whatever
    its note states. ``p_values``: per adjustment, the adjusted p of the table's rows.
    """
    if table.result is None:
        return DEFAULT_ADJUSTMENT
    if table.result.named is not None:
        return table.result.named
    rows = [row for family in table.families() for row in family]
    score = {
        method: sum(
            row.printed is not None and agrees(p, row.printed.p_adj)
            for row, p in zip(rows, values, strict=True)
        )
        for method, values in p_values.items()
    }
    return max(
        score,
        key=lambda method: (
            score[method],
            method == table.result.noted if table.result else False,
            method == DEFAULT_ADJUSTMENT,
        ),
    )


def adjusted(
    p_values: Sequence[float | None],
    method: str,
    missing: Sequence[bool],
    printed: Sequence[str | None],
) -> list[float | None]:
    """One family adjusted, also where the inputs of some rows are ``missing``.

    The missing rows' p-values are recovered from their printed adjusted ones; where these
    are unknown the family cannot be adjusted, and every row is None.
    """
    known = [text for text, absent in zip(printed, missing, strict=True) if absent]
    if any(text is None for text in known):
        return [None] * len(p_values)
    if not known:
        return statistics.ADJUSTMENTS[method](p_values)
    values = [float(text) if text not in (None, "NA", "NaN") else None for text in printed]
    family = sorted(value for value in values if value is not None)
    completed = [
        _unadjusted(value, family, method) if absent else p
        for p, value, absent in zip(p_values, values, missing, strict=True)
    ]
    found = statistics.ADJUSTMENTS[method](completed)
    return [None if absent else p for p, absent in zip(found, missing, strict=True)]


def _unadjusted(value: float | None, family: Sequence[float], method: str) -> float | None:
    """A p-value that the adjustment of a whole family turns into ``value``.

    Of those that it may have been, the one that gives all other rows their printed values.
    """
    if value is None or value >= 1:
        return value
    if method == "holm":
        return value / (len(family) - sum(other < value for other in family))
    return value * sum(other <= value for other in family) / len(family)
