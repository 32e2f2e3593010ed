"""The published statistical analysis redone: every row as published, then corrected.

The corrected analysis mends one class of error after another, so that a verdict that
flips can be told together with what flipped it:

1. the files of the row's own track, where another track's were read;
2. problems paired by id, where they were paired by position;
3. outputs that an analyser could not read have no value (their pairs are left out), and
   empty outputs no similarity;
4. outputs restored and scored again where they are at hand. Where they are not and the
   values show a systematic defect, the corrected row has no verdict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from bench.analysis import statistics
from bench.analysis.comparisons import SIGNIFICANCE
from bench.analysis.published import inputs
from bench.analysis.published.defects import Defects
from bench.analysis.published.families import adjusted, adjustment
from bench.analysis.published.inputs import Choice, Columns, Lacking, Pairing, Values
from bench.analysis.published.instances import Package
from bench.analysis.published.papertables import Asked, PaperTable
from bench.analysis.published.printed import agrees, number
from bench.analysis.published.verdicts import Counts, Flip, Reanalysis, Row, Status, Turn


@dataclasses.dataclass(frozen=True, slots=True)
class _Tested:
    """One row under one reading: its columns' sizes, effect and p-values.

    ``lacking``: rows of its family whose inputs are missing.
    """

    effect: float | None = None
    p: float | None = None
    p_adj: float | None = None
    reason: str | None = None
    pairs: int = 0
    unpaired: int = 0
    excluded: int = 0
    lacking: int = 0

    @property
    def verdict(self) -> str:
        """``NA``, ``not significant``, or which side is higher."""
        if self.p_adj is None or self.effect is None:
            return "NA"
        if self.p_adj >= SIGNIFICANCE:
            return "not significant"
        return "a higher" if self.effect > 0 else "b higher"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A reading of the inputs: ``name`` says what it mends of the one before."""

    name: str
    own_files: bool
    by_id: bool
    mended: bool
    restored: bool = False


_PUBLISHED = Step("as published", own_files=False, by_id=False, mended=False)
#: How the note of a row begins whose corrected values need outputs.
NOT_COMPUTED = "corrected: not computed"
#: The corrections, each on top of those before it.
STEPS = (
    Step("read from its own track's files", own_files=True, by_id=False, mended=False),
    Step("paired by id", own_files=True, by_id=True, mended=False),
    Step("unreadable and empty outputs not counted", own_files=True, by_id=True, mended=True),
    Step("outputs restored", own_files=True, by_id=True, mended=True, restored=True),
)


