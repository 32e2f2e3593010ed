"""What the terminal shows of a plan's costs: a row a cell, the totals, what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.grid import nearest
from bench.grid.devices import Machine
from bench.grid.estimates import ANALYTIC
from bench.grid.plan import GENERATE, TRAIN
from bench.grid.profiled import PROFILED
from bench.grid.schedule import Wall
from bench.grid.totals import CellEstimate

if TYPE_CHECKING:
    from bench.cli.forecast import Forecast

_GB = 1e9
_LEAST, _NONE = "≥ ", "–"
#: As many bases of hours are told in full.
_NAMED = 4


def show(console: Console, shown: Forecast) -> None:
    """Print what is left, its costs, and what does not fit."""
    for part in costs(shown):
        console.print(part)
    for line in problems(shown):
        console.print(line, soft_wrap=True)


def costs(shown: Forecast) -> Iterator[RenderableType]:
    """The costs of what is left, by cell, and the machine that they are for.

    Columns without a figure are left out.
    """
    if not shown.cells:
        return
    devices = _elsewhere(shown.cells)
    rows = [_row(cell, devices) for cell in shown.cells]
    if len(rows) > 1:
        rows.append(_total(shown))
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [name for name in rows[0] if any(row[name] not in ("", _NONE) for row in rows)]
    for name in names:
        table.add_column(name, justify="left" if name in ("costs", "hours are") else "right")
    for row in rows:
        style = "bold" if row["costs"] == "all" else None
        table.add_row(*(escape(row[name]) for name in names), style=style)
    yield ""
    yield table
    yield Text(_explained(shown, devices), style="italic")


def demands(shown: Forecast) -> Table:
    """What a run takes on this machine, a row for each thing, and on what that figure rests."""
    table = Table("takes", "", "that is", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    for row in _demands(shown):
        table.add_row(*map(escape, row))
    return table


def _demands(shown: Forecast) -> Iterator[tuple[str, str, str]]:
    cells, here = shown.cells, shown.machine
    downloads = list(shown.downloads.values())
    total = sum(_known(downloads))
    whole = "" if len(_known(downloads)) == len(downloads) else _LEAST
    listed = "what is listed and not here" if total else "everything is here"
    yield "download", f"{whole}{_bytes(total)}", listed
    scratch = max(cell.scratch_bytes for cell in cells)
    room = f"and up to {_bytes(scratch)} of checkpoints; {_bytes(here.results.free_bytes)} are free"
    yield "disk", _bytes(_sum(cell.disk_bytes for cell in cells)), room
    on_gpu = [one for one in shown.stages if one.gpu and one.memory.value is not None]
    if on_gpu and here.gpu is not None:
        most = max(on_gpu, key=lambda one: one.memory.value or 0)
        place = (
            f"{most.place}, {most.stage}, of {_bytes(here.gpu.memory_bytes)} ({most.memory.basis})"
        )
        yield "GPU memory", _bytes(most.memory.value), place
    bases = _short([basis for cell in cells for basis in cell.bases])
    hours = _sum(cell.gpu_hours for cell in cells)
    told = _hours(hours, all(cell.gpu_whole for cell in cells))
    yield "GPU hours", told, f"{_parts(shown)} ({', '.join(bases) or 'no basis'})"
    for one in shown.walls:
        yield "wall hours", _hours(one.hours, one.whole), f"on {_on(one)}"


def problems(shown: Forecast) -> Iterator[str]:
    """What does not fit, each with its way out."""
    for one in shown.problems:
        word = "[bold red]does not fit:[/]" if one.sure else "[yellow]warning:[/]"
        yield f"{word} {escape(one.what)}"
        yield f"  [bold]next:[/] {escape(one.hint)}"


def wall(shown: Forecast) -> Iterator[str]:
    """How long all of it takes on one GPU and on several, and what of the GPU hours trains."""
    if not shown.walls:
        return
    took = [f"{_hours(one.hours, one.whole)} h on {_on(one)}" for one in shown.walls]
    yield f"Wall: {', '.join(took)}, scoring beside. GPU h: {_parts(shown)}."


def _on(one: Wall) -> str:
    """``8 GPUs, one model each (as long as mt-fft-7b alone)``."""
    if one.gpus == 1:
        return "one GPU"
    bound = f" (as long as {one.chain} alone)" if one.bound else ""
    return f"{one.gpus} GPUs, one model each{bound}"


def _parts(shown: Forecast) -> str:
    """What the GPU hours are spent on: ``245.0 of training, 46.0 of answers``."""
    parts = ((TRAIN, "of training"), (GENERATE, "of answers"))
    told = [(shown.gpu_hours(stage), of) for stage, of in parts]
    known = [f"{_hours(hours, whole=True)} {of}" for hours, of in told if hours is not None]
    return ", ".join(known) or "not known"


def machine(found: Machine) -> str:
    """The machine in one line: GPU and its memory, memory, room on the disks."""
    gpu = "no GPU"
    if found.gpu is not None:
        size = found.gpu.memory_bytes
        gpu = found.gpu.name + ("" if size is None else f" with {size / _GB:.0f} GB")
        gpu += " (as asked, not here)" if found.imagined else ""
    free = f"{found.results.free_bytes / _GB:.0f} GB free for results"
    if found.cache.device != found.results.device:
        free += f", {found.cache.free_bytes / _GB:.0f} for downloads"
    return f"{gpu}, {found.memory_bytes / _GB:.0f} GB of memory, {free}"


def _elsewhere(cells: Iterable[CellEstimate]) -> list[str]:
    """The devices, not this machine's, on which what hours are scaled from was recorded.

    The table names one by its number, from 1: their names are of any length.
    """
    split = (nearest.recorded_on(basis) for cell in cells for basis in cell.bases)
    return list(dict.fromkeys(device for _, device in split if device is not None))


def _row(cell: CellEstimate, devices: Sequence[str]) -> dict[str, str]:
    gpu = cell.device_bytes is not None
    return {
        "costs": cell.id,
        "stages": str(len(cell.stages)),
        "GPU h": _hours(cell.gpu_hours, cell.gpu_whole),
        "CPU h": _hours(cell.cpu_hours, cell.cpu_whole),
        "memory": _bytes(cell.device_bytes if gpu else cell.process_bytes),
        "disk": _bytes(cell.disk_bytes),
        "download": _bytes(cell.download_bytes or None) if cell.base else "",
        "hours are": ", ".join(_short(cell.bases, devices)) or _NONE,
    }


def _total(shown: Forecast) -> dict[str, str]:
    cells = shown.cells
    device = [cell.device_bytes for cell in cells]
    peaks = device if _known(device) else [cell.process_bytes for cell in cells]
    downloads = _known(shown.downloads.values())
    return {
        "costs": "all",
        "stages": str(sum(len(cell.stages) for cell in cells)),
        "GPU h": _hours(_sum(c.gpu_hours for c in cells), all(c.gpu_whole for c in cells)),
        "CPU h": _hours(_sum(c.cpu_hours for c in cells), all(c.cpu_whole for c in cells)),
        "memory": _bytes(max(_known(peaks), default=None)),
        "disk": _bytes(_sum(cell.disk_bytes for cell in cells)),
        "download": _bytes(sum(downloads) or None),
        "hours are": "",
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _sum(values: Iterable[float | None]) -> float | None:
    found = _known(values)
    return sum(found) if found else None


def _explained(shown: Forecast, devices: Sequence[str]) -> str:
    """The words below the table."""
    cells = shown.cells
    device = any(cell.device_bytes is not None for cell in cells)
    lines = [
        f"Memory: the highest peak of {'the device' if device else 'one process'}. Disk: what "
        f"stays; checkpoints take up to {_bytes(max(cell.scratch_bytes for cell in cells))} more."
    ]
    if any(basis.startswith(ANALYTIC) for cell in cells for basis in cell.bases):
        lines.append(
            f"{ANALYTIC}, N %: calculated, the longest stage at N % of the GPU's peak; answers as "
            "if every batch wrote to its limit, trainings as if none stopped early."
        )
    measured = list(
        dict.fromkeys(b for cell in cells for b in cell.bases if b.startswith(PROFILED))
    )
    if measured:
        more = f"; and {len(measured) - _NAMED} more" if len(measured) > _NAMED else ""
        lines.append(
            f"{PROFILED}: steady steps, without loading, evaluation and saving: "
            f"{'; '.join(measured[:_NAMED])}{more}."
        )
    lines += [f"[{number}] recorded on {name}." for number, name in enumerate(devices, start=1)]
    lines += wall(shown)
    reasons = _grouped(reason for cell in cells for reason in cell.reasons)
    if reasons:
        lines.append(f"Not told (≥: without it): {'; '.join(reasons)}.")
    lines.append(f"Machine: {machine(shown.machine)}; --jobs {shown.jobs}.")
    return "\n".join(lines)


def _grouped(reasons: Iterable[str]) -> list[str]:
    """Reasons once each; those that differ only in front of a colon as one."""
    groups: dict[str, dict[str, None]] = {}
    for reason in reasons:
        front, colon, rest = reason.partition(": ")
        groups.setdefault(rest if colon else reason, {})[front if colon else ""] = None
    return [
        f"{', '.join(fronts)}: {rest}" if any(fronts) else rest for rest, fronts in groups.items()
    ]


def _short(bases: Sequence[str], devices: Sequence[str] = ()) -> list[str]:
    """The bases of a cell's hours in a word each, alone ones with the longest stage's share."""
    found: dict[str, str] = {}
    for whole in bases:
        basis, device = nearest.recorded_on(whole)
        if basis.startswith(PROFILED):
            found.setdefault(PROFILED, f"{PROFILED}{', scaled' if ', scaled' in basis else ''}")
        elif basis.startswith(ANALYTIC):
            share = basis.removeprefix(ANALYTIC).removeprefix(", at ").removeprefix(" at the ")
            share = share.partition(" % ")[0]
            found.setdefault(ANALYTIC, f"{ANALYTIC}, {share} %" if share else ANALYTIC)
        else:
            if device in devices:
                basis += f" [{devices.index(device) + 1}]"
            found.setdefault(basis, basis)
    return list(found.values() if len(found) == 1 else found)


def _hours(value: float | None, whole: bool) -> str:
    if value is None:
        return _NONE if whole else "?"
    shown = f"{value:.3f}" if value < 0.1 else f"{value:,.1f}"
    return f"{'' if whole else _LEAST}{shown}"


def _bytes(value: float | None) -> str:
    """``640 kB``, ``37 MB``, ``15.2 GB``."""
    if value is None:
        return _NONE
    if value < 1e6:
        return f"{value / 1e3:.0f} kB"
    return f"{value / 1e6:.0f} MB" if value < _GB else f"{value / _GB:.1f} GB"
