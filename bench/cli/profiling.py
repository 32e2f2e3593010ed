"""``profile`` from the command line: what is measured, and a table of what came of it."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from bench import places
from bench.cli import amounts, paths
from bench.cli.choice import choose
from bench.cli.console import err, out
from bench.costs import Shape
from bench.data import architectures
from bench.errors import BenchError
from bench.profile import items, run
from bench.profile.run import Finding
from bench.run import provenance

#: A profile is meant to be over by then.
BUDGET_MINUTES = 8.0


def declare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``profile``."""
    told = "measure what a GPU makes of a study's sizes, in minutes"
    one = commands.add_parser("profile", help=told)
    one.add_argument("--study", default="paper", help="whose sizes (default: paper)")
    one.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    one.add_argument(
        "--minutes",
        type=amounts.minutes,
        default=BUDGET_MINUTES,
        metavar="N",
        help=f"what is not measured by then is dropped (default: {BUDGET_MINUTES:g})",
    )
    one.add_argument(
        "--item",
        dest="items",
        action="append",
        default=[],
        metavar="WORDS",
        help="only items whose label holds these words, for example 'train 3b' (repeatable)",
    )
    one.add_argument("--list", action="store_true", help="the items, in their order; nothing else")
    one.add_argument("--out", type=paths.output, metavar="FILE", help="default: reports/profiles/…")
    one.add_argument(
        "--cpu", action="store_true", help="on the CPU, with depth cut, whatever is here"
    )
    one.set_defaults(command=profile)


def profile(options: argparse.Namespace) -> int:
    """Measure the items until the time is up; the exit code is 1 where one failed.

    Raises:
        BenchError: no item of that name, or a base whose shape is not known.
    """
    study, _ = choose(options.study, options.options)
    gpus = [] if options.cpu else provenance.gpus()
    shapes = {base.name: architectures.shape(base, None) for base in study.sizes}
    for size, shape in shapes.items():
        if not isinstance(shape, Shape):
            raise BenchError(f"base {size}: {shape}", hint="nox -s fetch brings it")
    known = {size: shape for size, shape in shapes.items() if isinstance(shape, Shape)}
    everything = items.of_study(known, gpu=bool(gpus))
    asked = items.matching(everything, options.items)
    if not asked:
        raise BenchError(
            f"no item of a profile holds {' or '.join(map(repr, options.items))}",
            hint="bench profile --list shows them",
        )
    if options.list:
        for item in asked:
            out.print(item.label, soft_wrap=True, markup=False)
        return 0
    name = gpus[0]["name"] if gpus else "cpu"
    now = datetime.datetime.now(datetime.UTC)
    target = options.out or places.reports() / "profiles" / f"{slug(name)}-{now:%Y%m%d-%H%M%S}.json"
    origin = {
        "time": now.isoformat(timespec="seconds"),
        "git": provenance.git(places.ROOT),
        "machine": provenance.machine(),
        "study": study.name,
    }
    if not gpus:
        err.print("no GPU is used: depth and rows are cut, and times say nothing about one")
    found = []
    for one in run.run(asked, study, target, 60 * options.minutes, origin, cpu=not gpus):
        found.append(one)
        err.print(_line(one), soft_wrap=True, markup=False)
    out.print(_table(found))
    out.print(f"written: {target}", soft_wrap=True, markup=False)
    return 1 if any(one.outcome in ("failed", "timeout") for one in found) else 0


def slug(name: str) -> str:
    """A device's name as part of a file's."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _line(one: Finding) -> str:
    """An item that is done, in a line."""
    values = one.values
    told = values["reason"] or ""
    if one.outcome == "ok" and "step_s" in values:
        told = f"{_rate(values):,.0f} tokens/s"
    return f"{one.item.label}: {one.outcome} {told} ({values['item_s']:g} s)"


def _rate(values: Mapping[str, Any]) -> float:
    rates = values["tokens_per_s"]
    return float(rates["real"] if isinstance(rates, Mapping) else rates)


def _table(found: list[Finding]) -> Table:
    """What was measured: a row an item."""
    table = Table("item", box=None, pad_edge=False)
    for name in ("rows", "step ms", "tokens/s", "MFU", "peak GB", "model"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(one.item.label, *_cells(one))
    return table


def _cells(one: Finding) -> list[str]:
    values = one.values
    if one.outcome != "ok":
        return ["", "", one.outcome, "", "", ""]
    step = values["step_s"]
    seconds = step["median"] if isinstance(step, Mapping) else step
    rows = values.get("micro_rows", one.item.rows)
    again = "*" if values.get("checkpointing") else ""
    mfu, peak = values.get("mfu"), values["peak_allocated_bytes"]
    return [
        f"{rows}{again}",
        f"{1000 * seconds:.0f}",
        f"{_rate(values):,.0f}",
        "" if mfu is None else f"{100 * mfu:.0f} %",
        "" if peak is None else f"{peak / 1e9:.1f}",
        "" if peak is None else f"{values['memory_model_bytes'] / peak:.2f}",
    ]
