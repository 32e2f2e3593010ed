"""Invented runs of the smoke study to be compared: whole ones, worse ones, altered ones.

``python -m tests.compared_runs`` writes the golden comparisons anew.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench.compare import compared, terminal
from bench.grid import intact, keys, store
from bench.grid.study import Study, canonical
from tests import fabricated_run
from tests.amended import amend, seal_again
from tests.fabricated_run import GOLDEN, PROVENANCE, SMOKE

MODEL = "cells/mt-qlora-2m/multi-task"
PYTHON = "embedded.generation-python.csv"
TABLE = f"{MODEL}/score/{PYTHON}"


def run(folder: Path, of: Study = SMOKE) -> Path:
    """A run folder as a kit leaves it, with its study and provenance."""
    return of_study(fabricated_run.fabricate(folder), of)


def few(folder: Path, *kept: str) -> Path:
    """A run with these cells alone, so that few tables are read."""
    for size in ("0.5m", "6m"):
        shutil.rmtree(folder / "bases" / size, ignore_errors=True)
    for cell in (folder / "cells").iterdir():
        if cell.name not in (kept or ("st-qlora-2m", "mt-qlora-2m", "mt-fft-6m")):
            shutil.rmtree(cell)
    return folder


def of_study(folder: Path, of: Study) -> Path:
    """Let a run be one of a study."""
    told = PROVENANCE | {"study": of.name, "executor": "venv"}
    (folder / store.STUDY).write_text(json.dumps(canonical(of)))
    under(folder, told | {"study_sha256": keys.digest(canonical(of))})
    return folder


def under(folder: Path, told: dict[str, object]) -> None:
    """Let every stage of a run have been made under one provenance."""
    name = intact.name_of(told)
    shutil.rmtree(folder / store.PROVENANCES, ignore_errors=True)
    (folder / store.PROVENANCES).mkdir()
    (folder / store.PROVENANCES / f"{name}.json").write_text(json.dumps(told))
    (folder / store.RUN).write_text(json.dumps(told))
    for record in folder.rglob(store.RECORD):
        amend(record, provenance=name)


def change(folder: Path, name: str, how: Callable[[pd.DataFrame], object]) -> None:
    """Change a table of a run in place, as an altered file is."""
    table = pd.read_csv(folder / name, dtype={"id": str})
    changed = how(table)
    table = changed if isinstance(changed, pd.DataFrame) else table
    table.to_csv(folder / name, index=False)


def plant(folder: Path, name: str, how: Callable[[pd.DataFrame], object]) -> None:
    """Change a table as an honest run would have written it: its record follows."""
    change(folder, name, how)
    seal_again((folder / name).parent)


def worse(table: pd.DataFrame) -> None:
    """Clearly worse code: lower similarity everywhere, and every passed problem fails."""
    table["codebleu"] = (table["codebleu"] - 0.2).clip(lower=0)
    table["pass@1"] = 0.0


@functools.cache
def planted() -> compared.Compared:
    """A run and another one: of another commit, worse, better, slower, and without one cell."""
    with tempfile.TemporaryDirectory() as name:
        a = few(run(Path(name) / "before"))
        b = Path(shutil.copytree(a, Path(name) / "after"))
        commit = "fedcba9876543210fedcba9876543210fedcba98"
        told = json.loads((b / store.RUN).read_text()) | {"git": {"commit": commit, "dirty": True}}
        under(b, told)
        plant(b, TABLE, worse)
        plant(b, f"{MODEL}/score/embedded.translation-java_cs.csv", _fewer_branches)
        plant(b, "bases/2m/score/embedded.generation-java.csv", _passes_some)
        for record in b.glob("cells/*/*/train/record.json"):
            amend(record, cpu_s=json.loads(record.read_text())["cpu_s"] * 1.5)
        shutil.rmtree(b / "cells" / "mt-fft-6m")
        found = compared.runs(a, b, Path(name))
    return dataclasses.replace(found, a="reports/before", b="reports/after")


def _fewer_branches(table: pd.DataFrame) -> None:
    table["lizard_ccn"] = 1


def _passes_some(table: pd.DataFrame) -> None:
    table.loc[:2, "pass@1"] = 1 - table.loc[:2, "pass@1"]


def goldens() -> dict[str, str]:
    """The golden files' names and what they should hold now."""
    return {
        f"compare-{width}{'-full' if full else ''}.txt": terminal.joined(
            terminal.lines(planted(), width, full=full)
        )
        + "\n"
        for width, full in ((80, False), (140, False), (80, True))
    }


if __name__ == "__main__":
    for golden, text in goldens().items():
        (GOLDEN / golden).write_text(text, encoding="utf-8")
