"""Stored generations of any origin, scored alone: paired with problems, measured, tabled.

The metrics are those of a run (``bench.scoring.score``) and the sheet has the columns of the
study's own tables (``bench.scoring.sheet``). A reference that is not at hand leaves the
columns that compare with it empty, and tests are executed where the problem has some.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.data import problems, storedlines
from bench.data.storedlines import Fault, Line, Stored
from bench.errors import BenchError, DataError, unknown
from bench.records import GENERATION, TRACKS, TRANSLATION, Generation, Sample, Track, Verdict
from bench.scoring import answers, execution, metrics, score, sheet
from bench.scoring.admission import MAX_CHARACTERS
from bench.scoring.answers.document import LONGEST
from bench.scoring.answers.generations import Answered
from bench.scoring.sheet import PASS_AT_1, Sheet

#: The study's suite of each task, whose problems a file of another origin is taken to answer.
SUITE = {TRANSLATION: "codexglue-trans"}
DEFAULT_SUITE = "codereval"
#: Asked for by name only: it sends every output to a server.
ON_REQUEST = ("judge",)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What to score: a file, as which track, in which variant, with what beside it.

    ``references``: a file of references; ``suite``: of the kit's own lines, where they hold
    several, or whose problems lines without one answer; ``only``: these metrics, all that apply
    where it is empty. ``extract``: find the answers in texts that are stored as code, too.
    """

    generations: Path
    track: Track
    variant: str
    mirror: Path | None = None
    references: Path | None = None
    suite: str | None = None
    only: tuple[str, ...] = ()
    extract: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """The sheet of a file, and what is to be told of it.

    ``faults`` of its lines; ``remarks``: what concerns the file as a whole (lines of other
    tracks, references that are missing). ``answered``: what was scored, and what was cut.
    """

    sheet: Sheet
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]
    answered: Answered


def track(task: str, language: str) -> Track:
    """The track of a task and a language.

    Raises:
        BenchError: no such task, or not in this language; the valid ones are named.
    """
    found = Track(task, language)
    if found not in TRACKS:
        valid = ", ".join(f"--task {one.task} --language {one.language}" for one in TRACKS)
        raise BenchError(f"no task {task!r} in language {language!r}", hint=f"valid are: {valid}")
    return found


def check_output(request: Request, path: Path, option: str = "--csv OUT.csv") -> None:
    """Make sure that a path can be written, and is none of the inputs.

    Raises:
        BenchError: the path is an input.
        MachineError: it cannot be written.
    """
    inputs = (request.generations, request.references)
    if any(one is not None and one.resolve() == path.resolve() for one in inputs):
        raise BenchError(f"{path}: is an input too", hint=f"name another file: {option}")
    sheet.writable(path)


def measure(request: Request) -> Scored:
    """Score a file of generations.

    Raises:
        BenchError: a metric that does not exist, or lines of several suites.
        DataError: the file cannot be read or holds nothing to score.
    """
    chosen = _chosen(request.only)
    stored = storedlines.read(request.generations, longest=LONGEST + 1)
    lines, remarks = _of_track(stored, request)
    suite = lines[0].suite or request.suite or SUITE.get(request.track.task, DEFAULT_SUITE)
    known, absent = _problems(suite, request)
    samples, told = _samples(lines, known, absent, request, chosen)
    written = [line for line in lines if line.text is not None]
    if not written:
        raise DataError(
            f"{stored.faults[0]}, and no other line has a text to score",
            hint=f"a line is a JSON object with id and {' or '.join(storedlines.TEXT_FIELDS)}",
        )
    asked = [samples[line.id] for line in written]
    answered, cut = _answered(written, asked, suite, request)
    generations = answered.generations
    verdicts = {}
    if PASS_AT_1 in chosen:
        verdicts = execution.grade(asked, {one.id: one.output for one in generations})
        if request.track.task == GENERATION:
            why = f"not run: no problem of this id is known ({absent})"
            nameless = [line.id for line in written if line.id not in known]
            verdicts |= {name: Verdict(name, "not-run", detail=why) for name in nameless}
        told = [*told, *_modules(verdicts)]
    scores = score.score(
        {suite: asked},
        generations,
        {suite: verdicts},
        options=score.Options(
            {},
            metrics=tuple(chosen),
            only=frozenset(chosen),
            laid_out=request.variant == sheet.PUBLISHED and request.track.task == TRANSLATION,
            mirror=request.mirror,
        ),
    )
    made = sheet.make([line.id for line in lines], scores, request.variant, chosen)
    return Scored(made, stored.faults, (*remarks, *cut, *told), answered)


def _chosen(only: Sequence[str]) -> list[str]:
    """The metrics that were asked for, or all but those that are run on request only."""
    known = (*metrics.COLUMNS, PASS_AT_1)
    for name in only:
        if name not in known:
            raise unknown("metric", name, known)
    return list(only) or [name for name in known if name not in ON_REQUEST]


