"""The last step of a run: results.json, stats.csv, claims.json, report.md and report.html."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.analysis import comparisons
from bench.grid.store import CLAIMS, HTML, MARKDOWN, RESULTS, STATISTICS, write_atomic, writing
from bench.grid.study import Study
from bench.report import audits, claims, content, folder, page, results, trainingdata
from bench.report.document import Report


def publish(
    path: Path,
    study: Study,
    keys: Mapping[str, str] | None = None,
    mirror: Path | None = None,
    adopted: str | None = None,
) -> Report:
    """Write the files of a run from what its folder holds, and return the report.

    ``keys`` are the stages' present keys, see ``folder.read``. Needs neither models nor
    generations: records, scores and per-instance tables are enough; the audits look at the
    generations where they are left, and at the data of ``mirror``. ``adopted`` says which stages
    are not what the present code would make (``bench.grid.adopted``).

    Raises:
        DataError: a scores file that cannot be read.
        MachineError: the folder cannot be written.
    """
    run = folder.read(path, study, keys)
    summary = results.results(run)
    if adopted is not None:
        summary["notes"][results.ADOPTED] = adopted
    by_suite = folder.tables(run)
    rows = [
        row
        for suite, tables in by_suite.items()
        for row in comparisons.compare(run.cells, tables, suite=suite, seed=study.seed)
    ]
    verdicts = claims.of_run(run, summary, by_suite)
    audited = audits.of_run(run, by_suite, mirror)
    report = content.build(summary, rows, study, verdicts, audited, trainingdata.of_run(run))
    results.write(path / RESULTS, summary)
    claims.write(path / CLAIMS, study.name, claims.as_json(verdicts))
    for name, text in (
        (STATISTICS, comparisons.to_csv(rows)),
        (MARKDOWN, page.markdown(report)),
        (HTML, page.html(report)),
    ):
        with writing(path / name):
            write_atomic(path / name, text.encode())
    return report
