"""The published aggregates beside a run's own: ``reports/reference/published.csv``.

They are set side by side only where the size's base model and the suite are those of the
study. For other sizes they stand in tables of their own, as what they are: other models on
other data.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import places
from bench.data import readers
from bench.errors import DataError
from bench.grid.study import HubBase, Study
from bench.records import METHODS, TRACKS, Track
from bench.report.document import Cell, Column, Group, Row, Section, Table
from bench.report.labels import LABELS, NULL, Key, track_title
from bench.report.scoreboard import Scores

PATH = places.ROOT / "reports" / "reference" / "published.csv"
#: The suites that the published values are of.
SUITES = {
    "generation": "codereval",
    "summarization": "codereval",
    "translation": "codexglue-trans",
}
#: The family of base models behind the published values.
FAMILY = "Qwen2.5-Coder"
VARIANT = "published"

TITLE = "Published figures"
NO_COSTS = "No GPU, time or memory figure is published anywhere."
BESIDE = (
    "The published means beside ours, where base model and evaluation set are the same. n: the "
    "problems behind the published mean."
)
APART = (
    "The published means of all sizes, of the metrics that this run has, too. They are of other "
    "models and other data than this run's: what the paper reports, and no yardstick for it."
)
APART_TOO = (
    "The published means of all sizes. This run's other sizes have no counterpart among them: "
    "those are other models."
)
BESIDE_CAPTION = "Ours, variant published: computed as the paper's scripts do; ours: corrected."
CAPTION = "Variant published: the values of the paper's package, computed by its scripts."


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """A published mean over ``n`` problems; ``key`` has no variant."""

    key: Key
    size: str
    method: str
    n: int
    mean: float


_COLUMNS = ("task", "language", "size", "method", "metric", "n", "mean")


@functools.cache
def load(path: Path = PATH) -> tuple[Published, ...]:
    """The published means of the grid's methods.

    Raises:
        DataError: the file is absent, or a row of it cannot be read.
    """
    hint = "take the file from the repository again, or write it: bench reanalyse --write-reference"
    table = readers.read_rows(path, _COLUMNS, comment="#", hint=hint)
    found = []
    for place, row in enumerate(table, 1):
        try:
            if row["method"] in METHODS:
                key = Key.parse(f"{row['task']}/{row['language']}/{row['metric']}")
                found.append(
                    Published(
                        dataclasses.replace(key, variant=""),
                        row["size"],
                        row["method"],
                        int(row["n"]),
                        float(row["mean"]),
                    )
                )
        except (KeyError, TypeError, ValueError) as error:
            told = f"{path}: row {place} cannot be read ({error!r})"
            raise DataError(told, hint=hint) from None
    return tuple(found)


def of_study(scores: Scores, study: Study, path: Path = PATH) -> Section:
    """The section of a run's report; without the file it says so."""
    try:
        published = load(path)
    except DataError as error:
        return Section(TITLE, (f"Not shown: {error.problem}. Next: {error.hint}.",))
    return section(scores, study, published)


def section(scores: Scores, study: Study, published: Sequence[Published]) -> Section:
    """The published means of every metric that the run has, too."""
    common = [value for value in published if _ours(scores, value.key)]
    same = {value.size for value in common} & _same_models(study)
    tracks = [track for track in TRACKS if _is_published(track, scores, study)]
    beside = [value for value in common if value.size in same and value.key.track in tracks]
    others = [size for size in scores.sizes if size not in {value.size for value in beside}]
    text, tables = [], []
    if beside:
        text.append(BESIDE)
        tables += [table for track in tracks for table in _beside(scores, track, beside)]
    if common and others:
        text.append(APART_TOO if beside else APART)
        tables += [_principal(common), *_apart(common)]
    if not common:
        text.append("This run has no metric that published values are known of.")
    return Section(TITLE, tuple(text), tuple(tables))


def _ours(scores: Scores, key: Key) -> list[Key]:
    """Our keys of a published metric: the published variant, then the corrected one."""
    keys = (dataclasses.replace(key, variant=VARIANT), key)
    return [ours for ours in keys if ours in scores.keys]


