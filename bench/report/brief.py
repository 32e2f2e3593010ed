"""The report that can be read in a minute: verdicts, scores, questions, costs, what failed.

Every number is one of the whole report's, or a mean of some; what was not measured says why.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.analysis.claims import Ruling, Verdict
from bench.grid.store import CLAIMS, HTML, RESULTS, STATISTICS
from bench.grid.study import Study, TinyBase
from bench.records import Outcome
from bench.report import briefscores, costs, outcomes
from bench.report.audits import Audited
from bench.report.briefscores import VARIANT
from bench.report.document import Block, Cell, Column, Row, Tone
from bench.report.labels import BASE, LABELS, NULL, Key, mebibytes, seconds
from bench.report.results import ADOPTED, MIXED, Results, StageEntry
from bench.report.scoreboard import Notes, Scores

#: Of what failed alike, and of reasons, this many are named.
_NAMED = 2
_TONES: dict[Ruling, Tone] = {Ruling.SUPPORTED: "better", Ruling.CONTRADICTED: "worse"}
#: How a stage ended, where its outcome is no word for people.
_WORDS: Mapping[str, str] = {
    Outcome.FAILED: "Failed",
    Outcome.SKIPPED: "Not run",
    Outcome.INTERRUPTED: "Stopped",
}
#: The parts of a claim that are named, by their verdict.
_TELLING = (Ruling.CONTRADICTED, Ruling.DEPENDS, Ruling.NOT_RUN)
#: A verdict that would take the room of its reasons.
_VERDICTS = {Ruling.DEPENDS: "depends"}
_FAILING = {Ruling.CONTRADICTED: "fail", Ruling.DEPENDS: "depend"}


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What the brief report is made from.

    ``machine``: commit, machine and device in words. ``gains``: by how much each trained model
    is more similar than its own base.
    """

    results: Results
    scores: Scores
    study: Study
    verdicts: Sequence[Verdict]
    audited: Audited | None
    machine: Sequence[str]
    gains: Sequence[float]


def of_run(run: Run) -> tuple[Block, ...]:
    """The blocks of the brief report in their order; the caller adds where the files are."""
    return (
        _lead(run),
        _claims(run.verdicts),
        briefscores.of_methods(run.scores, run.study.tasks, run.gains),
        briefscores.questions(run.scores),
        _costs(run.results, run.scores),
        Block("", 4, text=tuple(_wrong(run)) or ("Nothing failed, and there is no warning.",)),
    )


def _lead(run: Run) -> Block:
    """What was run, on what, and how it came out; what does not belong together comes first."""
    results = run.results
    models = sum(len(cell["models"]) for cell in results["cells"])
    stages = [one.stage["outcome"] for one in outcomes.of_all(results)]
    ended = sum(outcome == Outcome.OK for outcome in stages)
    what = (
        f"Study {outcomes.named(run.study)}: {len(results['cells'])} cells, {models} models · "
        f"{ended} of {len(stages)} stages ended ok"
    )
    counts = Counter(one.verdict for one in run.verdicts if one.whole)
    told = f"{counts[Ruling.SUPPORTED]} of {counts.total()} supported"
    told += f", {counts[Ruling.CONTRADICTED]} contradicted"
    outcome = f"claims: {told}" if counts else "claims: none was asked"
    if any(isinstance(base, TinyBase) for base in run.study.sizes):
        outcome = f"proves the pipeline, not quality · {outcome}"
    outcome = f"{outcome[0].upper()}{outcome[1:]}"
    mixed = [results["notes"][name] for name in (MIXED, ADOPTED) if name in results["notes"]]
    lines = [" ".join(mixed), what, " · ".join(run.machine), outcome]
    return Block("", 4, text=tuple(line for line in lines if line))


