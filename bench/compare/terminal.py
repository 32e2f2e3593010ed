"""A comparison as lines of text: what matters first, in 40 lines of 80 columns unless all is asked.

Each verdict stands in words, so that nothing is lost without colours or behind a pipe.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from bench.analysis.contrasts import ALONE, Contrast, Verdict
from bench.compare.compared import Compared
from bench.compare.costs import NOISE, Change, Cost
from bench.compare.differences import ASPECTS
from bench.errors import one_line
from bench.report.labels import NULL, Key, mebibytes, number, p_value, seconds

LINES = 40
#: Rows of verdicts that the short text begins with; fewer where it would grow too long.
_MOST_ROWS = 16
_MOST_FLIPPED = 4
_MOST_NOTES = 2
#: What the short text shows row by row; the others are counted.
_SHOWN = (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS)
_STYLES = {Verdict.WORSE: "red", Verdict.BETTER: "green", Verdict.DIFFERS: "yellow"}
_HEAD = ("Δ", "95 % interval", "p (Holm)", "verdict")
_P = "p (Holm)"


def lines(found: Compared, width: int, *, full: bool = False) -> list[Text]:
    """The whole text, no line longer than ``width``; without ``full`` at most 40 lines."""
    if full:
        return list(_lines(found, width, None))
    for rows in range(_MOST_ROWS, 0, -1):
        text = list(_lines(found, width, rows))
        if len(text) <= LINES:
            return text
    left = len(text) - LINES + 1
    return [*text[: LINES - 1], Text(f"and {left} lines more: --full", style="dim")]


def _lines(found: Compared, width: int, rows: int | None) -> Iterator[Text]:
    full = rows is None
    style = "bold red" if found.exit_code else "bold green"
    yield from _wrapped(headline(found), width, style=style)
    margin = max(map(len, found.heads)) + 2
    for head, name in zip(found.heads, (found.a, found.b), strict=True):
        yield from _wrapped(f"{head:<{margin}}{one_line(name)}", width, indent=" " * margin)
    yield from _differences(found, width, full)
    yield from _table(found, width, rows)
    yield from _equal(found, width) if full else ()
    yield from _flipped(found, width, full)
    yield from _costs(found, width, full)
    yield from _alone(found, width, full)
    yield Text()
    yield from _wrapped(_legend(found, full), width, style="dim")


def headline(found: Compared) -> str:
    """What came of it, in one sentence."""
    counts, total = found.counts, len(found.rows)
    of = "B" if found.heads[1] == "B" else f"The {found.heads[1]}"
    told = [
        f"{counts[verdict]:,} {verdict.value}"
        for verdict in (Verdict.BETTER, Verdict.DIFFERS, Verdict.UNDECIDED, Verdict.SAME)
        if counts[verdict]
    ]
    alone = sum(counts[verdict] for verdict in ALONE)
    told += [f"{alone} in one only"] * bool(alone)
    if counts[Verdict.SAME] == total:
        return f"No difference in any of {total:,} comparisons ({found.problems:,} answers)"
    rest = f" ({', '.join(told)})" if told else ""
    if counts[Verdict.WORSE]:
        return f"{of} is worse in {counts[Verdict.WORSE]:,} of {total:,} comparisons{rest}"
    return f"{of} is worse in none of {total:,} comparisons{rest}"


def _wrapped(text: str, width: int, indent: str = "", style: str = "") -> Iterator[Text]:
    for line in textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False):
        yield Text(line, style=style)


def _listed(items: Sequence[str], width: int) -> str:
    """As many items as fit into a line, and how many do not."""
    for kept in range(len(items), 0, -1):
        left = len(items) - kept
        more = f" and {left} more" if left else ""
        text = ", ".join(items[:kept]) + more
        if len(text) <= width:
            return text
    return text if width < len(more) + 2 else f"{items[0][: width - len(more) - 1]}…{more}"


def _differences(found: Compared, width: int, full: bool) -> Iterator[Text]:
    if found.differences is None:
        return
    by_aspect: dict[str, list[str]] = {}
    for one in found.differences:
        stages = f" ({one.stages} stages)" if full and one.stages else ""
        by_aspect.setdefault(one.aspect, []).append(one_line(one.told) + stages)
    margin = max(map(len, ASPECTS)) + 2
    yield Text()
    for aspect, told in by_aspect.items():
        for place, line in enumerate(told if full else [_listed(told, width - margin)]):
            head = aspect if not place else ""
            yield from _wrapped(f"{head:<{margin}}{line}", width, indent=" " * margin)
    same = [aspect for aspect in ASPECTS if aspect not in by_aspect]
    if same:
        yield from _wrapped(f"{'the same':<{margin}}{', '.join(same)}", width, indent=" " * margin)


def _table(found: Compared, width: int, most: int | None) -> Iterator[Text]:
    """The rows by verdict, what is worse first, under a heading for each model and track.

    ``most`` rows at most, of verdicts that say something; without it all that are not equal.
    """
    order = {verdict: place for place, verdict in enumerate(Verdict)}
    wanted = _SHOWN if most is not None else [one for one in Verdict if one is not Verdict.SAME]
    shown = [row for row in found.rows if row.verdict in wanted]
    shown.sort(key=lambda row: (order[row.verdict], row.p_adj if row.p_adj is not None else 1.0))
    kept = shown[:most]
    if kept:
        yield Text()
        yield from _grid(found, kept, width, full=most is None)
    if len(kept) < len(shown):
        yield Text(f"  and {len(shown) - len(kept)} more: --full", style="dim")


def _grid(found: Compared, rows: Sequence[Contrast], width: int, *, full: bool) -> Iterator[Text]:
    groups: dict[tuple[Verdict, str], list[Contrast]] = {}
    for row in rows:
        groups.setdefault((row.verdict, _group(found, row)), []).append(row)
    head = (*found.heads, *(one for one in _HEAD if full or one != _P))
    cells = [head, *(_cells(found, row, full=full) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = width - sum(one + 2 for one in widths)
    own = max(0, min(room, max(len(_label(row)) + 2 for row in rows)))
    yield Text(f"{'':<{own}}{_line(head, widths)}", style="bold")
    for (verdict, name), members in groups.items():
        yield from _wrapped(name, width, style="italic")
        for row in members:
            label, style = f"  {_label(row)}", _STYLES.get(verdict, "")
            if len(label) > own:  # on a line of its own: no name is cut
                yield Text(label, style=style)
                label = ""
            yield Text(f"{label:<{own}}{_line(_cells(found, row, full=full), widths)}", style=style)
            if full and row.reason:
                yield from _wrapped(f"    {row.reason}", width, indent="    ", style="dim")


def _equal(found: Compared, width: int) -> Iterator[Text]:
    """The metrics without any difference, by model and track."""
    groups: dict[str, list[str]] = {}
    for row in found.rows:
        if row.verdict is Verdict.SAME:
            groups.setdefault(_group(found, row), []).append(_label(row))
    if groups:
        yield Text()
        yield Text("No difference", style="bold")
    for name, labels in groups.items():
        yield from _wrapped(f"  {name}: {', '.join(labels)}", width, indent="    ")


def _group(found: Compared, row: Contrast) -> str:
    suites = {one.place.suite for one in found.rows}
    return f"{row.place.model}, {row.place.track}" + (
        f", {row.place.suite}" if len(suites) > 1 else ""
    )


def _key(row: Contrast) -> Key:
    return Key(row.place.track, row.place.metric)


def _label(row: Contrast) -> str:
    return one_line(_key(row).metric.label)


def _cells(found: Compared, row: Contrast, *, full: bool) -> tuple[str, ...]:
    metric = _key(row).metric
    a, b, diff, low, high = (
        NULL if value is None else metric.show(value, signed=signed)
        for value, signed in (
            (row.a, False),
            (row.b, False),
            (row.diff, True),
            (row.low, True),
            (row.high, True),
        )
    )
    interval = NULL if row.low is None else f"{low} … {high}"
    p = (p_value(row.p_adj),) if full else ()
    return a, b, diff, interval, *p, _verdict(found, row.verdict)


def _verdict(found: Compared, verdict: Verdict) -> str:
    """A verdict in words, with what the sides are called here."""
    if verdict not in ALONE:
        return verdict.value
    return f"only in {found.heads[ALONE.index(verdict)]}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *numbers, verdict = (f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
    return f"{''.join(numbers)}  {verdict.strip()}"


def _flipped(found: Compared, width: int, full: bool) -> Iterator[Text]:
    """The problems that passed in one run alone, those that fail now before the others."""
    flips = [(row, f"fail in {found.heads[1]}", row.lost) for row in found.rows if row.lost]
    flips.sort(key=lambda one: -len(one[2]))
    gained = [(row, f"pass in {found.heads[1]}", row.gained) for row in found.rows if row.gained]
    flips += sorted(gained, key=lambda one: -len(one[2]))
    if not flips:
        return
    lost = sum(len(row.lost) for row in found.rows)
    won = sum(len(row.gained) for row in found.rows)
    a, b = found.heads
    yield Text()
    told = f"Flipped: {lost} pass in {a} alone, {won} in {b}"
    yield from _wrapped(told, width, style="bold")
    for row, mark, ids in flips if full else flips[:_MOST_FLIPPED]:
        names = [one_line(name.partition("@")[0]) for name in ids]
        head = f"  {len(names)} {mark}, {_group(found, row)}: "
        if full:
            yield from _wrapped(head + ", ".join(names), width, indent="    ")
        else:
            yield from _wrapped(head + _listed(names, width - len(head)), width, indent="    ")
    if not full and len(flips) > _MOST_FLIPPED:
        yield Text(f"  and {len(flips) - _MOST_FLIPPED} such lines more: --full", style="dim")


def _costs(found: Compared, width: int, full: bool) -> Iterator[Text]:
    costs = found.costs
    yield Text()
    for row in costs.rows:
        if row.change is not Change.NOISE or full:
            yield from _wrapped(f"Cost {_cost(row)}", width, indent="  ")
    within = [_measured(row) for row in costs.rows if row.change is Change.NOISE]
    if within and not full:
        head = f"Cost within noise (±{number(100 * NOISE, 0)} %): "
        yield from _wrapped(head + _listed(within, width - len(head)), width, indent="  ")
    if costs.why:
        told = f"Cost not compared: {costs.why}" if not costs.rows else f"Cost: {costs.why}"
        yield from _wrapped(told, width, indent="  ")


def _measured(row: Cost) -> str:
    return f"{row.stage} {row.measure.removesuffix(' s').replace('bytes', 'memory')}"


def _cost(row: Cost) -> str:
    a, b = (
        f"{mebibytes(value)} MiB" if row.measure.endswith("bytes") else f"{seconds(value)} s"
        for value in (row.a, row.b)
    )
    change = f"{number(100 * row.ratio, 0, signed=True)} %"
    stages = f"{row.stages} stage{'s' if row.stages > 1 else ''}"
    return f"{row.change.value}: {_measured(row)} {a} → {b} ({change}, {stages})"


def _alone(found: Compared, width: int, full: bool) -> Iterator[Text]:
    for name, places in zip(found.heads, (found.only_a, found.only_b), strict=True):
        if places:
            head = f"Only in {name}: "
            told = ", ".join(places) if full else _listed(places, width - len(head))
            yield from _wrapped(head + told, width, indent="  ")
    alone: dict[str, list[str]] = {}
    for row in found.rows:
        if row.verdict in ALONE:
            alone.setdefault(_verdict(found, row.verdict), []).append(_label(row))
    for where, metrics in alone.items() if not full else ():
        head = f"O{where[1:]}, of metrics: "
        yield Text(head + _listed(list(dict.fromkeys(metrics)), width - len(head)))
    yield from _unpaired(found, width, full)
    for note in found.notes if full else found.notes[:_MOST_NOTES]:
        yield from _wrapped(f"Note: {one_line(note)}", width, indent="  ")
    if not full and len(found.notes) > _MOST_NOTES:
        yield Text(f"  and {len(found.notes) - _MOST_NOTES} notes more: --full", style="dim")


def _unpaired(found: Compared, width: int, full: bool) -> Iterator[Text]:
    """Values of problems that have none on the other side: whatever they are, no test saw them."""
    for head, field in zip(found.heads, ("a_alone", "b_alone"), strict=True):
        told = [
            f"{getattr(row, field)} of {_label(row)} ({_group(found, row)})"
            for row in sorted(found.rows, key=lambda row: -getattr(row, field))
            if getattr(row, field)
        ]
        if told:
            start = f"Values in {head} alone, in no test: "
            listed = ", ".join(told) if full else _listed(told, width - len(start))
            yield from _wrapped(start + listed, width, indent="  ")


def _legend(found: Compared, full: bool) -> str:
    a, b = found.heads
    told = (
        f"Δ is {b} − {a}. Values {found.variant}, over {found.problems:,} answers to the same "
        f"problems. Wilcoxon, pass@1 by McNemar; p after Holm over all {found.tests:,} tests."
    )
    return told if full else f"{told} --full shows all, --json as data."


def joined(text: Iterable[Text]) -> str:
    """The text alone."""
    return "\n".join(line.plain.rstrip() for line in text)
