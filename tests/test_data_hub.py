"""Hub repositories: resolved once, locked, refused when changed, found offline."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from bench.data import codetotext, hub
from bench.data.fetching import fetch, needs
from bench.data.fetching.download import Patience
from bench.data.fetching.needs import Needs
from bench.data.hub import Repository
from bench.data.hub import listing as hublisting
from bench.data.hub import lock as hublock
from bench.data.hub import tables as hubtables
from bench.errors import DataError, MachineError
from tests.stand_in import Behaviour, StandIn, serving

REVISION, LATER = "a" * 40, "b" * 40
MODEL = Repository("org/model", revision=REVISION)
WEIGHTS = os.urandom(300_000)
FILES = {
    "config.json": b'{"a": 1}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "onnx/model.onnx": b"another form",
    "onnx/config.json": b"{}",
    "README.md": b"text",
}
PATIENCE = Patience(timeout_s=2.0, attempts=2, sleep=lambda _: None)


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """No test touches the project's lock, the kit's cache or the machine's hub cache."""
    import huggingface_hub.constants

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hublock, "PATH", tmp_path / "project" / "hub.lock.json")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def server(monkeypatch):
    with serving(StandIn()) as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        stand_in.add_hub(MODEL.name, FILES, REVISION)
        yield stand_in


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def get(data, repository=MODEL, **options):
    return fetch.fetch(Needs((), (repository,)), data, patience=PATIENCE, **options)


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def rows(count, start=0):
    return [
        {
            "code": f"def f{number}(x):\n    '''Add {number}.'''\n    return x + {number}",
            "docstring": f"Return {number} more than it.",
            "code_tokens": ["def", f"f{number}"],
            "docstring_tokens": ["Return", str(number)],
        }
        for number in range(start, start + count)
    ]


def code_to_text(train=7, valid=3):
    """A small data set in the hub's layout and the repository that expects it."""
    files = {
        "python/train-00000-of-00002.jsonl": jsonl(rows(4)),
        "python/train-00001-of-00002.jsonl": jsonl(rows(3, 4)),
        "python/validation-00000-of-00001.jsonl": jsonl(rows(3, 100)),
    }
    expected = {"python": {"train": train, "validation": valid}}
    known = Repository("org/texts", "dataset", files=("python/*.jsonl",), rows=expected)
    return files, known


def test_only_weights_that_run_nothing_are_fetched(server, data):
    summary = get(data)
    assert not summary.failed
    folder = hub.folder(MODEL, data)
    assert folder == data / "hub" / "org" / "model" / REVISION
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    }
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.PT", "x/model.pkl"])
def test_no_pattern_reaches_a_pickle(name):
    greedy = Repository("org/model", files=("*", "*/*"))
    assert not hub.wanted(greedy, name)


@pytest.mark.parametrize("name", ["../../etc/config.json", "/etc/config.json"])
def test_a_name_that_leaves_the_folder_is_refused(name):
    with pytest.raises(DataError, match="a file named"):
        hub.wanted(MODEL, name)


def test_a_second_fetch_asks_for_nothing(server, data):
    get(data)
    server.requests.clear()
    summary = get(data)
    assert summary.here == (MODEL.name,)
    assert not summary.fetched
    assert server.requests == []