def _claims(verdicts: Sequence[Verdict]) -> Block:
    """A row for each claim: what becomes of it, and how many of its parts speak for it."""
    notes = Notes()
    rows = tuple(
        Row(
            _VERDICTS.get(one.verdict, one.verdict.value),
            (Cell(one.brief, tone=_TONES.get(one.verdict, "")), _because(one, verdicts, notes)),
        )
        for one in verdicts
        if one.whole
    )
    title = f"Claims of the paper ({VARIANT})"
    if not rows:
        return Block(title, 8, text=("None was asked of this run.",))
    columns = (Column("claim", numeric=False), Column("because", numeric=False))
    return Block(title, 8, columns, rows, tuple(briefscores.footnotes(notes)))


def _because(claim: Verdict, verdicts: Sequence[Verdict], notes: Notes) -> Cell:
    """How many parts of a claim hold and which do not; of one that was not run, why not."""
    parts = [one for one in verdicts if one.claim == claim.claim and not one.whole]
    counts = Counter(part.verdict for part in parts)
    if claim.verdict is Ruling.NOT_RUN:
        rows = [row.finding for row in claim.evidence if row.finding.ruling is Ruling.NOT_RUN]
        reasons = "; ".join(dict.fromkeys(one.reason for one in rows)) or _without(claim.reason)
        return Cell("not measured", note=notes.number(reasons))
    failing = counts[Ruling.CONTRADICTED]
    told = ["on the setting"] if claim.verdict is Ruling.DEPENDS else []
    told.append(f"{counts[Ruling.SUPPORTED]} hold, {failing} fail of {len(parts)}")
    for ruling in _TELLING:
        places = [_place(part) for part in parts if part.verdict is ruling]
        told += [f"{_FAILING.get(ruling, ruling)}: {', '.join(places)}"] if places else []
    return Cell("; ".join(told))


def _without(reason: str) -> str:
    return reason.removeprefix("not run: ")


def _place(part: Verdict) -> str:
    return " ".join(name for name in (part.task, part.size) if name is not None)


def _costs(results: Results, scores: Scores) -> Block:
    """What training took of each method at each size, and all stages together."""
    gpu = "peak_device_bytes" not in results["notes"]
    time, memory = ("wall_s", "peak_device_bytes") if gpu else ("cpu_s", "peak_rss_bytes")
    methods = [one for one in briefscores.compared(scores) if one != BASE]
    notes = Notes()
    plans: dict[str, None] = {}
    rows = []
    for method in methods:
        cells: list[Cell] = []
        for size in scores.sizes:
            stages = [stage for stage, _ in costs.learning_stages(results, method, size)]
            plans |= {one["cost"]["setting"]["plan"]: None for one in stages if one["cost"]}
            cells += _cost_cells(stages, time, memory, notes)
        rows.append(Row(LABELS[method], tuple(cells)))
    setting = f"{' and '.join(plans)} setting" if plans else "setting not recorded"
    title = (
        f"Training: {'wall' if gpu else 'CPU'} seconds, peak MiB of "
        f"{'the GPU' if gpu else 'a process'} ({setting}{'' if gpu else '; no GPU'})"
    )
    columns = tuple(Column(label) for size in scores.sizes for label in (size, "MiB"))
    text = (*briefscores.footnotes(notes), _of_all_stages(results))
    return Block(title, 6, columns, tuple(rows), text, together=2)


def _cost_cells(
    stages: Sequence[StageEntry], time: str, memory: str, notes: Notes
) -> tuple[Cell, Cell]:
    """Seconds and peak of trainings together; what one spent that failed is no cost of it."""
    failed = next((one for one in stages if one["outcome"] != Outcome.OK), None)
    if failed is not None:
        return Cell(failed["outcome"]), Cell(NULL)
    why = "not measured" if stages else "not in the grid"
    spent = costs.total([one[time] for one in stages])  # type: ignore[literal-required]
    highest = costs.peak([one[memory] for one in stages])  # type: ignore[literal-required]
    return (
        notes.null(why) if spent is None else Cell(seconds(spent)),
        notes.null(why) if highest is None else Cell(mebibytes(highest)),
    )


