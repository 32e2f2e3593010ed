"""A verification finds each damage, names it with the next step, and breaks over none."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.data import digests
from bench.errors import BenchError, MachineError
from bench.grid import keys, store, study
from bench.grid.plan import plan
from bench.grid.store import Store
from bench.records import Outcome
from bench.run import checkout, provenance, verify
from bench.run.outcomes import bare_record
from bench.run.slots import Slots
from bench.run.verify import Verification
from tests.amended import amend

ROOT = Path(__file__).parent.parent
WHOLE = study.load("smoke")
#: One size of it is enough, and is no other for its keys.
SMOKE = WHOLE.model_copy(update={"sizes": WHOLE.sizes[1:2]})
TRAIN = "cells/mt-fft-2m/multi-task/train"
IMAGES = {"run": "1" * 64, "score": "2" * 64}
SOURCES = keys.sources(ROOT)


@pytest.fixture(autouse=True)
def known_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout's sources are read once, whoever edits them meanwhile."""
    monkeypatch.setattr(keys, "sources", lambda root, entries=keys.ENTRIES: SOURCES)


def made(folder: Path, images: dict[str, str] | None = None) -> Path:
    """A finished run of the smoke study with real keys and small outputs."""
    results = Store(folder)
    ingredients = keys.Ingredients(
        sources=SOURCES,
        environment=keys.environment(ROOT, images),
        data=lambda tasks: digests.of_stages(SMOKE, tasks, None),
    )
    named = {name: {"reference": f"bench-{name}:1", "id": id_} for name, id_ in IMAGES.items()}
    content = provenance.collect(
        SMOKE,
        ROOT,
        executor="venv" if images is None else "container",
        images=None if images is None else named,
        command=["bench", "run"],
        slots=Slots(2),
        data={},
    )
    name = provenance.write(folder, content, SMOKE)
    for stage in plan(SMOKE, study.expand(SMOKE), results, ingredients):
        work, _ = results.prepare(stage.owner, stage.stage, stage.key, stage.made_of)
        (work / "model").mkdir()
        (work / "model" / "weights.bin").write_bytes(stage.id.encode())
        (work / "log.txt").write_text("done")
        record = bare_record(stage.key, stage.stage, Outcome.OK, None)
        store.seal(work, dataclasses.replace(record, provenance=name))
        results.publish(stage.owner, stage.stage)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody touches."""
    return made(tmp_path_factory.mktemp("whole") / "smoke")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(whole, tmp_path / "smoke")
    return tmp_path / "smoke"


def check(folder: Path, **options: Any) -> Verification:
    return verify.verify(folder, ROOT, **options)


def test_a_whole_run_matches(whole: Path) -> None:
    found = check(whole)
    assert found.wrong == ()
    assert found.unchecked == ()
    assert (found.stages, found.files) == (18, 36)
    assert found.bytes == sum(
        path.stat().st_size for name in ("weights.bin", "log.txt") for path in whole.rglob(name)
    )


def remake(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a stage was made of, with a key that fits, as another kit would leave it."""
    content = json.loads((path / "key.json").read_bytes())
    change(content)
    (path / "key.json").write_bytes(keys.canonical_json(content))
    amend(path / "record.json", key=hashlib.sha256(keys.canonical_json(content)).hexdigest())


