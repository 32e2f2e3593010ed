"""The files of a run, written whole, the same each time, or told why not."""

from __future__ import annotations

import csv
import errno
import json
import os

import pytest

from bench.errors import MachineError
from bench.report.publish import publish
from tests.fabricated_run import SMOKE, fabricate

FILES = ("results.json", "stats.csv", "claims.json", "report.md", "report.html")


def test_the_files_agree_and_a_second_time_changes_nothing(tmp_path):
    fabricate(tmp_path)
    report = publish(tmp_path, SMOKE)
    first = {name: (tmp_path / name).read_bytes() for name in FILES}
    assert publish(tmp_path, SMOKE) == report
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == first
    results = json.loads(first["results.json"])
    assert {cell["outcome"] for cell in results["cells"]} == {"ok"}
    rows = list(csv.DictReader(first["stats.csv"].decode().splitlines()))
    assert {row["rq"] for row in rows} == {"RQ1", "RQ2"}
    assert {row["adjust"] for row in rows} == {"holm", "BH"}
    assert report.lead[0] in first["report.md"].decode()


def test_an_empty_run_has_a_report_of_what_is_missing(tmp_path):
    report = publish(tmp_path, SMOKE)
    assert "0 of 54 stages ended ok." in (tmp_path / "report.md").read_text()
    assert report.title == "Report of the study smoke"


def test_a_full_disk_is_told_and_loses_nothing(tmp_path, monkeypatch):
    publish(tmp_path, SMOKE)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="no space left"):
        publish(tmp_path, SMOKE)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