def _same_models(study: Study) -> set[str]:
    """The sizes whose base is of the published family."""
    return {
        base.name for base in study.sizes if isinstance(base, HubBase) and FAMILY in base.repository
    }


def _is_published(track: Track, scores: Scores, study: Study) -> bool:
    """Whether the scores of a track with plain keys are of the published suite."""
    names = {suite.label: suite.name for suite in study.suites}
    principal = {
        names.get(test.suite)
        for (_, _, name), test in scores.tests.items()
        if (key := Key.parse(name)).track == track and not key.part
    }
    return principal == {SUITES[track.task]}


def _beside(scores: Scores, track: Track, values: Sequence[Published]) -> Iterator[Table]:
    """Ours and the published means of a track: the main metrics, and in detail the others."""
    mine = [value for value in values if value.key.track == track]
    for detail in (False, True):
        chosen = [value for value in mine if value.key.metric.quality is detail]
        if not chosen:
            continue
        sizes = [size for size in scores.sizes if size in {value.size for value in chosen}]
        groups = tuple(
            Group(_label(key, chosen), tuple(_beside_rows(scores, key, sizes, chosen)))
            for key in _keys(chosen)
        )
        heads = ("published", "ours, variant published", "ours")
        columns = tuple(Column(f"{size} {head}") for size in sizes for head in heads)
        title = track_title(track) + (": code quality" if detail else "")
        yield Table(
            f"{title}, beside the published", columns, groups, BESIDE_CAPTION, detail=detail
        )


def _beside_rows(
    scores: Scores, key: Key, sizes: Sequence[str], values: Sequence[Published]
) -> Iterator[Row]:
    means = {(value.method, value.size): value.mean for value in values if value.key == key}
    for method in METHODS:
        cells = []
        for size in sizes:
            ours = [
                scores.value(method, size, str(of)) if (method, size) in scores.entries else None
                for of in (dataclasses.replace(key, variant=VARIANT), key)
            ]
            for value in (means.get((method, size)), *ours):
                cells.append(Cell(NULL if value is None else key.metric.show(value)))
        yield Row(LABELS[method], tuple(cells))


def _principal(values: Sequence[Published]) -> Table:
    """The first metric of each track at every published size."""
    first: dict[Track, Key] = {}
    for key in _keys(values):
        if not key.metric.quality:
            first.setdefault(key.track, key)
    chosen = [value for value in values if first.get(value.key.track) == value.key]
    return _reference("Published means", chosen, titled=True)


def _apart(values: Sequence[Published]) -> Iterator[Table]:
    """Every published mean that we have a metric of, a table per track."""
    for track in TRACKS:
        chosen = [value for value in values if value.key.track == track]
        if chosen:
            table = _reference(f"{track_title(track)}: published means", chosen)
            yield dataclasses.replace(table, detail=True)


def _reference(title: str, values: Sequence[Published], *, titled: bool = False) -> Table:
    """Published means: a group per metric, a row per method, a column per size."""
    means = {(value.key, value.method, value.size): value.mean for value in values}
    sizes = list(dict.fromkeys(value.size for value in values))
    groups = []
    for key in _keys(values):
        label = _label(key, values)
        rows = tuple(
            Row(
                LABELS[method],
                tuple(
                    Cell(NULL if mean is None else key.metric.show(mean))
                    for mean in (means.get((key, method, size)) for size in sizes)
                ),
            )
            for method in METHODS
        )
        groups.append(Group(f"{track_title(key.track)}: {label}" if titled else label, rows))
    columns = tuple(Column(size) for size in sizes)
    return Table(title, columns, tuple(groups), CAPTION)


def _keys(values: Sequence[Published]) -> list[Key]:
    """The metrics of some values, track by track in the order of the reports."""
    return sorted({value.key for value in values}, key=lambda key: (key.track, key.order))


def _label(key: Key, values: Sequence[Published]) -> str:
    """The metric with the number of problems behind the means."""
    counts = sorted({value.n for value in values if value.key == key})
    shown = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    return f"{key.metric.label}, n {shown}"
