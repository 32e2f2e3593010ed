"""What did not end well, by stage, with the cause and the next command."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from bench import naming
from bench.grid.study import Study
from bench.records import Outcome
from bench.report.document import Cell, Column, Group, Row, Section, Table
from bench.report.labels import NULL
from bench.report.results import Results, StageEntry


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A stage with what its model is called, and its cell (None for a base)."""

    model: str
    cell: str | None
    stage: StageEntry

    @property
    def name(self) -> str:
        """For example ``MT-QLoRA 2m train``."""
        return f"{self.model} {self.stage['name']}"

    @property
    def reason(self) -> str:
        """Why it did not end well, with stages named as people call them."""
        return naming.stages(self.stage["reason"] or NULL)


def of_all(results: Results) -> Iterator[Ended]:
    """Every stage of a run, whether it ran or not."""
    for base in results["bases"]:
        for stage in base["stages"]:
            yield Ended(naming.model(None, None, base["size"]), None, stage)
    for cell in results["cells"]:
        for model in cell["models"]:
            name = naming.model(cell["id"], cell["method"], cell["size"], model["id"])
            arm = model["as_published"]
            for stage in (*model["stages"], *([] if arm is None else [arm])):
                yield Ended(name, cell["id"], stage)


def not_ok(results: Results) -> list[Ended]:
    """The stages that did not end well, without those that were skipped because of one of these.

    A skipped stage is listed only where nothing above in its chain says why.
    """
    bad = [one for one in of_all(results) if one.stage["outcome"] != Outcome.OK]
    failed = {one.model for one in bad if one.stage["outcome"] != Outcome.SKIPPED}
    seen: set[str] = set()
    found = []
    for one in bad:
        if one.stage["outcome"] == Outcome.SKIPPED and one.model in failed | seen:
            continue
        seen.add(one.model)
        found.append(one)
    return found


def section(results: Results, study: Study) -> Section:
    """How many stages ended well, and a row for each that did not."""
    stages = list(of_all(results))
    ended = sum(one.stage["outcome"] == Outcome.OK for one in stages)
    if ended == len(stages):
        return Section("Outcomes", (f"All {len(stages)} stages ended ok.",))
    rows = tuple(
        Row(
            one.name,
            tuple(
                map(
                    Cell,
                    (one.stage["outcome"], one.reason, next_command(named(study), one.cell)),
                )
            ),
        )
        for one in not_ok(results)
    )
    columns = tuple(Column(label, numeric=False) for label in ("outcome", "reason", "next command"))
    text = f"{ended} of {len(stages)} stages ended ok."
    return Section("Outcomes", (text,), (Table("Not ok", columns, (Group("", rows),)),))


def named(study: Study) -> str:
    """A study's name, and behind it the options that it was run with, as a command has them."""
    return " ".join((study.name, *(f"--with {name}" for name in study.with_)))


def next_command(study: str, cell: str | None) -> str:
    """The command that takes up a cell, or with None a base, again.

    ``study``: its name, and behind it the options that it was run with.
    """
    chosen = f" --cells {cell}" if cell else ""
    return f"nox -s reproduce -- --study {study}{chosen}"