def _of_all_stages(results: Results) -> str:
    """The CPU seconds of all stages, and the one whose processes took the most memory."""
    stages = list(outcomes.of_all(results))
    spent = [one.stage["cpu_s"] for one in stages if one.stage["cpu_s"] is not None]
    known = [one for one in stages if one.stage["peak_rss_bytes"] is not None]
    told = f"All stages: {seconds(sum(spent))} CPU s" if spent else "All stages: not measured"
    if known:
        most = max(known, key=lambda one: one.stage["peak_rss_bytes"] or 0)
        told += f", at most {mebibytes(most.stage['peak_rss_bytes'] or 0)} MiB ({most.name})"
    return f"{told}."


def _wrong(run: Run) -> Iterator[str]:
    """What failed and why, what takes it up again, what was not measured, and the warnings."""
    bad = outcomes.not_ok(run.results)
    alike: dict[tuple[str, str], list[str]] = {}
    for one in bad:
        alike.setdefault((one.stage["outcome"], one.reason), []).append(one.name)
    groups = list(alike.items())
    for (outcome, reason), names in groups[:_NAMED]:
        word = _WORDS.get(outcome, f"Failed ({outcome})")
        yield f"{word}: {_listed(names)}: {reason}"
    if bad:
        cells = list(dict.fromkeys(one.cell for one in bad))
        command = outcomes.next_command(
            outcomes.named(run.study), cells[0] if len(cells) == 1 else None
        )
        more = f"{len(groups) - _NAMED} more reasons: --full. " if len(groups) > _NAMED else ""
        yield f"{more}Again: {command}"
    yield from _warnings(run)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _warnings(run: Run) -> Iterator[str]:
    """How much the audits found, what was not measured, and the run's own notes on its times."""
    findings = () if run.audited is None else run.audited.findings
    if findings:
        counts = Counter(one.audit for one in findings)
        yield f"Audits: {', '.join(f'{name} ({count})' for name, count in counts.items())}."
    told = [f"{_listed(names)} ({why})" for why, names in _unmeasured(run.scores).items()]
    if told:
        yield f"Not measured: {'; '.join(told)}."
    notes = [note for name, note in run.results["notes"].items() if name.endswith("_s")]
    if notes:
        yield f"Times: {'; '.join(note.rstrip('.') for note in notes)}."


def _unmeasured(scores: Scores) -> dict[str, list[str]]:
    """The scores that no method has at any size, by the reason; a failed stage is told apart.

    The track is named of a metric that others have.
    """
    lacking: dict[Key, str] = {}
    measured: set[str] = set()
    for key in (key for key in scores.keys if not key.part):
        entries = [one for one in scores.entries.values() if str(key) in one.metrics]
        told = [one.notes[str(key)] for one in entries if str(key) in one.notes]
        if any(one.metrics[str(key)] is not None for one in entries):
            measured.add(key.label)
        elif told:
            lacking[key] = _without(told[0]).partition("; ")[0]
    found: dict[str, dict[str, None]] = {}
    for key, why in lacking.items():
        place = f" of {briefscores.place(key.track)}" if key.label in measured else ""
        found.setdefault(why, {})[f"{key.label}{place}"] = None
    return {why: list(names) for why, names in found.items()}


def where(folder: str, study: Study, results: str | None = None) -> Block:
    """Where the files of a run lie, and what to do next with them.

    ``results``: the folder of runs, where it is not the usual one.
    """
    kept = "" if results is None else f" --results {shlex.quote(results)}"
    return Block(
        "",
        4,
        text=(
            f"Report: {folder}/{HTML}; data: {RESULTS}, {STATISTICS}, {CLAIMS}",
            f"All of it here: nox -s report -- --study {outcomes.named(study)}{kept} --full",
            f"Is it still what it says: nox -s verify -- {shlex.quote(folder)}",
        ),
    )
