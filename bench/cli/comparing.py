"""``compare``: whether a run is better or worse than another, or than the published values."""

from __future__ import annotations

import argparse
import json
import sys

from bench import places
from bench.cli import paths
from bench.cli.console import out
from bench.data.sources import data_folder
from bench.errors import BenchError, DataError

_ABOUT = """\
Compare two runs problem by problem, or one with the published values.
Exit code: 0 nothing is worse, 1 something is worse, 2 not comparable (one line says why).
"""


def declare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``compare``."""
    one = commands.add_parser(
        "compare",
        help="what two runs differ in, and what is better or worse in the second",
        description=_ABOUT,
    )
    one.add_argument(
        "a",
        type=paths.path,
        metavar="A",
        help="folder or archive of a run, or the name of a study's",
    )
    one.add_argument(
        "b", type=paths.path, metavar="B", nargs="?", help="the run that is judged, on A's problems"
    )
    one.add_argument(
        "--published",
        action="store_true",
        help="judge A beside the study's published values, problem by problem",
    )
    one.add_argument(
        "--results",
        type=paths.path,
        default=places.reports(),
        metavar="DIR",
        help="where runs are kept (default: reports/)",
    )
    one.add_argument(
        "--mirror", type=paths.path, metavar="DIR", help="folder with the published values"
    )
    one.add_argument("--full", action="store_true", help="every comparison, problem and cost")
    one.add_argument("--json", action="store_true", help="machine-readable")
    one.set_defaults(command=compare)


def compare(options: argparse.Namespace) -> int:
    """Compare two runs; something that is worse makes the exit code 1.

    Raises:
        IncomparableError: nothing could be compared.
    """
    from bench.compare import compared, terminal  # pandas and scipy: not needed by a plan
    from bench.compare.opening import IncomparableError

    if options.published == (options.b is not None):
        told = "both B and --published" if options.published else "neither B nor --published"
        raise BenchError(
            f"{told}: A is compared with one of them",
            hint="bench compare A B, or bench compare A --published",
        )
    try:
        if options.published:
            mirror = options.mirror or data_folder()
            found = compared.with_published(options.a, options.results, mirror)
        else:
            found = compared.runs(options.a, options.b, options.results)
    except DataError as error:
        raise IncomparableError(error.problem, hint=error.hint) from None
    if options.json:
        json.dump(compared.as_json(found), sys.stdout, indent=1, ensure_ascii=False)
        print()
        return found.exit_code
    for line in terminal.lines(found, out.width, full=options.full):
        out.print(line, soft_wrap=True)
    return found.exit_code
