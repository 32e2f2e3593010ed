"""What each cell cost, and quality against cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.naming import MIXTURE_LABELS
from bench.records import Outcome, series
from bench.report import rates
from bench.report.document import Cell, Chart, Column, Group, Panel, Point, Row, Table
from bench.report.labels import BASE, LABELS, count, mebibytes, number, seconds
from bench.report.results import ModelEntry, Results, StageEntry
from bench.report.scoreboard import Notes, Scores, mean_similarity

_COLUMNS = (
    "wall s",
    "CPU s",
    "eval s",
    "save s",
    "token slots",
    "tokens real",
    "tokens trained",
    "RSS MiB",
    "device MiB",
    "weights MiB",
)
_NOT_MEASURED = "not measured"
_BASES = {"4-bit": "4-bit", "dequantised": "copy", "full": "trained"}


def learning_stages(
    results: Results, method: str, size: str
) -> list[tuple[StageEntry, int | None]]:
    """The stages that trained a method at a size, each with its artifact's bytes."""
    if method == BASE:
        return [
            (base["stages"][0], base["artifact_bytes"])
            for base in results["bases"]
            if base["size"] == size
        ]
    models: list[ModelEntry] = [
        model
        for cell in results["cells"]
        if series(cell["id"], cell["method"], cell["size"]) == method and cell["size"] == size
        for model in cell["models"]
    ]
    return [(model["stages"][0], model["artifact_bytes"]) for model in models]


def total(values: Sequence[float | None]) -> float | None:
    """The sum, None where a part is missing."""
    found = [value for value in values if value is not None]
    return sum(found) if found and len(found) == len(values) else None


def peak(values: Sequence[float | None]) -> float | None:
    """The maximum, None where a part is missing."""
    found = [value for value in values if value is not None]
    return max(found) if found and len(found) == len(values) else None


def cost_table(results: Results, scores: Scores) -> Table:
    """Training costs per cell: a cell's models summed, its memory the highest peak."""
    notes = Notes()
    groups = tuple(
        Group(
            size,
            tuple(
                Row(
                    "base" if method == BASE else LABELS[method],
                    _cost_cells(results, method, size, notes),
                )
                for method in scores.methods
                if (method, size) in scores.entries
            ),
        )
        for size in scores.sizes
    )
    return Table(
        "Training",
        tuple(Column(label) for label in _COLUMNS),
        groups,
        "base: preparing the base model. ST-QLoRA: its models together, the highest peak of "
        "memory among them. Token slots: all that were computed; real: without padding; "
        "trained: with a loss. RSS and device: peak memory of the processes and of the GPU.",
        notes.lines,
    )


def _cost_cells(results: Results, method: str, size: str, notes: Notes) -> tuple[Cell, ...]:
    pairs = learning_stages(results, method, size)
    stages = [stage for stage, _ in pairs]
    failed = next((stage for stage in stages if stage["outcome"] != Outcome.OK), None)
    why = f"{failed['name']}: {failed['outcome']}: {failed['reason']}" if failed else _NOT_MEASURED

    def cell(value: float | None, show: Callable[[float], str]) -> Cell:
        return notes.null(why) if value is None else Cell(show(value))

    tokens = [stage["tokens"] for stage in stages]

    def spent(name: str) -> Cell:
        if method == BASE:
            return Cell("")
        costs = [stage["cost"] for stage in stages]
        return cell(total([one["train_s"][name] if one else None for one in costs]), seconds)

    device = peak([stage["peak_device_bytes"] for stage in stages])
    if device is None and "peak_device_bytes" in results["notes"]:
        device_cell = Cell(results["notes"]["peak_device_bytes"])
    else:
        device_cell = cell(device, mebibytes)
    return (
        cell(total([stage["wall_s"] for stage in stages]), seconds),
        cell(total([stage["cpu_s"] for stage in stages]), seconds),
        spent("evaluate"),
        spent("save"),
        cell(total([entry and entry["processed"] for entry in tokens]), count),
        cell(total([entry and entry["real"] for entry in tokens]), count),
        cell(total([entry and entry["trained"] for entry in tokens]), count),
        cell(peak([stage["peak_rss_bytes"] for stage in stages]), mebibytes),
        device_cell,
        cell(total([artifact for _, artifact in pairs]), mebibytes),
    )


_STEADY = ("rows at once", "step s", "slots / s", "real / s", "trained / s")
_STEADY_LAST = ("MFU %", "kJ / Mtoken", "base", "base MiB", "peak MiB")
LAUNCHES = "launch-bound: the device waited for operations to be started; no figure of its speed"