#: What is done to the stage's folder, then where it is found and what is said of it.
DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "changed": (
        lambda stage: (stage / "model" / "weights.bin").write_bytes(b"other"),
        f"{TRAIN}/model/weights.bin",
        "its SHA-256 is not the recorded one",
    ),
    "lost": (
        lambda stage: (stage / "model" / "weights.bin").unlink(),
        f"{TRAIN}/model/weights.bin",
        "is missing",
    ),
    "foreign": (
        lambda stage: (stage / "model" / "pickle.bin").write_bytes(b"x"),
        f"{TRAIN}/model/pickle.bin",
        "is not in the stage's record",
    ),
    "truncated record": (
        lambda stage: (stage / "record.json").write_bytes(b'{"key": "'),
        TRAIN,
        "record.json is missing, truncated, altered or of another version",
    ),
    "no record": (lambda stage: (stage / "record.json").unlink(), TRAIN, "record.json is missing"),
    "no ingredients": (lambda stage: (stage / "key.json").unlink(), TRAIN, "key.json is missing"),
    "other ingredients": (
        lambda stage: amend(stage / "key.json", recipe=7),
        TRAIN,
        "key.json is not what the record's key is the SHA-256 of",
    ),
    "another stage's": (
        lambda stage: amend(stage / "record.json", stage="score"),
        TRAIN,
        "record.json is of a stage score",
    ),
    "not ok": (
        lambda stage: amend(stage / "record.json", outcome="oom"),
        TRAIN,
        "record.json is of a stage train that ended as oom",
    ),
    "outside": (
        lambda stage: amend(stage / "record.json", files={"../../x": "0" * 64}),
        f"{TRAIN}/../../x",
        "lies outside the stage's folder",
    ),
    "no provenance": (
        lambda stage: amend(stage / "record.json", provenance="0" * 12),
        TRAIN,
        "provenance/000000000000.json, which is not here",
    ),
    "source": (
        lambda stage: remake(
            stage, lambda made: made["sources"].update({"bench/train/loss.py": "0"})
        ),
        TRAIN,
        "source bench/train/loss.py is not that of the checkout",
    ),
    "lock": (
        lambda stage: remake(
            stage, lambda made: made["environment"].update(locks={"run.txt": "0"})
        ),
        TRAIN,
        "lock run.txt is not that of the checkout",
    ),
    "option": (
        lambda stage: remake(stage, lambda made: made["config"].update(seed=1)),
        TRAIN,
        "option seed: 1 → 42, in the study smoke",
    ),
    "data": (
        lambda stage: remake(
            stage,
            lambda made: made["data"].update({"datasets/embedded/functions.jsonl": "0" * 64}),
        ),
        "datasets/embedded/functions.jsonl",
        "functions.jsonl is not what the stages read",
    ),
    "upstream": (
        lambda stage: remake(stage, lambda made: made["upstream"].update(base="0" * 64)),
        TRAIN,
        "it was made from another base than the one that lies beside it",
    ),
    "recipe": (
        lambda stage: remake(stage, lambda made: made.update(recipe=2)),
        TRAIN,
        "its key is of recipe 2, this kit's is 3",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_damage_is_named_with_its_place_and_the_next_step(run: Path, damage: str) -> None:
    spoil, where, what = DAMAGE[damage]
    spoil(run / TRAIN)
    found = [one for one in check(run).wrong if one.where == where and what in one.what]
    assert len(found) == 1
    assert found[0].next


def test_what_builds_on_a_replaced_stage_is_told(run: Path) -> None:
    remake(run / TRAIN, lambda made: made["config"].update(seed=1))
    found = {one.where: one.what for one in check(run).wrong}
    assert found["cells/mt-fft-2m/multi-task/generate"] == (
        "it was made from another train than the one that lies beside it"
    )


BROKEN = (b"", b"{", b"[]", b"null", b'{"schema": 1}', b"\xff\xfe", b'{"schema": NaN}', b"7")


@pytest.mark.parametrize(
    "name",
    [f"{TRAIN}/record.json", f"{TRAIN}/key.json", "run.json", "study.json", "provenance/*.json"],
)
def test_no_broken_file_is_a_traceback(run: Path, name: str) -> None:
    (path,) = run.glob(name)
    for content in BROKEN:
        path.write_bytes(content)
        places = [one.where for one in check(run).wrong]
        assert any(path.name in where or where == TRAIN for where in places)


@pytest.mark.parametrize("part", ["config", "sources", "data", "environment", "upstream"])
def test_no_foreign_key_is_a_traceback(run: Path, part: str) -> None:
    values: tuple[Any, ...] = (None, 7, [], "x", {"locks": 7, "image": 7, "": ""}, {"a": {}})
    for value in values:
        remake(run / TRAIN, lambda made, value=value: made.update({part: value}))
        found = check(run)
        assert found.wrong or found.unchecked


def test_foreign_things_are_told_and_unfinished_work_is_not_checked(run: Path) -> None:
    (run / "notes.txt").write_text("mine")
    (run / "cells" / "mt-fft-2m" / "multi-task" / "weights").write_text("a file")
    results = Store(run)
    work, _ = results.prepare("cells/mt-fft-2m/multi-task", "train", "0" * 64)
    store.write_record(work, bare_record("0" * 64, "train", Outcome.OOM, "no memory"))
    shutil.copytree(run / "cells" / "mt-fft-2m", run / "cells" / "mt-fft-9m")
    found = check(run)
    assert {(one.where, one.what) for one in found.wrong} == {
        ("cells/mt-fft-2m/multi-task/weights", "is no stage of a run"),
        ("cells/mt-fft-9m/multi-task/generate", "the study smoke has no such cell or size"),
    }
    assert {one.where for one in found.unchecked} == {
        "notes.txt",
        "cells/mt-fft-2m/multi-task/train.partial",
    }
    assert found.stages == 18 + 3


def test_what_is_not_here_is_not_checked_and_says_why(run: Path) -> None:
    shutil.rmtree(run / TRAIN)
    data = {"public/file.jsonl": "0" * 64, "hub/maker/set/data.parquet": "0" * 64}
    remake(run / "bases/2m/score", lambda made: made["data"].update(data))
    amend(run / "bases/2m/score/record.json", provenance=None)
    found = check(run)
    assert found.wrong == ()
    told = {one.where: one.what for one in found.unchecked}
    assert told["cells/mt-fft-2m/multi-task/generate"].startswith("the train that it builds on")
    assert told["data"].startswith("2 of 4 data files are not in ")
    assert told["data"].endswith("name it: --mirror DIR")
    assert told["bases/2m/score"] == "its record names no provenance"


def test_public_data_are_hashed_where_they_lie(run: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    files = {"public/a.jsonl": "public/a.jsonl", "hub/x/y/a.bin": "hub/x/y/revision/a.bin"}
    for place in files.values():
        (mirror / place).parent.mkdir(parents=True)
        (mirror / place).write_text(place)
    recorded = {name: hashlib.sha256(place.encode()).hexdigest() for name, place in files.items()}
    remake(run / "bases/2m/score", lambda made: made["data"].update(recorded))
    assert check(run, mirror=mirror).wrong == ()
    for place in files.values():
        (mirror / place).write_text("other")
    assert {one.where for one in check(run, mirror=mirror).wrong} == set(files)


def test_a_changed_study_is_told_option_by_option(run: Path) -> None:
    lora = SMOKE.training.lora.model_copy(update={"rank": 16})
    training = SMOKE.training.model_copy(update={"lora": lora})
    (told,) = check(run, study=SMOKE.model_copy(update={"training": training})).wrong
    assert told.what == "option training.lora.rank: 8 → 16, in the study smoke"
    assert told.places == 4  # the trainings by QLoRA


def test_a_study_that_is_not_in_the_checkout_is_asked_for(run: Path) -> None:
    own = SMOKE.model_copy(update={"name": "mine"})
    (run / "study.json").write_bytes(keys.canonical_json(study.canonical(own)))
    amend(run / "run.json", study_sha256=keys.digest(study.canonical(own)))
    (told,) = check(run).unchecked
    assert told.where == "study.json"
    assert "--study FILE" in told.what


@dataclasses.dataclass
class Engine:
    """A container engine that knows some images."""

    ids: dict[str, str]
    name: str = "podman"


@pytest.mark.parametrize(
    ("ids", "wrong", "not_checked"),
    [
        ({"bench-run:1": "1" * 64, "bench-score:1": "2" * 64}, [], []),
        ({"bench-run:1": "1" * 64}, [], ["podman has no such image"]),
        ({"bench-run:1": "9" * 64, "bench-score:1": "2" * 64}, ["bench-run:1 is another"], []),
        (None, [], ["no engine"]),
    ],
)
def test_images_are_compared_where_an_engine_answers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ids: dict[str, str] | None,
    wrong: list[str],
    not_checked: list[str],
) -> None:
    def find() -> Engine:
        if ids is None:
            raise MachineError("no engine", hint="install one")
        return Engine(ids)

    monkeypatch.setattr(checkout.engine, "find", find)
    held = lambda engine, name: (engine.ids[name], 1) if name in engine.ids else None  # noqa: E731
    monkeypatch.setattr(checkout.identity, "of", held)
    found = check(made(tmp_path / "smoke", IMAGES))
    for told, expected in ((found.wrong, wrong), (found.unchecked, not_checked)):
        assert len(told) == len(expected)
        assert all(words in one.what for one, words in zip(told, expected, strict=True))


def test_a_folder_that_is_no_run_is_a_users_mistake(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(BenchError, match="is no run"):
            check(path)


def test_the_command_tells_it_and_its_code_is_the_answer(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = functools.partial(cli.main, ["verify", "smoke", "--results", str(run.parent)])
    assert command() == 0
    assert "everything matches" in capsys.readouterr().out
    (run / TRAIN / "log.txt").write_text("other")
    (run / "bases/2m/base/log.txt").write_text("other")
    assert command() == 1
    told = capsys.readouterr().out
    assert f"does not match: {TRAIN}/log.txt: its SHA-256 is not the recorded one" in told
    assert f"next: delete {run / TRAIN} and give the run's command again" in told
    assert cli.main(["verify", str(run / "absent")]) == 2
    assert cli.main(["verify", str(run), "--with", "rq3"]) == 2
    assert "add --study NAME" in capsys.readouterr().err


def test_a_pipe_in_a_run_does_not_hang_it(run: Path) -> None:
    (run / TRAIN / "log.txt").unlink()
    os.mkfifo(run / TRAIN / "log.txt")
    assert [one.what for one in check(run).wrong] == ["is missing"]
