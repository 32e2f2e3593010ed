"""Published outputs restored: their place, their defects, their CodeBLEU afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.errors import DataError
from bench.records import Track
from bench.scoring.restored import restored


def test_restoring_the_prefixes_gives_the_similarity_back(mirror):
    folder = mirror.parent / "golden" / "generated"
    if not folder.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    found = restored(folder, mirror)
    assert found.problems == ()
    assert len([track for by_track in found.outputs.values() for track in by_track]) == 6
    scored = {(one.method, one.size): one.values["codebleu"] for one in found.instances}
    assert set(scored) == {("st-qlora", "0.5b"), ("mt-qlora", "3b")}
    # As published 0.740 with the prefixes lost; the public files were re-formatted since.
    assert np.nanmean(scored["mt-qlora", "3b"]) == pytest.approx(0.83, abs=0.01)
    assert np.nanmean(scored["st-qlora", "0.5b"]) == pytest.approx(0.83, abs=0.01)


def test_broken_outputs_are_told_and_the_rest_goes_on(tmp_path):
    good = tmp_path / "generation" / "java" / "3b_mt-qlora"
    good.mkdir(parents=True)
    (good / "outputs.jsonl").write_text(json.dumps({"id": "a", "code": "int a;"}) + "\n{broken\n")
    (tmp_path / "notes.jsonl").write_text("{}")
    (tmp_path / "generation" / "java" / "1_5b_mt-qlora").mkdir()
    (tmp_path / "generation" / "java" / "1_5b_mt-qlora" / "outputs.jsonl").write_text("")
    found = restored(tmp_path, None)
    [written] = found.outputs["mt-qlora-3b"][Track("generation", "java")]
    assert (written.id, written.output) == ("a", "int a;")
    told = " ".join(problem.problem for problem in found.problems)
    assert "notes.jsonl" in told and "1_5b_mt-qlora" in told and found.instances == ()


def test_a_folder_without_outputs_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        restored(tmp_path / "nowhere", None)
    with pytest.raises(DataError, match="no file of outputs"):
        restored(tmp_path, None)
