"""A root file system of Debian packages alone: no network, no time, no name of this machine.

The same packages give the same bytes, so the base image can be built anywhere and compared
by its digest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.containers.debian import Deb
from bench.errors import MachineError

#: Debian 12 keeps /bin and its like as links into /usr; they have to stand before dpkg runs.
_MERGED = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
_NO_DOCUMENTS = ("doc", "man", "info", "locale", "lintian", "gnome", "help")


def make(debs: Sequence[Deb], folder: Path, target: Path, epoch: int) -> None:
    """Make the root file system ``target`` (a tar) of exactly these packages, without network.

    The same packages give the same bytes: every time in it is ``epoch`` at the latest.

    Raises:
        MachineError: mmdebstrap or dpkg is missing, or fails.
    """
    for tool in ("mmdebstrap", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MachineError(
                f"{tool} is not installed: it makes the base image",
                hint="apt-get install -y mmdebstrap, or --base-image NAME@sha256:…",
            )
    with tempfile.TemporaryDirectory(prefix="bench-debs-") as created:
        archive = Path(created) / "archive"
        archive.mkdir()
        Path(created).chmod(0o755)  # apt reads as a user of its own
        for deb in debs:
            shutil.copy2(folder / deb.file, archive / deb.file)
            (archive / deb.file).chmod(0o644)
        (archive / "Packages").write_text("\n".join(_paragraph(deb, archive) for deb in debs))
        _bootstrap(debs, archive, target, epoch)


def _paragraph(deb: Deb, archive: Path) -> str:
    """What an archive's index says of a package."""
    control = subprocess.run(
        ["dpkg-deb", "--field", str(archive / deb.file)], capture_output=True, text=True, check=True
    ).stdout
    return f"{control}Filename: ./{deb.file}\nSize: {deb.bytes}\nSHA256: {deb.sha256}\n"


def _bootstrap(debs: Sequence[Deb], archive: Path, target: Path, epoch: int) -> None:
    left_out = [f"path-exclude=/usr/share/{name}/*" for name in _NO_DOCUMENTS]
    remove = " ".join(
        f'"$1"/{path}'
        for path in (
            *("etc/apt/sources.list", "etc/hostname", "etc/resolv.conf", "etc/machine-id"),
            *("var/log/*", "var/cache/*", "var/lib/apt", "var/lib/dpkg/*-old"),
        )
    )
    command = [
        *("mmdebstrap", "--quiet", "--variant=essential", "--format=tar", "--skip=cleanup/apt"),
        "--skip=output/dev",
        f"--include={','.join(deb.name for deb in debs)}",
        *(f"--dpkgopt={line}" for line in left_out),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--setup-hook={_MERGED}",
        f"--customize-hook=rm -rf {remove}",
        "--architectures=amd64",
        *("", str(target), f"deb [trusted=yes] copy:{archive} ./"),  # no suite: one flat folder
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg: error"))]
        raise MachineError(
            f"mmdebstrap failed: {(said or done.stderr.splitlines() or ['no reason given'])[0]}",
            hint="run it as root, or allow user namespaces; or --base-image NAME@sha256:…",
        )
    if not target.is_file():
        raise MachineError(f"mmdebstrap made no {target}", hint="free some space and try again")
    _add_dev(target, epoch)


def _add_dev(target: Path, epoch: int) -> None:
    """An empty /dev, which engines fill: device nodes only root could unpack from an image."""
    dev = tarfile.TarInfo("./dev")
    dev.type, dev.mode, dev.mtime = tarfile.DIRTYPE, 0o755, epoch
    with tarfile.open(target, "a") as archive:
        archive.addfile(dev)
