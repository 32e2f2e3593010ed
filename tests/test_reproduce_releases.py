"""``./reproduce`` in fresh root file systems of Debian 12 and 13, made by mmdebstrap.

One is made for each release; it has neither Python nor git nor a JDK. What the script would
install is tried by apt itself; what it really installs here is the Python and nox alone, into a
kit without ``.git`` below a path with spaces and umlauts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The release, the JDK that it offers, its Python.
RELEASES = {
    "bookworm": ("openjdk-17-jdk-headless", "3.11"),
    "trixie": ("openjdk-21-jdk-headless", "3.13"),
}
KIT = Path("opt/ein Ordner für das Kit")
COPIED = ("bench", "containers", "datasets", "noxfile.py", "pyproject.toml", "reproduce")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
#: What the machine's way to the network consists of.
NETWORK = re.compile(r"^(https?|no)_proxy$|^PIP_(INDEX|EXTRA|TRUSTED|PROXY|DEFAULT)", re.IGNORECASE)
#: Runs a command in a root file system with processes of its own.
_ENTER = 'mount -t proc proc "$1/proc" && exec chroot --userspec="$2" "$1" sh -c "$3"'

pytestmark = pytest.mark.slow


class System:
    """A root file system with the kit in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kit = folder / KIT

    def run(self, command: str, user: int = 0) -> subprocess.CompletedProcess[str]:
        """A shell command in the kit's folder, with the environment of a bare machine."""
        environment = {name: value for name, value in os.environ.items() if NETWORK.match(name)}
        environment |= {
            "PATH": "/fakes:/usr/sbin:/usr/bin:/sbin:/bin",
            "PIP_CERT": f"/{CERTIFICATES}",
            "LC_ALL": "C",
            "TZ": "Pacific/Chatham",
        }
        inside = f'umask 077; cd "/{KIT}" && {command}'
        enter = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _ENTER, "sh"]
        return subprocess.run(
            [*enter, str(self.folder), f"{user}:{user}", inside],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            check=False,
        )


@pytest.fixture(scope="module", params=RELEASES)
def system(request, tmp_path_factory):
    """A bare system of a release; its tests come in their order, the last ones change it."""
    for tool in ("mmdebstrap", "unshare", "chroot"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt-get install -y mmdebstrap")
    if os.geteuid() != 0:
        pytest.skip("a root file system is made and entered by root alone")
    folder = tmp_path_factory.mktemp("systems") / request.param
    # apt's lists stay, so that a check can look into them.
    make = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates"]
    make += ["--skip=cleanup/apt/lists"]
    made = subprocess.run(
        [*make, "--mode=root", request.param, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        said = made.stderr.strip().splitlines() or ["it says nothing"]
        pytest.skip(f"mmdebstrap makes no {request.param} here: {said[0]}")
    shutil.copy2("/etc/resolv.conf", folder / "etc")
    if Path("/", CERTIFICATES).is_file():  # a proxy's own certificate is in the machine's
        shutil.copy2(Path("/", CERTIFICATES), folder / CERTIFICATES)
    found = System(folder)
    found.kit.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, found.kit / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, found.kit)
    yield request.param, found
    shutil.rmtree(folder, ignore_errors=True)


def test_a_bare_release_offers_all_that_is_missing(system):
    name, machine = system
    jdk, _ = RELEASES[name]
    done = machine.run("sh ./reproduce --check")
    assert done.returncode == 0, done.stderr
    (told,) = re.findall(r"what brings it: (.*)", done.stderr)
    assert told.split() == ["git", jdk, "npm", "checkstyle", "python3-venv"]
    assert "it would be installed" in done.stderr
    tried = machine.run(f"apt-get install --simulate --no-install-recommends -q {told}")
    assert tried.returncode == 0, tried.stderr
    assert f"Inst {jdk} " in tried.stdout
    python = re.search(r"^Inst python3 \((\S+?)\.\d+-", tried.stdout, re.M)
    assert python and python[1] == RELEASES[name][1]


def test_without_rights_the_missing_is_named_and_nobody_brings_a_python(system):
    _, machine = system
    done = machine.run("sh ./reproduce", user=65534)
    assert done.returncode == 4
    assert "not here: jdk (a JDK, 17 or newer: Java is not run)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("reproduce: no Python that fits")
    assert "installed" not in done.stderr


def test_root_without_sudo_gets_a_python_and_nox(system):
    """What has no part in that is there already, as a fake: a JDK and npm take minutes."""
    name, machine = system
    fakes = machine.folder / "fakes"
    fakes.mkdir()
    for tool, said in {"git": "", "npm": "", "checkstyle": "", "javac": "javac 17.0.1"}.items():
        (fakes / tool).write_text(f"#!/bin/sh\necho '{said}'\n")
        (fakes / tool).chmod(0o755)
    done = machine.run("sh ./reproduce --setup")
    assert done.returncode == 0, done.stderr
    version = RELEASES[name][1]
    assert f"setting up .nox-env with Python {version}" in done.stderr
    listed = machine.run(".nox-env/bin/nox -l")
    assert "* reproduce -> Run a study from data to report" in listed.stdout, listed.stderr
    again = machine.run("sh ./reproduce --setup")
    assert (again.returncode, again.stderr) == (0, "")
    # From Python 3.13 on, one locked package is compiled: with what was installed it can be.
    if (compiled := version == "3.13") != (machine.folder / "usr/bin/cc").exists():
        pytest.fail(f"a compiler is {'missing' if compiled else 'there'} beside Python {version}")