def steady_table(results: Results, scores: Scores) -> Table:
    """What steady steps cost, under each setting that was measured."""
    notes = Notes()
    groups = []
    for size in scores.sizes:
        rows = []
        for method in scores.methods:
            own = [stage for stage, _ in learning_stages(results, method, size)]
            if method == BASE or not own or (method, size) not in scores.entries:
                continue
            plan = next((one["cost"]["setting"]["plan"] for one in own if one["cost"]), "tuned")
            rows.append(_steady_row(f"{LABELS[method]} {plan}", own, notes))
            if arm := published_stages(results, method, size):
                rows.append(_steady_row(f"{LABELS[method]} published", arm, notes))
        groups.append(Group(size, tuple(rows)))
    unit = "CPU s" if "peak_device_bytes" in results["notes"] else "GPU s"
    columns = [name.replace("/ s", f"/ {unit}") for name in (*_STEADY, *_STEADY_LAST)]
    return Table(
        "Steady steps of training",
        tuple(Column(label) for label in columns),
        tuple(groups),
        "Without loading, warm-up, evaluation and saving. published: the study's micro-batches, "
        "loss and 4-bit weights; tuned: the same mathematics as this study has it set. Step: of "
        f"a median step, in {unit}. Slots, real, trained: tokens as above. MFU: operations of "
        "forward and backward against the device's peak. base: how the frozen weights lie in "
        "memory (4-bit, or a dequantised copy), with the MiB of all weights there.",
        notes.lines,
    )


def published_stages(results: Results, method: str, size: str) -> list[StageEntry]:
    """The stages that measured a method at a size as published; empty without such an arm."""
    models = [
        model
        for cell in results["cells"]
        if series(cell["id"], cell["method"], cell["size"]) == method and cell["size"] == size
        for model in cell["models"]
    ]
    return [stage for model in models if (stage := model["as_published"]) is not None]


def _steady_row(label: str, stages: Sequence[StageEntry], notes: Notes) -> Row:
    found = rates.of(stages)
    if isinstance(found, str):
        return Row(label, tuple(notes.null(found) for _ in (*_STEADY, *_STEADY_LAST)))

    def lacking(name: str) -> Cell:
        why = found.lacks.get(name, _NOT_MEASURED)
        return Cell(why) if why == "no GPU" else notes.null(why)

    memory = "peak_device_bytes" if found.gpu else "peak_rss_bytes"
    highest = peak([stage[memory] for stage in stages])  # type: ignore[literal-required]
    mark = notes.number(LAUNCHES) if found.launch_bound else None
    return Row(
        label,
        (
            Cell(", ".join(map(str, found.micro_rows))),
            Cell(number(found.step_s, 3 if found.step_s < 1 else 2), note=mark),
            *(Cell(count(found.per_s[name])) for name in ("processed", "real", "trained")),
            lacking("mfu") if found.mfu is None else Cell(number(100 * found.mfu, 1)),
            lacking("energy") if found.joules is None else Cell(number(found.joules / 1000, 1)),
            Cell(_BASES[found.base]),
            Cell(mebibytes(found.weight_bytes)),
            notes.null(_NOT_MEASURED) if highest is None else Cell(mebibytes(highest)),
        ),
    )


def summary(results: Results) -> str:
    """The CPU seconds of the whole run and of each kind of stage, in one line."""
    by_stage: dict[str, float] = {}
    entries = [stage for base in results["bases"] for stage in base["stages"]]
    entries += [
        stage for cell in results["cells"] for model in cell["models"] for stage in model["stages"]
    ]
    entries += [
        model["as_published"]
        for cell in results["cells"]
        for model in cell["models"]
        if model["as_published"] is not None
    ]
    for stage in entries:
        if stage["cpu_s"] is not None:
            by_stage[stage["name"]] = by_stage.get(stage["name"], 0.0) + stage["cpu_s"]
    parts = ", ".join(f"{name} {number(value, 0)}" for name, value in by_stage.items())
    return f"CPU seconds of all stages: {number(sum(by_stage.values()), 0)} ({parts})."


def charts(results: Results, scores: Scores, tasks: Sequence[str]) -> tuple[Chart, ...]:
    """Mean similarity against training time and against peak memory, a panel per size."""
    device = "peak_device_bytes" not in results["notes"]

    def time(stages: Sequence[StageEntry]) -> float | None:
        return total([stage["wall_s" if device else "cpu_s"] for stage in stages])

    def memory(stages: Sequence[StageEntry]) -> float | None:
        field = [s["peak_device_bytes"] if device else s["peak_rss_bytes"] for s in stages]
        highest = peak(field)
        return None if highest is None else highest / 2**20

    time_label = "wall seconds of training" if device else "CPU seconds of training"
    memory_label = f"peak {'device' if device else 'process'} memory in training, MiB"
    found = []
    for title, label, cost in (
        ("Quality against time", time_label, time),
        ("Quality against memory", memory_label, memory),
    ):
        panels = tuple(_panel(results, scores, tasks, size, cost) for size in scores.sizes)
        if any(panel.points for panel in panels):
            found.append(Chart(title, label, "mean similarity × 100", panels))
    return tuple(found)


def _panel(
    results: Results,
    scores: Scores,
    tasks: Sequence[str],
    size: str,
    cost: Callable[[Sequence[StageEntry]], float | None],
) -> Panel:
    points, absent = [], []
    # A mixture's mean is over other tasks than the others': it has no place among them.
    compared = [name for name in scores.methods if name != BASE and name not in MIXTURE_LABELS]
    for place, method in enumerate(compared):
        x = cost([stage for stage, _ in learning_stages(results, method, size)])
        y = mean_similarity(scores, method, size, tasks)
        if x is not None and y is not None:
            points.append(Point(LABELS[method], place, x, 100 * y))
        else:
            absent.append(LABELS[method])
    base = mean_similarity(scores, BASE, size, tasks)
    return Panel(size, tuple(points), tuple(absent), None if base is None else 100 * base)
