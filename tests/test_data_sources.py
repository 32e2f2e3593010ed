"""Sources: a file that is not the listed one is never read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench.data import sources
from bench.data.sources import Source, locate, manifest
from bench.errors import BenchError, DataError

CONTENT = b'{"a": 1}\n{"a": 2}\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(content=CONTENT, rows=2, unit="lines", path="set/a.jsonl"):
    sha256 = hashlib.sha256(content).hexdigest()
    known = Source(path, rows, unit, len(content), sha256, "o/r", "c" * 40, "a", "same", "MIT")
    return {path: known}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jsonl").write_bytes(CONTENT)
    return tmp_path


def test_a_verified_file_is_found_and_not_hashed_again(folder, monkeypatch):
    file = locate("set/a.jsonl", folder, entry())
    assert file.read_bytes() == CONTENT
    monkeypatch.setattr(sources, "_verify", lambda *_: pytest.fail("hashed again"))
    assert locate("set/a.jsonl", folder, entry()) == file


def test_a_change_after_verification_is_noticed(folder):
    locate("set/a.jsonl", folder, entry())
    (folder / "set" / "a.jsonl").write_bytes(CONTENT.replace(b"2", b"3"))
    with pytest.raises(DataError, match=r"a\.jsonl: changed: its SHA-256 is \w{12}…, expected"):
        locate("set/a.jsonl", folder, entry())


def test_what_is_wrong_with_a_file_is_told_in_one_line(folder):
    file = folder / "set" / "a.jsonl"
    with pytest.raises(DataError, match=r"2 lines, expected 3 — the file is as listed"):
        locate("set/a.jsonl", folder, entry(rows=3))
    file.write_bytes(CONTENT[:-3])
    with pytest.raises(DataError, match=r"a\.jsonl: truncated: 15 bytes, expected 18 — put it"):
        locate("set/a.jsonl", folder, entry())
    file.write_bytes(CONTENT + b"\n")
    with pytest.raises(DataError, match=r"a\.jsonl: changed: 19 bytes, expected 18"):
        locate("set/a.jsonl", folder, entry())
    file.unlink()
    with pytest.raises(DataError, match=r"lacks this file — put it there from o/r@cccccccccccc: a"):
        locate("set/a.jsonl", folder, entry())
    with pytest.raises(DataError, match="no such folder — check --mirror"):
        locate("set/a.jsonl", folder / "none", entry())
    with pytest.raises(DataError, match="--mirror DIR"):
        locate("set/a.jsonl", None, entry())
    with pytest.raises(BenchError, match=r"unknown data file 'set/b\.jsonl' — did you mean"):
        locate("set/b.jsonl", folder, entry())


def test_without_a_mirror_the_fetched_folder_is_read(cache):
    with pytest.raises(DataError, match=r"not fetched — fetch it: nox -s fetch -- --study NAME"):
        locate("set/a.jsonl", None, entry())
    file = cache / "data" / "set" / "a.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT[:-3])
    with pytest.raises(DataError, match=r"a\.jsonl: truncated: .* — fetch it: nox -s fetch"):
        locate("set/a.jsonl", None, entry())
    file.write_bytes(CONTENT)
    assert locate("set/a.jsonl", None, entry()) == file


def test_an_unusable_cache_only_costs_time(folder, cache):
    cache.write_text("a file where the folder should be")
    assert locate("set/a.jsonl", folder, entry()).is_file()
    cache.unlink()
    cache.mkdir()
    (cache / "verified.json").write_text("[")
    assert locate("set/a.jsonl", folder, entry()).is_file()
    assert len(json.loads((cache / "verified.json").read_text())) == 1
    assert len(list(cache.iterdir())) == 1


def test_the_manifest_is_whole():
    entries = manifest()
    assert len(entries) == 245
    for known in entries.values():
        assert len(known.sha256) == 64
        assert len(known.commit) == 40
        assert known.bytes > 0
        assert known.licence
        assert known.form in ("same", "gzip", "derived")
        assert not Path(known.path).is_absolute()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("path\trows", "path\tlines", "its columns are"),
        ("\tlines\t", "\tpages\t", r":\d+: not a whole entry"),
        ("\tMIT", "", r":\d+: not a whole entry"),
    ],
)
def test_a_broken_manifest_is_told(tmp_path, old, new, message):
    path = tmp_path / "sources.tsv"
    path.write_text(sources.MANIFEST.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        manifest(path)


def test_every_file_of_the_mirror_is_the_listed_one(mirror):
    for path in manifest():
        locate(path, mirror)
