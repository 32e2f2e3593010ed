"""An image is its files and settings: how an engine packs them, and when, is no part of it."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from bench.containers import identity
from bench.containers.engine import Engine
from bench.errors import MachineError

CONFIG = {"Env": ["PATH=/bin", "LANG=C.UTF-8"], "Cmd": ["python"], "User": "65534:65534"}


def file(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def link(name: str, target: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, b"", type=kind, linkname=target)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def entries(*members: tuple[tarfile.TarInfo, bytes]) -> dict[str, list[object]]:
    return dict(identity.entries(io.BytesIO(archive(*members))))


def test_order_times_and_what_engines_add_are_no_part_of_it() -> None:
    plain = entries(file("usr/a", b"1"), file("usr/b", b"2"))
    packed_otherwise = entries(
        file(".dockerenv", b""),
        file("dev/console", b"", type=tarfile.CHRTYPE),
        file("etc/hosts", b"127.0.0.1 here"),
        file("./usr/b", b"2", mtime=1e9, uname="root"),
        file("./usr/a", b"1", mtime=7),
    )
    assert packed_otherwise == plain


def test_a_hard_link_is_the_file_that_it_is() -> None:
    one = entries(file("a", b"1"), link("b", "a", tarfile.LNKTYPE))
    other = entries(file("b", b"1"), link("a", "b", tarfile.LNKTYPE))
    assert one == other == entries(file("a", b"1"), file("b", b"1"))


@pytest.mark.parametrize(
    "changed",
    [
        file("bin/tool", b"another"),
        file("bin/other"),
        file("bin/tool", mode=0o755),
        file("bin/tool", uid=7),
        file("bin/tool", gid=7),
        file("bin/tool", pax_headers={"SCHILY.xattr.security.capability": "\x01"}),
        link("bin/tool", "/bin/sh", tarfile.SYMTYPE),
        link("bin/tool", "/bin/bash", tarfile.SYMTYPE),
        file("bin/tool", b"", type=tarfile.DIRTYPE),
        file("etc/hosts.allow"),
        file("device"),
    ],
)
def test_whatever_decides_a_file_counts(changed: tuple[tarfile.TarInfo, bytes]) -> None:
    assert entries(changed) not in (
        entries(file("bin/tool")),
        entries(link("bin/tool", "/usr/bin/env", tarfile.SYMTYPE)),
    )


def test_settings_are_told_alike_by_every_engine() -> None:
    podman = {**CONFIG, "WorkingDir": "/", "Labels": {"io.buildah.version": "1.28.2"}}
    docker = {**CONFIG, "WorkingDir": "", "Entrypoint": None, "Env": CONFIG["Env"][::-1]}
    assert identity.settings(podman) == identity.settings(docker)
    assert identity.settings({**docker, "User": "0"}) != identity.settings(docker)


def engine(folder: Path, id_: str = "sha256:" + "a" * 64, export: str = 'cat "$0.tar"') -> Engine:
    """An engine of one image, which notes each export."""
    program = folder / "podman"
    (folder / "podman.json").write_text(json.dumps([{"Id": id_, "Config": CONFIG, "Size": 7}]))
    (folder / "podman.tar").write_bytes(archive(file("bin/tool")))
    program.write_text(
        "#!/bin/sh\ncase $1 in\n"
        '  image) case $3 in here) cat "$0.json" ;; *) exit 125 ;; esac ;;\n'
        "  create) echo container ;;\n"
        f'  export) echo "$2" >> "$0.exports"; {export} ;;\n'
        '  rm) echo "$@" >> "$0.removed" ;;\nesac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Engine("podman", str(program), "5.0", False, 2)


def test_an_image_is_hashed_once(tmp_path: Path) -> None:
    known = tmp_path / "cache" / "identities"
    found = {identity.of(engine(tmp_path), "here", known) for _ in range(3)}
    assert len(found) == 1
    assert (tmp_path / "podman.exports").read_text().split() == ["container"]
    assert (tmp_path / "podman.removed").read_text().split() == [
        "rm",
        "--force",
        "--time=0",
        "container",
    ]
    # Packed otherwise, and held under another digest of the engine's own: the same image.
    assert {identity.of(engine(tmp_path, "b" * 64), "here", known)} == found
    assert sorted(path.name for path in known.iterdir()) == ["a" * 64, "b" * 64]
    (known / ("a" * 64)).write_text("damaged")
    assert {identity.of(engine(tmp_path), "here", known)} == found


def test_an_image_that_is_not_here_has_none(tmp_path: Path) -> None:
    assert identity.of(engine(tmp_path), "elsewhere", tmp_path) is None


@pytest.mark.parametrize("export", ["echo no space left >&2; exit 1", "cat $0.tar; exit 1"])
def test_files_that_cannot_be_had_are_one_line(tmp_path: Path, export: str) -> None:
    with pytest.raises(MachineError, match="export of here"):
        identity.of(engine(tmp_path, export=export), "here", tmp_path / "known")
    assert (tmp_path / "podman.removed").is_file()
    assert not list((tmp_path / "known").glob("*"))
