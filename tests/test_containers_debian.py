"""Debian packages by lock: read, found in folders and mirrors, refused where they differ."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading

import pytest

from bench.containers import debian
from bench.containers.debian import Deb
from bench.containers.stores import Store
from bench.data.fetching import download
from bench.errors import DataError, MachineError

CONTENT = b"a package"
DEB = Deb(
    "libcap2",
    "1:2.66-4+deb12u3",
    "amd64",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
    "pool/main/libc/libcap2/libcap2_2.66-4+deb12u3_amd64.deb",
)


def nothing(_line):
    pass


def test_a_lock_is_read_as_it_is_written(tmp_path):
    other = Deb("bash", "5", "amd64", "0" * 64, 1, "pool/b")
    (tmp_path / "lock").write_text("# packages\n\n" + debian.text([DEB, other]))
    assert debian.read(tmp_path / "lock") == (other, DEB)


@pytest.mark.parametrize("line", ["bash 5 amd64", "bash 5 amd64 00 many pool/b", "a b c d 1 e f"])
def test_a_broken_lock_is_named(tmp_path, line):
    (tmp_path / "lock").write_text(line)
    with pytest.raises(DataError, match="lock"):
        debian.read(tmp_path / "lock")


def test_the_file_has_the_name_that_apt_gives_it():
    assert DEB.file == "libcap2_1%3a2.66-4+deb12u3_amd64.deb"


def test_offline_says_what_is_missing(tmp_path):
    with pytest.raises(MachineError, match=r"libcap2_1%3a2\.66"):
        debian.fetch([DEB], Store(tmp_path / "debs"), offline=True, progress=nothing)


def test_a_folder_of_the_users_comes_first(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / DEB.file).write_bytes(CONTENT)
    store = Store(tmp_path / "debs", (tmp_path / "given",))
    debian.fetch([DEB], store, offline=True, progress=nothing)
    assert (store.folder / DEB.file).read_bytes() == CONTENT


@pytest.fixture
def mirror(tmp_path):
    """A folder served as a Debian archive; its address."""
    archive = tmp_path / "archive"
    (archive / DEB.pool).parent.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=archive)
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield archive, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    patience = functools.partial(download.Patience, attempts=1, sleep=nothing)
    monkeypatch.setattr(download, "Patience", patience)


def test_mirrors_are_asked_one_after_the_other(tmp_path, mirror, monkeypatch):
    archive, address = mirror
    (archive / DEB.pool).write_bytes(CONTENT)
    monkeypatch.setenv(debian.VARIABLE, f"{address}/none {address}/")
    store = Store(tmp_path / "debs")
    debian.fetch([DEB], store, offline=False, progress=nothing)
    assert (store.folder / DEB.file).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"a pockage", b"a longer package", b""])
def test_another_package_of_the_name_is_refused(tmp_path, mirror, monkeypatch, content):
    archive, address = mirror
    (archive / DEB.pool).write_bytes(content)
    monkeypatch.setenv(debian.VARIABLE, address)
    store = Store(tmp_path / "debs")
    with pytest.raises(MachineError, match="libcap2") as caught:
        debian.fetch([DEB], store, offline=False, progress=nothing)
    assert debian.VARIABLE in caught.value.hint
    assert not (store.folder / DEB.file).exists()


def test_a_machine_without_apt_is_told_of_mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(debian.VARIABLE, raising=False)
    with pytest.raises(MachineError, match="no apt-get") as caught:
        debian.fetch([DEB], Store(tmp_path / "debs"), offline=False, progress=nothing)
    assert debian.VARIABLE in caught.value.hint


APT = """#!/bin/sh
case "$*" in
*--simulate*) echo "Inst libcap2 (1:2.66-4+deb12u3 Debian:12.15/oldstable [amd64])" ;;
*download*) printf 'a package' > 'libcap2_1%3a2.66-4+deb12u3_amd64.deb' ;;
esac
"""
APT_CACHE = f"""#!/bin/sh
cat <<'END'
Package: libcap2
Version: {DEB.version}
Architecture: amd64
Description: libraries
 of several lines
Filename: {DEB.pool}
Size: {DEB.bytes}
SHA256: {DEB.sha256}
END
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """An apt that knows one package."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("apt-get", APT), ("apt-cache", APT_CACHE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv(debian.VARIABLE, raising=False)


@pytest.mark.usefixtures("apt")
def test_what_apt_would_install_is_locked():
    assert debian.resolve(["libcap2"]) == (DEB,)


@pytest.mark.usefixtures("apt")
def test_what_apt_downloads_is_verified(tmp_path):
    store = Store(tmp_path / "debs")
    debian.fetch([DEB], store, offline=False, progress=nothing)
    assert [path.name for path in store.folder.iterdir()] == [DEB.file]
    altered = Deb("libcap2", DEB.version, "amd64", "0" * 64, 9, DEB.pool)
    with pytest.raises(MachineError, match="differs from the lock"):
        debian.fetch([altered], Store(tmp_path / "other"), offline=False, progress=nothing)
