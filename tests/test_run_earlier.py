"""What is taken from an earlier run is whole and that run's own; a fault takes nothing."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from bench.errors import BenchError, DataError
from bench.grid import keys, store, study
from bench.grid.store import Store
from bench.records import Outcome
from bench.run import earlier
from bench.run.outcomes import bare_record
from tests import fabricated_run
from tests.amended import amend

SMOKE = study.load("smoke")
MODEL = "cells/mt-qlora-2m/multi-task"


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fabricated_run.fabricate(tmp_path_factory.mktemp("earlier") / "smoke")
    (folder / "run.json").write_text(json.dumps({"schema": 1, "study": "smoke"}))
    for record in folder.rglob("record.json"):
        os.utime(record, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def before(fabricated: Path, tmp_path: Path) -> Path:
    """The folder of the earlier run, to be damaged."""
    return shutil.copytree(fabricated, tmp_path / "before" / "smoke")


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "smoke")


def take(path: Path, results: Store, *patterns: str, **options) -> earlier.Taken:
    with results.locked():
        return earlier.take(path, SMOKE, study.select(SMOKE, patterns), results, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def finish(
    results: Store, owner: str, stage: str, key: str, content: str = "x", **upstream
) -> None:
    """A finished stage with a file and, where it is told, what it was made from."""
    parts = ("config", "sources", "data", "environment", "machine")
    made = keys.canonical_json({**{part: {} for part in parts}, "recipe": 3, "upstream": upstream})
    key = keys.key_of(made) if upstream else key
    work, _ = results.prepare(owner, stage, key, made if upstream else None)
    (work / "output").write_text(content)
    store.seal(work, bare_record(key, stage, Outcome.OK, None))
    results.publish(owner, stage)


def packed(folder: Path, name: str, root: str = "") -> Path:
    path = folder.parent / name
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, root or folder.name)
    return path


@pytest.mark.parametrize("form", ["folder", "parent", "archive", "nested", "bare"])
def test_stages_are_taken_as_they_lie(before, results, form):
    path = {
        "folder": lambda: before,
        "parent": lambda: before.parent,
        "archive": lambda: packed(before, "a.tar.gz"),
        "nested": lambda: packed(before, "a.tar.gz", "kit/reports/smoke"),
        "bare": lambda: packed(before, "a.tar.gz", "."),
    }[form]()
    taken = take(path, results)
    assert len(taken.stages) == 3 * 3 + 15 * 3
    assert (taken.present, taken.kept, taken.absent) == ((), (), ())
    assert files(results.folder) == files(before)
    assert not list(results.folder.glob(".taking-*"))


def test_taking_again_changes_nothing(before, results):
    take(before, results)
    stamps = {path: path.stat().st_mtime_ns for path in results.folder.rglob("record.json")}
    again = take(packed(before, "a.tar.gz"), results)
    assert again.stages == ()
    assert len(again.present) == 54
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_only_the_chosen_cells_and_their_bases_come(before, results):
    taken = take(before, results, "mt-*-2m")
    assert {name.rpartition("/")[0] for name in taken.stages} == {
        MODEL,
        "cells/mt-fft-2m/multi-task",
        "bases/2m",
    }


def test_a_cell_of_which_nothing_is_there_is_told(before, results):
    shutil.rmtree(before / "cells" / "mt-fft-2m")
    assert take(before, results).absent == ("mt-fft-2m",)


def damaged(before: Path, how: str) -> None:
    scores = before / MODEL / "score" / "scores.json"
    if how == "changed":
        scores.write_bytes(scores.read_bytes().replace(b"0", b"1", 1))
    elif how == "cut":
        scores.write_bytes(scores.read_bytes()[:-1])
    elif how == "missing":
        scores.unlink()
    elif how == "a link":
        scores.rename(before / "elsewhere")
        scores.symlink_to(before / "elsewhere")
    elif how == "no record":
        (scores.parent / "record.json").unlink()
    elif how == "half a record":
        record = scores.parent / "record.json"
        record.write_bytes(record.read_bytes()[:50])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("changed", "scores.json: changed: SHA-256"),
        ("cut", "scores.json: changed: SHA-256"),
        ("missing", "scores.json: missing"),
        ("a link", "scores.json: missing"),
        ("no record", "record.json is missing or damaged"),
        ("half a record", "record.json is missing or damaged"),
    ],
)
def test_a_fault_is_one_line_and_nothing_is_taken(before, results, how, told):
    damaged(before, how)
    with pytest.raises(DataError) as error:
        take(before, results)
    assert f"{MODEL}/score" in error.value.problem
    assert told in error.value.problem
    assert "--cells" in error.value.hint
    assert files(results.folder) == {}
    assert list(results.folder.iterdir()) == [results.folder / ".lock"]
    take(before, results, "st-*")


def test_a_damaged_file_in_an_archive_takes_nothing(before, results):
    damaged(before, "changed")
    with pytest.raises(DataError, match=r"scores\.json: changed"):
        take(packed(before, "a.tar.gz"), results)
    assert files(results.folder) == {}


def test_a_record_cannot_name_files_elsewhere(before, results):
    record = before / MODEL / "score" / "record.json"
    amend(record, files={"../../../../../../etc/passwd": "0" * 64})
    with pytest.raises(DataError, match="leads out of its stage"):
        take(before, results)


def test_a_key_that_is_not_that_of_its_ingredients_is_told(before, results):
    (before / MODEL / "score" / store.MADE_OF).write_text("{}")
    with pytest.raises(DataError, match=r"key\.json: changed"):
        take(before, results)


def test_files_that_no_record_names_stay_where_they_are(before, results):
    (before / MODEL / "score" / "notes.txt").write_text("mine")
    take(before, results)
    assert not (results.path(MODEL, "score") / "notes.txt").exists()


def test_stages_that_are_not_finished_are_left_out(before, results):
    (before / MODEL / "score").rename(before / MODEL / "score.partial")
    assert f"{MODEL}/score" not in take(before, results).stages


@pytest.mark.parametrize("file", ["run.json", "study.json"])
def test_a_run_of_another_study_is_refused(before, results, file):
    (before / file).write_text(json.dumps({"study": "mini", "name": "mini"}))
    with pytest.raises(DataError, match="a run of the study mini, not of smoke") as error:
        take(packed(before, "a.tar.gz"), results)
    assert "--study mini" in error.value.hint


def test_a_cell_that_the_study_has_not_is_named_with_the_nearest(before, results):
    shutil.copytree(before / "cells" / "mt-qlora-2m", before / "cells" / "mt-qlora-3m")
    with pytest.raises(BenchError, match="unknown cell 'mt-qlora-3m'") as error:
        take(packed(before, "a.tar.gz"), results)
    assert "mt-qlora-2m" in error.value.hint
    assert len(take(before, results, "mt-qlora-2m").stages) == 6


def test_a_cell_of_an_option_names_the_option(before, results, monkeypatch):
    paper = study.load("paper")
    (before / "run.json").unlink()
    shutil.rmtree(before / "bases")
    for cell in (before / "cells").iterdir():
        shutil.rmtree(cell)
    shutil.copytree(
        fabricated_run.fabricate(before.parent / "more") / MODEL,
        before / "cells" / "mt-qlora-3b-generation-translation" / "multi-task",
    )
    with pytest.raises(BenchError) as error, results.locked():
        earlier.take(before, paper, study.expand(paper), results)
    assert error.value.hint == "add --with rq3"


def test_a_model_that_the_cell_has_not_is_named(before, results):
    (before / "cells" / "mt-qlora-2m" / "multi-task").rename(before / "cells/mt-qlora-2m/other")
    with pytest.raises(DataError, match="the model other of mt-qlora-2m"):
        take(before, results)


def test_what_is_no_run_is_told(tmp_path, results):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError):
            take(path, results)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a").write_text("x")
    with pytest.raises(DataError, match="holds no finished stage"):
        take(packed(tmp_path / "notes", "a.tar.gz"), results)


def test_an_archive_of_several_runs_gives_the_one_of_the_study(before, results):
    shutil.copytree(before, before.parent / "mini")
    both = packed(before.parent, "both.tar.gz", "reports")
    assert len(take(both, results).stages) == 54
    before.rename(before.parent / "other")
    with pytest.raises(DataError, match="holds several runs"):
        take(packed(before.parent, "neither.tar.gz", "reports"), results)


def test_a_model_that_lies_here_is_not_overwritten(before, results):
    finish(results, MODEL, "train", "mine")
    mine = files(results.path(MODEL, "train"))
    taken = take(before, results)
    assert taken.kept == (MODEL,)
    assert not [name for name in taken.stages if name.startswith(MODEL)]
    assert files(results.path(MODEL, "train")) == mine
    assert not results.path(MODEL, "score").exists(), "scores of another training beside it"


def test_a_newer_one_stays_even_if_asked(before, results):
    finish(results, MODEL, "train", "mine")
    assert take(before, results, replace_older=True).kept == (MODEL,)


def test_an_older_one_is_replaced_as_a_whole_if_asked(before, results):
    for stage in ("train", "generate", "score"):
        finish(results, MODEL, stage, "mine")
        os.utime(results.path(MODEL, stage) / "record.json", (1_600_000_000, 1_600_000_000))
    shutil.rmtree(before / MODEL / "score")
    taken = take(before, results, replace_older=True)
    assert taken.kept == ()
    assert files(results.folder / MODEL) == files(before / MODEL)


def test_missing_stages_of_the_same_training_are_added(before, results):
    take(before, results)
    shutil.rmtree(results.path(MODEL, "score"))
    taken = take(before, results)
    assert taken.stages == (f"{MODEL}/score",)
    assert taken.kept == ()


def test_generations_of_another_training_are_not_mixed_in(before, results):
    """Two archives, one with models, one with generations: they must fit as far as is known."""
    there = Store(before)
    shutil.rmtree(before / MODEL)
    finish(there, MODEL, "generate", "", train="the key of a training")
    finish(results, MODEL, "train", "the key of another training")
    assert take(before, results).kept == (MODEL,)
    shutil.rmtree(results.folder / MODEL)
    finish(results, MODEL, "train", "the key of a training")
    assert take(before, results).stages == (f"{MODEL}/generate",)


def test_the_provenance_that_the_stages_name_comes_with_them(before, results):
    told = {"schema": 1, "study": "smoke", "git": {"commit": "a"}}
    name = keys.digest(told)[:12]
    (before / "provenance").mkdir()
    file = before / "provenance" / f"{name}.json"
    file.write_text(json.dumps({**told, "time": "2024"}))
    record = before / MODEL / "score" / "record.json"
    amend(record, provenance=name)
    (results.folder).mkdir(parents=True)
    (results.folder / "run.json").write_text('{"mine": 1}')
    take(before, results)
    assert (results.folder / "provenance" / f"{name}.json").read_bytes() == file.read_bytes()
    assert (results.folder / "run.json").read_text() == '{"mine": 1}'


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_a_provenance_that_is_not_the_named_one_is_told(before, results, how):
    record = before / MODEL / "score" / "record.json"
    amend(record, provenance="abc")
    (before / "provenance").mkdir()
    if how == "changed":
        (before / "provenance" / "abc.json").write_text("{}")
    with pytest.raises(DataError, match=r"provenance/abc\.json: missing or changed"):
        take(before, results)
    assert files(results.folder) == {}


def test_what_a_killed_taker_left_is_cleared(before, results):
    left = results.folder / ".taking-1" / "whole"
    left.mkdir(parents=True)
    take(before, results)
    assert not left.exists()


def test_taking_a_run_into_itself_changes_nothing(before):
    results = Store(before)
    was = files(before)
    assert take(before, results).stages == ()
    assert files(before) == was
