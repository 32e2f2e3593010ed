"""The claims on the published values: both readings, damage found by what cannot be parsed."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest

from bench import cli
from bench.analysis import published
from bench.analysis.claims import Ruling
from bench.records import Track
from bench.report import publishedclaims

JAVA = Track("translation", "cs_java")


@pytest.fixture(scope="module")
def package(mirror):
    return published.package(mirror)


@pytest.fixture(scope="module")
def command(package, mirror, tmp_path_factory):
    """What the command, given once, says and writes, and what it had decided."""
    path = tmp_path_factory.mktemp("claims") / "new" / "claims.json"
    found, decide = [], publishedclaims.decide
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(published, "package", {mirror: package}.__getitem__)
        patch.setattr(publishedclaims, "decide", lambda of: found.append(decide(of)) or found[0])
        assert cli.main(["claims", "--mirror", str(mirror), "--json", str(path)]) == 0
    return said.getvalue(), json.loads(path.read_text()), found[0]


@pytest.fixture(scope="module")
def verdicts(command):
    return command[2]


def test_the_damaged_translations_are_found_by_their_values(package):
    tables = published.tables(package, "corrected")[1]
    found = publishedclaims.damaged(tables)
    assert {cell: reason for (cell, track), reason in found.items() if track == JAVA} == {
        "st-qlora-3b": "781 of 1,000 outputs of st-qlora-3b cannot be parsed: they were damaged",
        "mt-qlora-3b": "777 of 1,000 outputs of mt-qlora-3b cannot be parsed: they were damaged",
        "mt-fft-3b": "282 of 1,000 outputs of mt-fft-3b cannot be parsed: they were damaged",
    }
    assert len(found) == 3


def test_outputs_that_only_models_spoilt_are_no_damage():
    table = pd.DataFrame({"id": range(100), "pmd_design": [np.nan] * 20 + [0.0] * 80})
    assert publishedclaims.damaged({"a": {JAVA: table}}) == {}
    assert publishedclaims.damaged({"a": {JAVA: table[["id"]]}}) == {}


def test_the_readings_differ_where_damage_decided(verdicts):
    as_published, corrected = (
        {verdict.id: verdict for verdict in verdicts[variant]}
        for variant in ("published", "corrected")
    )
    assert as_published.keys() == corrected.keys()
    place = "mt-qlora-vs-mt-fft/translation/3b"
    assert as_published[place].verdict is Ruling.CONTRADICTED
    assert corrected[place].verdict is Ruling.INCONCLUSIVE
    assert "were damaged" in corrected[place].reason
    for found in (as_published, corrected):
        assert found["qlora-needs-less"].verdict is Ruling.NOT_RUN


def test_both_readings_are_sections_and_records(verdicts):
    sections = publishedclaims.sections(verdicts)
    assert [section.title for section in sections] == [
        "Claims on the values, as published",
        "Claims on the values, corrected",
    ]
    records = publishedclaims.records(verdicts)
    assert {record["variant"] for record in records} == {"published", "corrected"}
    assert len(records) == 2 * len(verdicts["published"])


def test_the_command_prints_both_and_writes_the_evidence(command):
    text, content, _ = command
    assert "as published" in text and "corrected" in text and "MT-QLoRA against MT-FFT" in text
    assert content["schema"] == 1 and content["study"] == "published values"
    assert all(claim["reason"] for claim in content["claims"])


def test_a_folder_without_the_package_is_told(tmp_path, capsys):
    assert cli.main(["claims", "--mirror", str(tmp_path)]) == 3
    assert "no folder per-instance-value" in capsys.readouterr().err
