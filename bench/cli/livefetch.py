"""What the terminal shows of a fetch: downloads, and a list of sources with their licences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bench.cli.console import Display
from bench.data.fetching.fetch import Event, Summary
from bench.data.fetching.needs import Origin

_UNITS = ("B", "kB", "MB", "GB")
#: As many names are listed beside a hint.
_NAMED = 3


class Downloads(Display):
    """Shows a fetch: bars on a terminal, one line per thing that is done elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._arrived: dict[str, int] = {}
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def show(self, event: Event) -> None:
        """Show one event of a fetch."""
        if event.kind == "planned":
            self._plan(event)
        elif event.kind == "started":
            name = escape(event.what.rpartition("/")[2])
            self._bars[event.what] = self._live.add_task(f"  {name}", total=event.total)
        elif event.kind == "progress":
            self._advance(event)
        else:
            self._finish(event)

    def _plan(self, event: Event) -> None:
        self._all = self._live.add_task("[bold]all", total=event.total or None)
        told = f"{event.done} here already, {_files(event.files)} to download"
        if event.files:
            told += f": {size(event.total)} {event.note}".rstrip()
        self._console.print(told, soft_wrap=True)

    def _advance(self, event: Event) -> None:
        before = self._arrived.get(event.what, event.done)
        self._arrived[event.what] = event.done
        if event.what in self._bars:
            self._live.update(self._bars[event.what], completed=event.done, total=event.total)
        if self._all is not None:
            self._live.advance(self._all, max(0, event.done - before))

    def _finish(self, event: Event) -> None:
        if event.what in self._bars:
            self._live.remove_task(self._bars.pop(event.what))
        if event.kind == "failed":
            why = event.note.removeprefix(f"{event.what}: ")
            line = f"[red]failed[/] {escape(event.what)}: {escape(why)}"
        else:
            line = f"[green]ok[/]     {escape(event.what)} [dim]{size(event.done)}[/]"
        self._live.console.print(line, soft_wrap=True)


def origins(sources: Sequence[Origin]) -> str:
    """Each source: what it is, how much of it is here, its licence, whom to cite."""
    lines = []
    for one in sources:
        here = {0: "[green]here[/]", None: "[yellow]not here[/]"}.get(
            one.lacking, f"[yellow]{one.lacking} not here[/]"
        )
        revision = one.revision[:12] if len(one.revision) == 40 else one.revision
        files = "" if one.files is None else f"{_files(one.files)}, "
        about = f"{one.kind} at {revision}, {files}{size(one.bytes)}"
        lines += [
            f"[bold]{escape(one.name)}[/] ({escape(about)}): {here}",
            f"    licence: {escape(one.licence)}",
            f"    cite: {escape(one.cite or 'see its page')}",
        ]
    return "\n".join(lines) or "this study reads nothing from elsewhere"


def outcome(summary: Summary, data: Path) -> str:
    """How a fetch ended, with the next step for each kind of failure."""
    if not summary.failed and not summary.here and not summary.fetched:
        return "nothing to fetch: this study reads nothing from elsewhere"
    if not summary.failed:
        return f"everything is in {escape(str(data))}, verified"
    hints: dict[str, list[str]] = {}
    for what, error in summary.failed:
        hints.setdefault(error.hint, []).append(what)
    lines = [f"[bold red]{len(summary.failed)} could not be had[/]"]
    for hint, names in hints.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(
            f"  {escape(', '.join(names[:_NAMED]))}{more}\n    [bold]next:[/] {escape(hint)}"
        )
    return "\n".join(lines)


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def size(count: int | None) -> str:
    """A number of bytes as people say it (decimal units)."""
    if count is None:
        return "unknown size"
    value, unit = float(count), 0
    while value >= 1000 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"