def reanalyse(
    package: Package, tables: Sequence[PaperTable], restored: Values | None = None
) -> Reanalysis:
    """Recompute the rows of some tables from a package's per-instance values.

    ``restored``: values of outputs that were restored and scored again.
    """
    values = Values(package)
    choices = inputs.choices(tables, values)
    defects = Defects(package, set() if restored is None else restored.places())
    engine = _Engine(values, restored)
    found = [
        done
        for table, choice in zip(tables, choices, strict=True)
        for done in _table(engine, table, choice, defects)
    ]
    return Reanalysis(
        rows=tuple(done.row for done in found),
        flips=tuple(done.flip for done in found if done.flip is not None),
        withheld=tuple(done.row for done in found if done.withheld),
        counts=tuple((done.row, done.counts) for done in found if done.counts is not None),
        tables=tuple(tables),
        choices=tuple(choices),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Done:
    """What a row gave."""

    row: Row
    flip: Flip | None
    withheld: bool
    counts: Counts | None


@dataclasses.dataclass(frozen=True, slots=True)
class _Engine:
    """Tests rows under a reading; the same columns are tested once."""

    values: Values
    restored: Values | None
    done: dict[tuple[bool, bytes, bytes], _Tested] = dataclasses.field(default_factory=dict)

    def family(
        self, members: Sequence[Asked], choice: Choice, step: Step, adjust: str
    ) -> list[_Tested]:
        """The rows of one family with their adjusted p-values."""
        tested = [self.row(row, choice, step) for row in members]
        printed = [row.printed.p_adj if row.printed else None for row in members]
        missing = [one.pairs == 0 for one in tested]
        p_values = adjusted([one.p for one in tested], adjust, missing, printed)
        return [
            dataclasses.replace(one, p_adj=p, lacking=sum(missing))
            for one, p in zip(tested, p_values, strict=True)
        ]

    def row(self, row: Asked, choice: Choice, step: Step) -> _Tested:
        """One row, unadjusted."""
        track = row.track if step.own_files else choice.track(row)
        pairing: Pairing = "id" if step.by_id else choice.pairing
        source = self.values
        if step.restored and self.restored is not None:
            both = [self.restored.file(row, side, track) for side in row.sides]
            source = self.restored if all(both) else self.values
        mended = step.mended and source is self.values
        columns = source.columns(row, track, pairing, mended=mended)
        if isinstance(columns, Lacking):
            return _Tested(reason=columns.reason)
        key = (row.metric.startswith("pass@"), columns.a.tobytes(), columns.b.tobytes())
        if key not in self.done:
            self.done[key] = _tested(row, columns)
        return dataclasses.replace(
            self.done[key], unpaired=columns.unpaired, excluded=columns.excluded
        )


def _tested(row: Asked, columns: Columns) -> _Tested:
    result = inputs.test(row, columns)
    effect = inputs.effect(row, columns)
    return _Tested(effect, result.p, None, result.reason, columns.a.size)


def _table(engine: _Engine, table: PaperTable, choice: Choice, defects: Defects) -> Iterator[_Done]:
    """Every row of a table."""
    tested = {
        method: [engine.family(members, choice, _PUBLISHED, method) for members in table.families()]
        for method in statistics.ADJUSTMENTS
    }
    adjust = adjustment(
        table,
        {
            method: [one.p_adj for family in families for one in family]
            for method, families in tested.items()
        },
    )
    for members, published in zip(table.families(), tested[adjust], strict=True):
        steps = [engine.family(members, choice, step, adjust) for step in STEPS]
        for place, (asked, before) in enumerate(zip(members, published, strict=True)):
            readings = [family[place] for family in steps]
            withheld = defects.withheld(asked)
            row = _row(table, choice, asked, adjust, before, readings[-1], withheld)
            turns = _turns(asked, before, readings[:-2] if withheld else readings)
            flip = Flip(row, turns, withheld is not None) if turns else None
            if flip is not None and flip.lasting and not withheld:
                told = f"verdict flips from {flip.before!r} to {flip.after!r}: {turns[-1].why}"
                row = dataclasses.replace(row, note="; ".join(filter(None, (row.note, told))))
                flip = dataclasses.replace(flip, row=row)
            counts = _counts(engine.values, asked, choice)
            yield _Done(row, flip, withheld is not None, counts)


def _counts(values: Values, asked: Asked, choice: Choice) -> Counts | None:
    """The discordant counts of a pass@1 row whose inputs are there."""
    if not asked.metric.startswith("pass@"):
        return None
    columns = values.columns(asked, asked.track, choice.pairing)
    by_id = values.columns(asked, asked.track, "id")
    if isinstance(columns, Lacking) or isinstance(by_id, Lacking):
        return None
    return Counts(
        statistics.discordant(columns.a, columns.b),
        statistics.discordant(by_id.a, by_id.b),
        columns.a.size,
    )


def _turns(asked: Asked, before: _Tested, readings: Sequence[_Tested]) -> tuple[Turn, ...]:
    """The corrections that turned a row's verdict, each against the one before it."""
    turns, previous = [], before
    for step, reading in zip(STEPS, readings, strict=False):
        if before.pairs and reading.verdict != previous.verdict:
            own = (reading.p, reading.effect) != (previous.p, previous.effect)
            turns.append(Turn(step.name, _named(asked, previous), _named(asked, reading), own))
        previous = reading
    return tuple(turns)


def _named(asked: Asked, tested: _Tested) -> str:
    """A verdict with the side's name in it."""
    sides = asked.comparison.split(" vs ")
    return {"a higher": f"{sides[0]} higher", "b higher": f"{sides[-1]} higher"}.get(
        tested.verdict, tested.verdict
    )


def _row(
    table: PaperTable,
    choice: Choice,
    asked: Asked,
    adjust: str,
    published: _Tested,
    corrected: _Tested,
    withheld: str | None,
) -> Row:
    printed = asked.printed
    return Row(
        rq=table.rq,
        task=asked.track.task,
        language=asked.track.language,
        size=asked.size,
        comparison=asked.comparison,
        metric=asked.metric,
        adjust=adjust,
        p_adj=published.p_adj,
        effect=published.effect,
        printed_p_adj=number(printed.p_adj) if printed else None,
        printed_effect=number(printed.effect) if printed else None,
        status=_status(asked, published),
        corrected_p_adj=None if withheld else corrected.p_adj,
        corrected_effect=None if withheld else corrected.effect,
        note="; ".join(_notes(table, choice, asked, published, corrected, withheld)),
    )


def _status(asked: Asked, published: _Tested) -> Status:
    if not published.pairs:
        return "inputs missing"
    if asked.printed is None:
        return "printed value missing"
    same = agrees(published.p_adj, asked.printed.p_adj)
    return "equal" if same and agrees(published.effect, asked.printed.effect) else "differs"


def _notes(
    table: PaperTable,
    choice: Choice,
    asked: Asked,
    published: _Tested,
    corrected: _Tested,
    withheld: str | None,
) -> Iterator[str]:
    """What a reader must know of a row."""
    track = choice.track(asked)
    if published.reason:
        yield published.reason
    elif published.p is not None and published.p_adj is None:
        yield f"p = {published.p:.4g} unadjusted: inputs of other rows of its family are missing"
    elif published.p_adj is not None and published.lacking:
        yield f"p completed with the printed ones of {published.lacking} rows without inputs"
    if track != asked.track:
        told = "computed from" if table.result else "as its printed sister table, read from"
        yield f"published: {told} the files of {track}"
    if withheld:
        yield f"{NOT_COMPUTED}: {withheld}"
        return
    if not corrected.pairs:
        return
    if corrected.unpaired:
        yield f"corrected: {corrected.unpaired} ids without a partner left out"
    if corrected.excluded:
        total = corrected.excluded + corrected.pairs
        yield f"corrected: {corrected.excluded} of {total} pairs without a value left out"
    if corrected.reason and corrected.reason != published.reason:
        yield f"corrected: {corrected.reason}"
