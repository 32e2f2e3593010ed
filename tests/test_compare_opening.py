"""A run is found where a user names it, in a folder or an archive; what is none is named."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from bench.compare import opening
from bench.compare.opening import IncomparableError
from bench.errors import DataError
from bench.grid import store
from bench.records import Outcome
from bench.run.outcomes import bare_record

READ = {
    "cells/st-qlora-2m/generation/score/embedded.generation-python.csv",
    "cells/st-qlora-2m/generation/score/record.json",
    "cells/st-qlora-2m/generation/train/record.json",
    "run.json",
    "study.json",
    "provenance/0123456789ab.json",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "reports" / "smoke"
    for stage, file in (("score", "embedded.generation-python.csv"), ("train", "model.bin")):
        work = folder / "cells" / "st-qlora-2m" / "generation" / stage
        work.mkdir(parents=True)
        (work / file).write_text("id\n")
        store.seal(work, bare_record("k", stage, Outcome.OK, None))
    for name in ("run.json", "study.json", "provenance/0123456789ab.json", "report.html"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def opened(path: Path, results: Path = Path("nowhere")) -> set[str]:
    with opening.opened(path, results) as root:
        assert opening.is_run(root)
        return {one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_file()}


def packed(folder: Path, root: str) -> Path:
    path = folder.parent.parent / "packed.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, root)
    return path


def test_a_folder_is_taken_as_it_lies(run):
    assert opened(run) >= READ
    assert opened(run.parent) >= READ
    assert opened(Path("smoke"), run.parent) >= READ


@pytest.mark.parametrize("root", [".", "smoke", "a/kit/reports/smoke"])
def test_of_an_archive_only_what_is_read_is_unpacked(run, root):
    assert opened(packed(run, root)) == READ


def test_nothing_of_an_archive_is_left_behind(run):
    with opening.opened(packed(run, "smoke"), Path("nowhere")) as root:
        pass
    assert not root.exists()


def test_several_runs_are_not_guessed_among(run):
    shutil.copytree(run, run.with_name("mini"))
    with pytest.raises(IncomparableError, match=r"holds 2 runs \(mini, smoke\)"):
        opened(run.parent)
    with pytest.raises(IncomparableError, match=r"holds 2 runs \(reports/mini, reports/smoke\)"):
        opened(packed(run.parent, "reports"))


def test_what_is_no_run_is_named(run, tmp_path):
    with pytest.raises(IncomparableError, match="nowhere: there is no such file or folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(IncomparableError, match="holds no finished stage"):
        opened(tmp_path / "empty")
    (tmp_path / "file").write_text("text")
    with pytest.raises(DataError, match="no archive that can be read"):
        opened(tmp_path / "file")
    with pytest.raises(IncomparableError, match="holds no finished stage"):
        opened(packed(run / "provenance", "provenance"))
