"""Kept rows: made once by whoever comes first, verified when read, never needed."""

from __future__ import annotations

import multiprocessing
import os
import stat
import time

import numpy as np
import pytest

from bench.data import rowcache
from bench.data.packing import PackedRows
from bench.data.rowcache import RowCache
from bench.records import Tokens

pytest.importorskip("pyarrow")
KEY = "0123456789abcdef" * 4


def rows(seed=0, count=6, width=32):
    random = np.random.default_rng(seed)
    ids, positions, labels = random.integers(0, 999, (3, count, width), dtype=np.int32)
    return PackedRows(ids, positions, labels, Tokens(192, 100, 50), 9, 1, 3)


def same(left, right):
    arrays = ("input_ids", "position_ids", "labels")
    counts = ("tokens", "documents", "cut_documents", "dropped_tokens")
    return all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in arrays
    ) and all(getattr(left, name) == getattr(right, name) for name in counts)


def entry(cache):
    (path,) = (cache / "rows").glob("*.arrow")
    return path


def never():
    raise AssertionError("made again")


def test_rows_come_back_as_they_were_made(tmp_path):
    made = rows()
    assert RowCache(tmp_path).get(KEY, lambda: made) is made
    again = RowCache(tmp_path)
    kept = again.get(KEY, never)
    assert same(kept, made)
    assert kept.input_ids.tobytes() == made.input_ids.tobytes()
    assert kept.labels.flags.writeable
    assert (kept.documents, kept.cut_documents, kept.dropped_tokens) == (9, 1, 3)
    assert (again.told, again.notes) == ("reused", [])
    assert stat.S_IMODE(entry(tmp_path).stat().st_mode) == 0o644


@pytest.mark.parametrize("where", ["ids", "labels", "counts", "half", "empty", "text"])
def test_an_altered_entry_is_made_again_and_said(tmp_path, where):
    made = rows()
    RowCache(tmp_path).get(KEY, lambda: made)
    path = entry(tmp_path)
    content = path.read_bytes()
    if where in ("ids", "labels"):
        array = made.input_ids if where == "ids" else made.labels
        at = content.index(array[2].tobytes())
        content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    elif where == "counts":
        content = content.replace(b"[192, 100, 50]", b"[192, 100, 51]")
    else:
        content = {"half": content[: len(content) // 2], "empty": b"", "text": b"no rows"}[where]
    assert content != path.read_bytes()
    path.write_bytes(content)
    cache = RowCache(tmp_path)
    assert same(cache.get(KEY, lambda: made), made)
    assert cache.told == "made"
    assert len(cache.notes) == 1
    assert path.name in cache.notes[0]
    assert "made again" in cache.notes[0]
    assert same(RowCache(tmp_path).get(KEY, never), made)


def test_no_byte_of_an_entry_can_be_altered_unnoticed(tmp_path):
    """Of padding and metadata, too: rows that train are those that were written."""
    made = rows(count=1, width=8)
    RowCache(tmp_path).get(KEY, lambda: made)
    path = entry(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        cache = RowCache(tmp_path)
        assert cache._read(path) is None, at
        assert cache.notes == [
            f"the kept rows {path.name} are made again: it is not as it was written"
        ]
    for content in (whole[:-1], whole + b"\0", whole[:31], whole * 2, b""):
        path.write_bytes(content)
        assert RowCache(tmp_path)._read(path) is None
    path.write_bytes(whole)
    assert same(RowCache(tmp_path).get(KEY, never), made)


@pytest.mark.parametrize("what", ["folder", "pipe", "endless", "loop"])
def test_what_is_no_file_in_an_entry_s_place_is_no_entry(tmp_path, what):
    path = tmp_path / "rows" / f"{KEY}.arrow"
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if what == "endless" else path)
    cache = RowCache(tmp_path)
    assert same(cache.get(KEY, rows), rows())
    assert cache.told == "made"


def test_other_readers_of_arrow_open_an_entry(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = rows()
    RowCache(tmp_path).get(KEY, lambda: made)
    opened = datasets.Dataset.from_file(str(entry(tmp_path)))
    assert opened["input_ids"][2] == made.input_ids[2].tolist()


def _make_slowly(cache, journal, barrier):
    def make():
        with journal.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return rows()

    barrier.wait()
    mine = RowCache(cache)
    assert same(mine.get(KEY, make), rows())
    os._exit(10 + mine.made)


def test_of_those_who_want_the_same_one_makes_it(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    journal = tmp_path / "journal"
    workers = [
        context.Process(target=_make_slowly, args=(tmp_path, journal, barrier)) for _ in range(4)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join(20)
    assert sorted(one.exitcode for one in workers) == [10, 10, 10, 11]
    assert journal.read_text() == "made\n"
    assert sorted(path.suffix for path in (tmp_path / "rows").iterdir()) == ["", ".arrow"]


def test_what_a_killed_maker_left_goes(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / f"{KEY}.x1.tmp").write_bytes(b"half")
    RowCache(tmp_path).get(KEY, rows)
    assert not list((tmp_path / "rows").glob("*.tmp"))


def test_a_cache_that_cannot_be_written_costs_time_and_says_so(tmp_path):
    (tmp_path / "rows").write_text("a file in the way")  # root may write anywhere else
    cache = RowCache(tmp_path)
    assert same(cache.get(KEY, rows), rows())
    assert cache.told == "made"
    assert any("not kept" in note for note in cache.notes)


def test_without_pyarrow_rows_are_made_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(rowcache, "_arrow", lambda: None)
    cache = RowCache(tmp_path)
    assert same(cache.get(KEY, rows), rows())
    assert same(cache.get(KEY, rows), rows())
    assert (cache.made, cache.reused) == (2, 0)
    assert not list((tmp_path / "rows").glob("*.arrow"))
