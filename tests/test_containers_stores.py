"""A store takes only what has the hash that was asked for, from wherever it lies."""

from __future__ import annotations

import hashlib

import pytest

from bench.containers.stores import Store, digest_of, link
from bench.errors import MachineError

CONTENT = b"a wheel"
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    return Store(tmp_path / "cache" / "wheels", (source,))


def test_a_file_of_the_users_is_copied(store):
    (store.sources[0] / "x.whl").write_bytes(CONTENT)
    assert store.take("x.whl", {HASH})
    (store.sources[0] / "x.whl").unlink()
    assert store.take("x.whl", {HASH})
    assert [path.name for path in store.folder.iterdir()] == ["x.whl"]


def test_a_folder_of_the_kind_below_the_users_is_looked_into(store):
    below = store.sources[0] / "wheels"
    below.mkdir()
    (below / "x.whl").write_bytes(CONTENT)
    assert store.take("x.whl", {HASH})


def test_other_content_is_passed_over(store):
    (store.sources[0] / "x.whl").write_bytes(b"another wheel")
    assert not store.take("x.whl", {HASH})
    store.folder.mkdir(parents=True)
    (store.folder / "x.whl").write_bytes(b"cut")
    assert not store.take("x.whl", {HASH})
    (store.sources[0] / "x.whl").write_bytes(CONTENT)
    assert store.take("x.whl", {HASH})
    assert (store.folder / "x.whl").read_bytes() == CONTENT


def test_a_download_that_differs_from_the_lock_is_refused(store):
    with store.scratch() as work:
        (work / "x.whl").write_bytes(b"another wheel")
        with pytest.raises(MachineError, match="differs from the lock"):
            store.put(work / "x.whl", {HASH})
        with pytest.raises(MachineError, match="did not download"):
            store.put(work / "y.whl", {HASH})
        (work / "x.whl").write_bytes(CONTENT)
        store.put(work / "x.whl", {HASH})
    assert [path.name for path in store.folder.iterdir()] == ["x.whl"]


def test_a_store_that_cannot_be_written_is_the_machines_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(MachineError, match="cannot write"),
        Store(tmp_path / "file" / "wheels").scratch(),
    ):
        pass


def test_what_lacks_is_told_with_the_way_out(store):
    error = store.lacking([f"x{n}.whl" for n in range(5)])
    assert "x0.whl, x1.whl, x2.whl and 2 more" in error.problem
    assert "fetch -- images" in error.hint


def test_a_link_has_the_same_content(tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    link(tmp_path / "x", tmp_path / "new" / "y")
    assert digest_of(tmp_path / "new" / "y") == HASH
