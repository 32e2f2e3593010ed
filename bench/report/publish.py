"""The last step of a run: results.json, stats.csv, report.md and report.html."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.analysis import comparisons
from bench.grid.store import HTML, MARKDOWN, RESULTS, STATISTICS, write_atomic, writing
from bench.grid.study import Study
from bench.report import content, folder, page, results
from bench.report.document import Report


def publish(path: Path, study: Study, keys: Mapping[str, str] | None = None) -> Report:
    """Write the four files of a run from what its folder holds, and return the report.

    ``keys`` are the stages' present keys, see ``folder.read``. Needs neither models nor
    generations: records, scores and per-instance tables are enough.

    Raises:
        DataError: a scores file that cannot be read.
        MachineError: the folder cannot be written.
    """
    run = folder.read(path, study, keys)
    summary = results.results(run)
    rows = [
        row
        for suite, tables in folder.tables(run).items()
        for row in comparisons.compare(run.cells, tables, suite=suite, seed=study.seed)
    ]
    report = content.build(summary, rows, study)
    results.write(path / RESULTS, summary)
    for name, text in (
        (STATISTICS, comparisons.to_csv(rows)),
        (MARKDOWN, page.markdown(report)),
        (HTML, page.html(report)),
    ):
        with writing(path / name):
            write_atomic(path / name, text.encode())
    return report
