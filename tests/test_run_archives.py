"""An archive from anywhere writes regular files below its target, or nothing at all elsewhere."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from bench.errors import DataError, MachineError
from bench.run import archives

CONTENT = {"smoke/run.json": b"{}", "smoke/cells/a/b/train/output": b"x" * 5000}


def tar(path: Path, mode: str = "w", members: dict[str, bytes] = CONTENT, **about) -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_700_000_000
            for field, value in about.items():
                setattr(info, field, value)
            file.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes] = CONTENT, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.external_attr = mode << 16
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def zstandard(path: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    plain = tar(path.with_suffix("")).read_bytes()
    with pyarrow.output_stream(str(path), compression="zstd") as file:
        file.write(plain)
    return path


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "somewhere" / "target"
    folder.mkdir(parents=True)
    return folder


def unpack(archive: Path, target: Path) -> tuple[str, ...]:
    return tuple(map(str, archives.unpack(archive, target, lambda _: True)))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.tar", tar),
        ("a.tar.gz", lambda path: tar(path, "w:gz")),
        ("a.tar.xz", lambda path: tar(path, "w:xz")),
        ("a.tar.bz2", lambda path: tar(path, "w:bz2")),
        ("a.tar.zst", zstandard),
        ("a.zip", zipped),
        ("called-anything", lambda path: tar(path, "w:gz")),
    ],
)
def test_every_format_gives_the_same_files(tmp_path, target, name, make):
    assert unpack(make(tmp_path / name), target) == tuple(CONTENT)
    assert written(target) == CONTENT


def test_only_what_is_wanted_is_written(tmp_path, target):
    names = archives.unpack(tar(tmp_path / "a.tar"), target, lambda name: name.name == "run.json")
    assert len(names) == 2
    assert list(written(target)) == ["smoke/run.json"]


def test_the_time_of_a_change_is_kept(tmp_path, target):
    unpack(tar(tmp_path / "a.tar"), target)
    assert (target / "smoke/run.json").stat().st_mtime == 1_700_000_000


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside", "a/../../outside", "a\\..\\outside", "x" * 2000]
)
@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_leads_out_is_refused(tmp_path, target, name, make):
    with pytest.raises(DataError, match="leads out of it"):
        unpack(make(tmp_path / "evil", members={name: b"x"}), target)
    assert written(tmp_path / "somewhere") == {}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device or pipe"),
        (tarfile.BLKTYPE, "a device or pipe"),
        (tarfile.FIFOTYPE, "a device or pipe"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, target, kind, told):
    archive = tar(tmp_path / "a.tar", members={"cells/x": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError, match=told):
        unpack(archive, target)
    assert list(target.rglob("*")) == []


def test_a_link_in_a_zip_is_refused(tmp_path, target):
    archive = zipped(tmp_path / "a.zip", {"cells/x": b"/etc/passwd"}, stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="a link or device"):
        unpack(archive, target)


def test_a_file_is_never_written_through_a_link(tmp_path, target):
    """The link comes first, then a file below it: the classic way out."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        link = tarfile.TarInfo("cells")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        file.addfile(link)
        info = tarfile.TarInfo("cells/outside")
        info.size = 1
        file.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="a link"):
        unpack(path, target)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("make", [lambda path, m: tar(path, "w:gz", m), zipped])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, target, monkeypatch, make):
    monkeypatch.setattr(archives, "_ALWAYS_BYTES", 0)
    archive = make(tmp_path / "bomb", {"cells/zeros": bytes(2**24)})
    assert archive.stat().st_size < 2**24 / archives._RATIO
    with pytest.raises(DataError, match="more than 200 times its own size"):
        unpack(archive, target)


def test_too_many_files_are_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_FILES", 1)
    with pytest.raises(DataError, match="more than 1 files"):
        unpack(tar(tmp_path / "a.tar"), target)


def test_a_full_disk_is_told(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "_RESERVE_BYTES", 2**60)
    with pytest.raises(MachineError, match="no room"):
        unpack(tar(tmp_path / "a.tar"), target)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2", "zip", "zst"])