def test_a_model_continues_where_a_killed_fetch_stopped(server, data, tmp_path):
    path = f"/{MODEL.name}/resolve/{REVISION}/model.safetensors"
    server.behaviour[path] = Behaviour(cut_after=100_000, cuts=1)
    once = Patience(timeout_s=2.0, attempts=1, sleep=lambda _: None)
    first = fetch.fetch(Needs((), (MODEL,)), data, patience=once)
    assert "the connection ended after 100000 of 300000 bytes" in str(dict(first.failed))
    assert hub.find(MODEL, data) is None
    assert not get(data).failed
    assert server.asked("safetensors") == [None, "bytes=100000-"]
    assert (hub.folder(MODEL, data) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_revision_is_resolved_once_then_locked(server, data):
    files, texts = code_to_text()
    server.add_hub(texts.name, files, REVISION, "dataset")
    assert not get(data, texts).failed
    locked = hublock.load(data)[texts.name]
    assert locked.revision == REVISION
    assert set(locked.files) == set(files)
    assert json.loads(hublock.PATH.read_text()) == json.loads((data / "hub.lock.json").read_text())

    # Upstream goes on; a fetch elsewhere with this project asks for what was locked.
    changed = {**files, "python/train-00000-of-00002.jsonl": jsonl(rows(4, 50))}
    server.add_hub(texts.name, changed, LATER, "dataset")
    elsewhere = data.with_name("elsewhere")
    assert not get(elsewhere, texts).failed
    assert hublock.load(elsewhere)[texts.name].revision == REVISION
    assert hub.digests(texts, "python/train", elsewhere) == hub.digests(texts, "python/train", data)


def test_a_changed_upstream_file_is_refused(server, data):
    files, texts = code_to_text()
    server.add_hub(texts.name, files, REVISION, "dataset")
    get(data, texts)
    changed = {**files, "python/train-00000-of-00002.jsonl": jsonl(rows(4, 50))}
    server.add_hub(texts.name, changed, REVISION, "dataset")
    elsewhere = data.with_name("elsewhere")
    summary = get(elsewhere, texts)
    told = str(dict(summary.failed))
    assert "refused" in told
    assert "2 of 3 files" not in told
    assert hub.find(texts, elsewhere) is None
    assert not list(elsewhere.rglob("train-00000*"))


@pytest.mark.parametrize("large", [1, 10**9], ids=["sha256", "git name"])
def test_content_that_is_not_what_the_hub_listed_is_refused(server, data, large):
    server.add_hub(MODEL.name, FILES, REVISION, large=large)
    path = f"/{MODEL.name}/resolve/{REVISION}/model.safetensors"
    server.files[path] = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
    summary = get(data)
    told = str(dict(summary.failed))
    assert "refused, nothing was put in place" in told
    assert "1 of 3 files did not arrive" in told
    assert hub.find(MODEL, data) is None
    assert not hublock.PATH.exists()


def test_a_wrong_row_count_is_refused_and_not_locked(server, data):
    files, texts = code_to_text(train=8)
    server.add_hub(texts.name, files, REVISION, "dataset")
    summary = get(data, texts)
    error = dict(summary.failed)[texts.name]
    assert error.problem == "org/texts: python/train has 7 rows, expected 8; refused"
    assert not hublock.PATH.exists()
    assert hub.find(texts, data) is None


def test_a_repository_that_is_gone_and_one_without_what_is_wanted(server, data):
    gone = Repository("org/gone", revision=REVISION)
    assert "404" in str(dict(get(data, gone).failed)["org/gone"])
    server.add_hub("org/script", {"loader.py": b"", "README.md": b""}, REVISION, "dataset")
    script = Repository("org/script", "dataset", files=("python/*.parquet",))
    assert "none of python/*.parquet in it" in str(dict(get(data, script).failed)["org/script"])


def test_an_answer_that_is_no_hub_s(server, data):
    server.files[f"/api/models/{MODEL.name}/revision/{REVISION}"] = b"<html>a login page</html>"
    assert "not an answer of a model hub" in str(dict(get(data).failed))
    server.add_hub(MODEL.name, FILES, LATER)
    answer = server.files[f"/api/models/{MODEL.name}/revision/{LATER}"]
    server.files[f"/api/models/{MODEL.name}/revision/{REVISION}"] = answer
    assert "the hub answers with revision" in str(dict(get(data).failed))


def test_the_user_s_own_token_is_sent(server, data, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(data)
    assert {headers.get("Authorization") for headers in server.headers} == {"Bearer hf_secret"}


def test_a_kit_that_cannot_be_written_keeps_the_lock_beside_the_data(
    server, data, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(hublock, "PATH", tmp_path / "file" / "hub.lock.json")
    assert not get(data).failed
    assert hub.find(MODEL, data) is not None


def test_a_file_that_changed_later_is_told(server, data):
    get(data)
    weights = hub.folder(MODEL, data) / "model.safetensors"
    weights.write_bytes(WEIGHTS[::-1])
    with pytest.raises(DataError, match=r"model\.safetensors: changed: its SHA-256"):
        hub.folder(MODEL, data)
    weights.write_bytes(WEIGHTS[:-1])
    with pytest.raises(MachineError, match=r"org/model at a{12} is not on this machine"):
        hub.folder(MODEL, data)


def test_a_carried_folder_needs_no_project_lock(server, data, tmp_path, monkeypatch):
    get(data)
    carried = data.rename(tmp_path / "carried")
    monkeypatch.setattr(hublock, "PATH", tmp_path / "other" / "hub.lock.json")
    assert hub.folder(MODEL, carried) == carried / "hub" / "org" / "model" / REVISION


def test_a_broken_lock_is_named(tmp_path, data):
    hublock.PATH.parent.mkdir()
    hublock.PATH.write_text('{"repositories": {"a": {}}}')
    with pytest.raises(DataError, match=r"hub\.lock\.json: 'revision' is missing"):
        hublock.load(data)


def cached(tmp_path, name, files):
    """A snapshot as the hub's own library lays it out."""
    root = tmp_path / "hf" / f"models--{name.replace('/', '--')}"
    folder = root / "snapshots" / REVISION
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(REVISION)
    return folder


def test_a_model_in_the_hub_s_own_cache_is_used_if_it_is_whole(tmp_path, data):
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "m-1.safetensors": b"1",
    }
    folder = cached(tmp_path, MODEL.name, files)
    assert hub.find(MODEL, data) is None
    (folder / "m-2.safetensors").write_bytes(b"2")
    assert hub.find(MODEL, data) == folder
    assert get(data, offline=True).here == (MODEL.name,)
    (folder / "model.safetensors.index.json").write_text("[")
    assert hub.find(MODEL, data) is None


def test_the_manifest_pins_the_study_s_models_and_counts():
    known = hub.repositories()
    sizes = ("0.5B", "1.5B", "3B", "7B")
    for size in sizes:
        model = known[f"Qwen/Qwen2.5-Coder-{size}-Instruct"]
        assert len(model.revision) == 40
        assert model.licence.startswith("Qwen" if size == "3B" else "Apache")
    texts = codetotext.repository()
    assert texts.revision is None
    assert texts.rows == {
        "python": {"train": 251_820, "validation": 13_914, "test": 14_918},
        "java": {"train": 164_923, "validation": 5_183, "test": 10_955},
    }
    assert set(known) <= set(needs.citations())


def test_a_model_that_only_a_study_knows():
    own = hub.model("someone/else", REVISION)
    assert own == Repository("someone/else", revision=REVISION)
    newer = hub.model("Qwen/Qwen2.5-Coder-3B-Instruct", LATER)
    assert newer.revision == LATER
    assert newer.bytes is None
    assert newer.licence.startswith("Qwen")


def test_parquet_and_json_lines_give_the_same_rows(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import gzip

    import pyarrow.parquet

    some = rows(2500)
    pyarrow.parquet.write_table(arrow.Table.from_pylist(some), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_bytes(jsonl(some))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(jsonl(some)))
    fields = {"code": str, "docstring_tokens": list}
    read = [
        [{name: row[name] for name in fields} for row in hubtables.records(path, fields)]
        for path in sorted(tmp_path.iterdir())
    ]
    assert read[0] == read[1] == read[2]
    assert [hubtables.count_rows(path) for path in sorted(tmp_path.iterdir())] == [2500] * 3
    with pytest.raises(DataError, match=r"a\.parquet:1: field 'url' is missing"):
        list(hubtables.records(tmp_path / "a.parquet", {"url": str}))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        hubtables.count_rows(tmp_path / "a.parquet")


def test_null_fields_and_broken_lines_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"code": "x"}\n{"code": null}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: field 'code' is NoneType, not str"):
        list(hubtables.records(path, {"code": str}))
    path.write_text('{"code": "x"}\n{"code": \n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not valid JSON"):
        list(hubtables.records(path, {"code": str}))


def test_a_listing_of_a_locked_repository_asks_nobody(server, data):
    get(data)
    server.requests.clear()
    locked = hublock.load(data)[MODEL.key]
    listing = hublisting.of_locked(MODEL, locked)
    assert listing.bytes == locked.bytes == sum(len(FILES[path]) for path in locked.files)
    assert server.requests == []
    assert dataclasses.replace(MODEL, revision=None).key == "org/model"
