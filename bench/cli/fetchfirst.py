"""What a run reads and does not find here is told, asked about and fetched before it begins.

A study of hub models takes gigabytes and days, so what it takes on this machine stands first,
in one small table. Nothing is fetched unasked: a terminal is asked, ``--yes`` answers, and
without either the run ends with the commands that go on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.markup import escape

from bench.cli import forecast, livefetch, liveplan
from bench.cli.console import out
from bench.cli.forecast import Request
from bench.data.fetching import fetch, needs
from bench.data.fetching.fetch import Summary
from bench.data.fetching.needs import Needs
from bench.data.sources import data_folder
from bench.errors import BenchError, DataError, MachineError
from bench.grid.plan import PlannedStage
from bench.grid.study import HubBase, Study
from bench.run import lacks

#: As many names are listed of what could not be had.
_NAMED = 3


def before_a_run(
    request: Request,
    plan: Callable[[], Sequence[PlannedStage]],
    options: argparse.Namespace,
    *,
    in_images: bool,
) -> bool:
    """Tell what a study of hub models takes, and fetch what a run of a study lacks.

    A mirror is a folder of the user's own: nothing is fetched into it, nor beside it.

    Returns:
        Whether something was fetched.

    Raises:
        BenchError: the answer was no.
        DataError: something is absent, and nobody can be asked; or it could not be fetched.
        MachineError: the study surely does not fit, the disk is full, or a server is down.
    """
    study = request.study
    hub = any(isinstance(base, HubBase) for base in study.sizes)
    wanted = needs.absent(needs.of_study(study), None) if request.mirror is None else Needs((), ())
    if not hub and not (wanted.paths or wanted.repositories):
        return False
    stages = plan()
    left = [stage for stage in stages if not stage.stored]
    if not left:
        return False
    if hub:
        out.print(liveplan.demands(forecast.require_fit(request, stages, options)))
        for line in lacks.not_fetched(study, in_images=in_images):
            out.print(f"[yellow]no fetch brings what it lacks:[/] {escape(line)}", soft_wrap=True)
    read = {stage.size for stage in left if lacks.reads_base(stage)}
    wanted = _of_sizes(wanted, study, read)
    if not (wanted.paths or wanted.repositories) or options.offline:
        return False  # offline, what is absent is refused where it is read
    if not (options.yes or _agreed(study, wanted, options.cells)):
        return False
    _fetch(wanted)
    return True


def _of_sizes(wanted: Needs, study: Study, sizes: set[str]) -> Needs:
    """What is absent without the bases of sizes that nothing reads any more."""
    mine = needs.of_study(study, sizes).repositories
    return Needs(wanted.paths, tuple(one for one in wanted.repositories if one in mine))


def _agreed(study: Study, wanted: Needs, cells: Sequence[str]) -> bool:
    """Ask whether to fetch. False: without asking, since only metrics' models are absent.

    Raises:
        BenchError: the answer was no.
        DataError: there is nobody to ask, and the run cannot do without.
    """
    size = livefetch.size(needs.size(wanted, None))
    command = lacks.fetch_command(study, *(f"--cells '{pattern}'" for pattern in cells))
    if sys.stdin is not None and sys.stdin.isatty() and out.is_terminal:
        licences = dict.fromkeys(one.licence for one in needs.origins(wanted, data_folder()))
        told = f"licences: {', '.join(licences)}; {command} --list names what has which"
        out.print(told, soft_wrap=True, markup=False)
        if _yes(f"Fetch {size} and go on? [y/N] "):
            return True
        raise BenchError(
            "not fetched, as answered, and nothing has begun",
            hint=f"{command} fetches and does no more; the quick look: --study smoke",
        )
    if all(one.metrics for one in wanted.repositories) and not wanted.paths:
        return False  # the columns that lack it say so
    what = "public files and models" if wanted.repositories else "public files"
    raise DataError(
        f"{study.name} reads {what} that are not fetched ({size}), and no terminal is here to ask",
        hint=f"--yes fetches them and goes on; {command} fetches and does no more; --mirror DIR "
        "names a folder that holds them; the quick look: --study smoke",
    )


def _yes(question: str) -> bool:
    try:
        answer = out.input(question, markup=False)
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _fetch(wanted: Needs) -> None:
    """Bring what is absent; what only a metric reads may stay away.

    Raises:
        BenchError: the first that could not be had and that stages read, with its kind.
    """
    data = data_folder()
    with livefetch.Downloads(out) as shown:
        summary = fetch.fetch(wanted, data, on_event=shown.show)
    failed = list(_needed(summary, wanted))
    if not failed:
        out.print(livefetch.outcome(summary, data), soft_wrap=True)
        return
    names = ", ".join(name for name, _ in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    first = failed[0][1]
    kind = MachineError if isinstance(first, MachineError) else DataError
    raise kind(
        f"not fetched: {names}{more}; nothing has begun ({first.problem})",
        hint=f"{first.hint}; the same command goes on from what has arrived",
    )


def _needed(summary: Summary, wanted: Needs) -> Iterator[tuple[str, BenchError]]:
    """What failed, less what belongs to a model that only a metric is made of."""
    spare = [one.name for one in wanted.repositories if one.metrics]
    for what, error in summary.failed:
        if not any(name in what for name in spare):
            yield what, error