def _of_track(stored: Stored, request: Request) -> tuple[list[Line], list[str]]:
    """The lines that are of the track, as far as they say of which they are."""
    asked = request.track
    mine = [
        line
        for line in stored.lines
        if line.task in (None, asked.task) and line.language in (None, asked.language)
    ]
    suites = sorted({line.suite for line in mine if line.suite is not None})
    if request.suite is not None:
        if suites and request.suite not in suites:
            raise unknown("suite", request.suite, suites)
        if not suites:
            problems.check_name(request.suite)
        mine = [line for line in mine if line.suite in (None, request.suite)]
    elif len(suites) > 1:
        raise BenchError(
            f"{stored.path}: holds generations of {len(suites)} suites: {', '.join(suites)}",
            hint=f"choose one of them, for example --suite {suites[0]}",
        )
    if not mine:
        others = sorted({f"{line.task}/{line.language}" for line in stored.lines})
        raise DataError(
            f"{stored.path}: holds no generation of {asked}",
            hint=f"its lines are of {', '.join(others)}: see --task and --language",
        )
    aside = len(stored.lines) - len(mine)
    return mine, [f"{aside} lines of other tracks or suites are left aside"] if aside else []


def _samples(
    lines: Sequence[Line],
    known: Mapping[str, Sample],
    absent: str,
    request: Request,
    chosen: Iterable[str],
) -> tuple[dict[str, Sample], list[str]]:
    """The problem of each line, by the line's id, and what is to be told of references.

    ``absent`` says why an id may not be among the ``known`` ones.
    """
    samples = {
        line.id: dataclasses.replace(known[line.id], id=line.id)
        if line.id in known
        else Sample(line.id, request.track, {}, "")
        for line in lines
    }
    remarks: list[str] = []
    if request.references is not None:
        given = storedlines.read(request.references, storedlines.REFERENCE_FIELDS)
        remarks += [str(fault) for fault in given.faults]
        for one in given.lines:
            if one.id in samples and one.text is not None:
                samples[one.id] = dataclasses.replace(samples[one.id], reference=one.text)
    lacking = [name for name, sample in samples.items() if not sample.reference.strip()]
    if lacking and set(chosen) - {PASS_AT_1, *metrics.WITHOUT_REFERENCE}:
        why = "their problems have none" if any(name in known for name in lacking) else absent
        remarks.append(
            f"{len(lacking)} of {len(samples)} generations have no reference ({why}); "
            "--references FILE can give them"
        )
    return samples, remarks


def _problems(suite: str, request: Request) -> tuple[dict[str, Sample], str]:
    """The problems of a suite by every id that a line may use, and why others are not known."""
    mirror, track = request.mirror, request.track
    if mirror is not None and not mirror.is_dir():
        raise DataError(f"mirror {mirror}: no such folder", hint="check --mirror DIR")
    try:
        problems.check_name(suite)
    except BenchError:  # a label of the study's own: the default suite's problems may be meant
        suite = SUITE.get(track.task, DEFAULT_SUITE)
    try:
        found = problems.track_problems(suite, track, mirror)
    except DataError as error:
        return {}, str(error)
    known: dict[str, Sample] = {}
    for sample in found:
        plain = sample.id.partition("@")[0]
        known |= dict.fromkeys((sample.id, plain, *_aliases(suite, plain)), sample)
    return known, f"{suite} has no {track} of these ids"


def _aliases(suite: str, plain: str) -> tuple[str, ...]:
    """What the study calls a problem: ``translation_<i>``, by its line in the test split."""
    if suite != SUITE[TRANSLATION]:
        return ()
    return (f"translation_{plain.removeprefix('test-')}",)


def _answered(
    lines: Sequence[Line], asked: Sequence[Sample], suite: str, request: Request
) -> tuple[Answered, list[str]]:
    """What is scored of each line, and what is to be told of that.

    Raw texts are cut to their answers; what is stored as code is taken as it is, unless the
    request says otherwise.
    """
    generations, cut = [], []
    fenced: list[str] = []
    for line, problem in zip(lines, asked, strict=True):
        assert line.text is not None
        found = answers.Answer(answers.plain(line.text[: MAX_CHARACTERS + 1]))
        if line.raw or request.extract:
            found = answers.extract(problem, line.text)
        elif answers.fenced(problem, found.text):
            fenced.append(line.id)
        generations.append(_generation(line, suite, request.track, found.text))
        cut.append(found.cut)
    told = []
    extracted = sum(line.raw or request.extract for line in lines)
    if extracted:
        less = sum(map(bool, cut))
        told.append(
            f"{extracted} texts are searched for their answers, {less} of them hold more than "
            "that; --answers OUT.jsonl keeps the answers and what was cut"
        )
    if fenced:
        told.append(
            f"{len(fenced)} of {len(lines)} codes hold Markdown fences and are scored as they are "
            f"(first id {storedlines.shown(fenced[0])}); --extract cuts them to their answers"
        )
    return Answered(tuple(generations), tuple(cut)), told


_ABSENT = re.compile(r"No module named '([\w.]+)'")


def _modules(verdicts: Mapping[str, Verdict]) -> list[str]:
    """What outputs import that is not in the sandbox, which has the standard library alone."""
    found: dict[str, int] = {}
    for verdict in verdicts.values():
        absent = _ABSENT.search(verdict.detail)
        if absent is not None and not verdict.passed:
            found[absent[1]] = found.get(absent[1], 0) + 1
    if not found:
        return []
    named = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
    return [
        f"{sum(found.values())} outputs failed for a module that is not there: {named}; "
        "the sandbox has Python's standard library alone"
    ]


def _generation(line: Line, suite: str, track: Track, output: str) -> Generation:
    assert line.text is not None
    return Generation(
        id=line.id,
        suite=suite,
        task=track.task,
        language=track.language,
        prompt_sha256="",
        prompt_tokens=0,
        output_tokens=0,
        finish_reason=line.finish_reason,
        text=line.text,
        output=output,
    )
