"""What the audits find in the replication package: its values, its statistics, its inputs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.analysis import published, texts
from bench.analysis.audits import Finding, Outputs, audit, merged
from bench.analysis.published.defects import Defects
from bench.analysis.published.instances import Package
from bench.analysis.published.reanalysis import STEPS
from bench.analysis.published.verdicts import Reanalysis
from bench.data.readers import parse_json, read_lines
from bench.errors import BenchError, DataError
from bench.records import SUMMARIZATION, Sample, Track

_LANGUAGES = {"py": "python", "python": "python", "java": "java"}


def of_values(package: Package, outputs: Outputs | None = None) -> list[Finding]:
    """The audits of every run, on the package's values: joined by problem, and file by file."""
    found = audit(*published.tables(package, "published", mixtures=True), outputs)
    for cells, tables in published.by_tool(package).values():
        found += audit(cells, tables)
    return merged(found)


def of_statistics(redone: Reanalysis) -> list[Finding]:
    """How the printed statistics differ from what the values and the files' notes say."""
    return merged(
        [
            *_other_files(redone),
            *_positions(redone),
            *_stated(redone),
            *_not_reproduced(redone),
            *_turned(redone),
        ]
    )


def _turned(redone: Reanalysis) -> Iterator[Finding]:
    """Verdicts that each correction turns."""
    for step in STEPS:
        rows = [
            f"{flip.row.rq} {flip.row.language} {flip.row.size} {flip.row.metric}"
            for flip in redone.flips
            if any(turn.step == step.name for turn in flip.turns)
        ]
        if rows:
            told = ", ".join(rows)
            yield Finding("verdicts turned", step.name, len(rows), len(redone.rows), told)


def _other_files(redone: Reanalysis) -> Iterator[Finding]:
    """Rows that were computed from another track's files of the same tool."""
    for table, choice in zip(redone.tables, redone.choices, strict=True):
        if table.result is None:
            continue
        for (tool, track), other in choice.tracks.items():
            rows = [row for row in table.rows if row.column and row.column[0] == tool]
            yield Finding(
                "statistics of other files",
                f"{table.rq} {track} {tool}",
                len(rows),
                len(table.rows),
                f"the printed effects are those of the files of {other}",
            )


def _positions(redone: Reanalysis) -> Iterator[Finding]:
    """McNemar's tests whose printed counts come from pairing by position, against those by id."""
    for row, pair in redone.counts:
        if pair.published != pair.by_id:
            shown = [f"{a}/{b}" for a, b in (pair.published, pair.by_id)]
            yield Finding(
                "pass@1 paired by position",
                f"{row.rq} {row.task}/{row.language} {row.size}",
                sum(pair.published),
                pair.pairs,
                f"discordant pairs {shown[0]}, by id {shown[1]}",
            )


def _stated(redone: Reanalysis) -> Iterator[Finding]:
    """Files whose note names another adjustment than the one that gives their values."""
    for table, family in redone.by_table():
        result = table.result
        if result is None or result.noted in (None, family[0].adjust):
            continue
        yield Finding(
            "adjustment not as stated",
            result.name,
            len(family),
            len(family),
            f"the note says {result.noted}, the values are adjusted by {family[0].adjust}",
        )


def _not_reproduced(redone: Reanalysis) -> Iterator[Finding]:
    """Printed rows that the values do not give, and rows whose inputs the package lacks."""
    kinds = {"differs": "printed values not reproduced", "inputs missing": "inputs missing"}
    totals = Counter((row.rq, row.task, row.language) for row in redone.rows)
    counts: dict[tuple[str, tuple[str, str, str]], list[str]] = {}
    for row in redone.rows:
        if row.status in kinds:
            place = (row.rq, row.task, row.language)
            counts.setdefault((row.status, place), []).append(row.metric)
    for (status, place), metrics in counts.items():
        rq, task, language = place
        told = ", ".join(dict.fromkeys(metrics))
        where = f"{rq} {task}/{language}"
        yield Finding(kinds[status], where, len(metrics), totals[place], told)


def of_inputs(package: Package) -> tuple[list[Finding], list[BenchError]]:
    """References and documentation in the inputs of the package's summarization problems."""
    found: list[Finding] = []
    problems: list[BenchError] = []
    for path in sorted(package.root.rglob("*.jsonl")):
        try:
            samples = _summaries(path.stem, read_lines(path))
        except DataError as error:
            problems.append(error)
            continue
        except (ValueError, AttributeError) as error:
            told = f"{path}: not JSON Lines of problems ({error})"
            problems.append(DataError(told, hint="fetch the file again"))
            continue
        if samples:
            found += leaked(samples, path.name)
    return found, problems


def _summaries(stem: str, lines: Iterable[str]) -> list[Sample]:
    """The problems of a file whose lines hold code and its reference summary, else none."""
    language = next((_LANGUAGES[part] for part in stem.split("_") if part in _LANGUAGES), "java")
    samples = []
    for number, line in enumerate(lines, 1):
        record = parse_json(line, f"line {number}")
        code, reference = record.get("code"), record.get("reference_summary")
        if not isinstance(code, str) or not isinstance(reference, str):
            return []
        name = str(record.get("id", number))
        samples.append(Sample(name, Track(SUMMARIZATION, language), {"code": code}, reference))
    return samples


def leaked(problems: Sequence[Sample], where: str = "") -> list[Finding]:
    """Inputs that hold their reference, or documentation, by track. Runs on any suite."""
    found = []
    by_track: dict[Track, list[Sample]] = {}
    for problem in problems:
        by_track.setdefault(problem.track, []).append(problem)
    for track, members in sorted(by_track.items()):
        leak = texts.leaks(members)
        for audit_name, names, told in (
            ("references in the inputs", leak.with_reference, "the reference stands in the input"),
            ("documentation in the inputs", leak.with_docstring, "the code keeps its docstring"),
        ):
            if names:
                place = " ".join(filter(None, (str(track), where)))
                shown = f"{told}, for example in {names[0]}"
                found.append(Finding(audit_name, place, len(names), leak.problems, shown))
    return found


def overlapping(track: Track, trained: Iterable[Sample], tested: Sequence[Sample]) -> list[Finding]:
    """Test problems that occur in the training data of a track."""
    inputs, pairs = texts.overlap(trained, tested)
    if not inputs:
        return []
    told = f"{inputs} inputs occur in training, {pairs} with the same reference (layout aside)"
    return [Finding("train/test overlap", str(track), inputs, len(tested), told)]


def of_defects(package: Package) -> list[Finding]:
    """Models whose outputs look damaged as a whole, so that their similarity says little."""
    damaged = Defects(package, ()).damaged()
    by_track: Mapping[Track, list[str]] = {
        track: [
            f"{'-'.join(filter(None, side))}-{size.lower()}: {told}"
            for (_, size, side), told in members
        ]
        for track, members in itertools.groupby(
            sorted(damaged.items()), key=lambda item: item[0][0]
        )
    }
    models = Counter((one.track, one.size, one.method, one.mixture) for one in package.instances)
    return [
        Finding(
            "damaged outputs",
            str(track),
            len(told),
            sum(place[0] == track for place in models),
            "; ".join(told),
        )
        for track, told in by_track.items()
    ]