def test_a_cut_archive_is_told(tmp_path, target, mode):
    content = {name: os.urandom(200_000) for name in CONTENT}
    path = tmp_path / "a"
    if mode == "zst":
        path = zstandard(tmp_path / "a.zst")
    elif mode == "zip":
        zipped(path, content)
    else:
        tar(path, mode, content)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError) as told:
        unpack(path, target)
    assert str(path) in told.value.problem


def test_a_damaged_zip_is_told(tmp_path, target):
    path = zipped(tmp_path / "a.zip", {"cells/x": os.urandom(10_000)})
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        unpack(path, target)


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"\x1f\x8b\x08", b"PK\x03\x04"])
def test_what_is_no_archive_is_told(tmp_path, target, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"notes\.txt"):
        unpack(path, target)


def test_without_the_library_zstandard_is_told(tmp_path, target, monkeypatch):
    archive = zstandard(tmp_path / "a.tar.zst")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Exception, match="needs pyarrow"):
        unpack(archive, target)


@pytest.mark.parametrize("name", ["__MACOSX/smoke/cells/a/b/train/._output", "smoke/.DS_Store"])
@pytest.mark.parametrize("make", [tar, zipped])
def test_what_macs_add_is_passed_over(tmp_path, target, make, name):
    archive = make(tmp_path / "a", members={**CONTENT, name: b"Mac OS X"})
    assert unpack(archive, target) == tuple(CONTENT)
    assert written(target) == CONTENT


@pytest.mark.parametrize("mtime", [-1, 0, 2**33 - 1, 1e300, float("nan"), float("inf")])
def test_a_change_in_no_time_or_in_the_future_is_one_of_today(tmp_path, target, mtime):
    archive = tar(tmp_path / "a.tar", mtime=0, pax_headers={"mtime": str(mtime)})
    unpack(archive, target)
    assert 0 <= (target / "smoke/run.json").stat().st_mtime <= time.time()


def test_a_thirteenth_month_is_no_time(tmp_path, target):
    path = zipped(tmp_path / "a.zip")
    day = (2024 - 1980) << 9 | 1 << 5 | 1
    odd = (2024 - 1980) << 9 | 13 << 5
    path.write_bytes(
        path.read_bytes().replace(day.to_bytes(2, "little"), odd.to_bytes(2, "little"))
    )
    unpack(path, target)
    assert (target / "smoke/run.json").stat().st_mtime == 0


@pytest.mark.parametrize("name", ["a" * 300, "ä" * 200])
@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_no_file_has_is_refused(tmp_path, target, make, name):
    with pytest.raises(DataError, match="too long for a file"):
        unpack(make(tmp_path / "a", members={f"smoke/{name}": b"x"}), target)


def test_a_file_that_is_a_folder_too_is_refused(tmp_path, target):
    archive = tar(tmp_path / "a.tar", members={"smoke/a": b"x", "smoke/a/b": b"x"})
    with pytest.raises(DataError, match="a file and a folder of one name: 'b'"):
        unpack(archive, target)


def test_an_odd_method_and_a_password_are_named(tmp_path, target):
    path = zipped(tmp_path / "a.zip")
    content = path.read_bytes()
    deflated = zipfile.ZIP_DEFLATED.to_bytes(2, "little")
    local, central = content.index(b"PK\3\4") + 8, content.index(b"PK\1\2") + 10
    for at in (local, central):
        assert content[at : at + 2] == deflated
        content = content[:at] + b"\x63\0" + content[at + 2 :]
    path.write_bytes(content)
    with pytest.raises(DataError, match="compression"):
        unpack(path, target)


def test_a_sparse_member_is_no_way_around_the_limit(tmp_path, target):
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**42)}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("smoke/run.json")
        info.size, info.pax_headers = 512, headers
        file.addfile(info, io.BytesIO(b"0\n".ljust(512, b"\0")))
    with pytest.raises(DataError, match="more than 200 times its own size"):
        unpack(tmp_path / "a.tar", target)


@pytest.mark.parametrize("what", ["pipe", "endless", "folder", "loop"])
def test_what_is_no_file_is_no_archive(tmp_path, target, what):
    path = tmp_path / "archive"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "endless" else path)
    with pytest.raises(DataError, match=r"not a file|symbolic links"):
        unpack(path, target)
