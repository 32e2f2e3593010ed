"""``./reproduce`` on bare machines of many kinds: what it installs, brings, names and runs.

Releases are told by their differences; tests/test_reproduce_releases.py asks real ones.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.bare_machine import ROOT, Machine, javac, python
from tests.test_noxfile import ENVIRONMENTS, entries

SCRIPT = (ROOT / "reproduce").read_text()
TOOLS = {"git": {"git": ""}, "npm": {"npm": ""}, "checkstyle": {"checkstyle": ""}}
READY = {"git": "", "npm": "", "checkstyle": "", "javac": javac("17.0.1")}
RUN = ["-m nox -s reproduce"]


def release(*jdks, version, manager="apt-get", without=(), **more):
    """What a release offers: its tools, JDKs, and Python with venv and headers apart."""
    names = {"apt-get": "openjdk-{}-jdk-headless", "dnf": "java-{}-openjdk-devel"}[manager]
    packages = {name: brings for name, brings in TOOLS.items() if name not in without}
    packages |= {names.format(jdk): {"javac": javac(f"{jdk}.0.1")} for jdk in jdks}
    ready = {"python3": python(version), "ensurepip": ""}
    packages |= {"python3": ready} if manager == "dnf" else {"python3-venv": ready}
    packages |= {"gcc": {"cc": ""}, "libc6-dev": {"libc": ""}}
    packages |= {"python3-devel" if manager == "dnf" else "python3-dev": {"headers": ""}}
    return manager, packages | more


RELEASES = {
    # What is offered; the JDK, the Python and the other packages that are taken of it.
    "debian-12": (release(17, version="3.11"), "openjdk-17-jdk-headless", "python3"),
    "debian-13": (release(21, 25, version="3.13"), "openjdk-21-jdk-headless", "python3"),
    "ubuntu-22.04": (release(11, 17, 21, version="3.10"), "openjdk-17-jdk-headless", "brought"),
    "ubuntu-24.04": (release(17, 21, version="3.12"), "openjdk-17-jdk-headless", "python3"),
    "ubuntu-26.04": (release(25, version="3.14"), "openjdk-25-jdk-headless", "python3"),
    "fedora-41": (
        release(17, 21, version="3.13", manager="dnf"),
        "java-17-openjdk-devel",
        "python3",
    ),
    "fedora-43": (
        release(21, 25, version="3.14", manager="dnf", without=["checkstyle"]),
        "java-21-openjdk-devel",
        "python3",
    ),
    "rocky-9": (
        release(
            *(17, 21),
            version="3.9",
            manager="dnf",
            **{"python3.12": {"python3.12": python("3.12"), "ensurepip": ""}},
        ),
        "java-17-openjdk-devel",
        "python3.12",
    ),
}


WAYS = [*((name, "root") for name in RELEASES), ("debian-12", "sudo"), ("fedora-43", "sudo")]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_a_bare_machine_gets_all_it_needs_and_runs(tmp_path, name, way):
    (manager, offered), jdk, which = RELEASES[name]
    machine = Machine(tmp_path, manager, offered, {}, user=0 if way == "root" else 1000)
    if way == "sudo":
        machine.sudo(granted=True)
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert machine.called("-m nox") == RUN
    assert {jdk, "git", "npm"} <= machine.installed
    assert len([one for one in machine.installed if "jdk" in one or "openjdk" in one]) == 1
    versions = {"brought": "3.12", "python3.12": "3.12"}
    version = versions.get(which) or re.search(r"VERSION=(.*)", _python_of(offered))[1]
    assert f"setting up .nox-env with Python {version}" in done.stderr
    assert bool(machine.called("uv python install")) == (which == "brought")
    assert ("gcc" in machine.installed) == (version in ("3.13", "3.14"))
    lacking = "checkstyle" not in offered
    assert ("not here: checkstyle (its metric is not run)" in done.stderr) == lacking
    # Again: nothing is asked of anybody.
    before = machine.installed
    machine.log.write_text("")
    assert machine.run("--jobs", "1", "--cells", "st *").returncode == 0
    assert machine.called("-m nox") == ["-m nox -s reproduce -- --jobs 1 --cells st *"]
    assert machine.installed <= before & {"checkstyle"}
    assert not machine.called("pip")


def _python_of(offered):
    return (offered.get("python3-venv") or offered["python3"])["python3"]


def test_sudo_hands_the_proxy_on(tmp_path):
    (manager, offered), *_ = RELEASES["debian-12"]
    machine = Machine(tmp_path, manager, offered, {}, user=1000)
    machine.sudo(granted=True)
    machine.run(environment={"http_proxy": "http://proxy:3128"})
    assert "proxy http://proxy:3128" in machine.called("proxy")


@pytest.mark.parametrize("sudo", [False, True], ids=["no-sudo", "sudo-refuses"])
def test_without_rights_what_is_missing_is_named_and_the_rest_runs(tmp_path, sudo):
    (manager, offered), *_ = RELEASES["debian-12"]
    has = {"python3.11": python("3.11"), "ensurepip": "", "git": ""}
    machine = Machine(tmp_path, manager, offered, has, user=1000)
    if sudo:
        machine.sudo(granted=False)
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert machine.called("-m nox") == RUN
    assert machine.installed == set()
    assert "not here: jdk (a JDK, 17 or newer: Java is not run)" in done.stderr
    assert "not here: npm (C# is not run" in done.stderr
    assert "git" not in done.stderr
    assert "what brings it: openjdk-17-jdk-headless npm checkstyle" in done.stderr


def test_on_a_machine_of_another_kind_the_same_is_said(tmp_path):
    machine = Machine(tmp_path, None, {}, {"python3": python("3.12"), "ensurepip": ""})
    done = machine.run()
    assert machine.called("-m nox") == RUN
    assert "not here: jdk" in done.stderr
    assert "what brings it" not in done.stderr


@pytest.mark.parametrize(
    ("has", "ready"),
    [
        ({}, False),
        ({"python3": python("3.9")}, False),
        ({"python3": python("3.13"), "ensurepip": ""}, True),
        ({"python3": python("3.10"), "ensurepip": ""}, True),
        ({"python3": python("3.12")}, False),
        ({"python3": "exit 127\n", "python3.11": python("3.11"), "ensurepip": ""}, True),
    ],
    ids=["none", "old-alone", "no-compiler", "old", "no-venv", "broken-first"],
)
def test_without_rights_a_python_is_found_brought_or_refused_in_a_line(tmp_path, has, ready):
    machine = Machine(tmp_path, "apt-get", {}, {**READY, **has}, user=1000)
    done = machine.run()
    if ready:
        assert machine.called("-m nox") == RUN, done.stderr
        found = "python3.11" in has
        assert bool(machine.called("pip uv==")) == (not found)
        return
    assert done.returncode == 4
    last = done.stderr.splitlines()[-1]
    assert last.startswith("reproduce: no Python that fits: 3.11 or 3.12")
    assert "python3-venv" in last
    assert not machine.called("-m nox")


def test_a_uv_that_is_here_is_used(tmp_path):
    machine = Machine(tmp_path, None, {}, dict(READY), user=1000)
    shutil.copy2(tmp_path / "uv", machine.bin / "uv")
    (machine.bin / "ensurepip").touch()  # as the Python that it brings has
    assert machine.run().returncode == 0
    assert machine.called("uv python install --quiet --no-bin 3.12")
    assert machine.called("-m nox") == RUN


def test_an_old_jdk_is_none_and_any_newer_one_will_do(tmp_path):
    ready = {**READY, "python3": python("3.11"), "ensurepip": ""}
    for number, told in enumerate(["11.0.2", "1.8.0_392", "16"]):
        old = Machine(tmp_path / str(number), None, {}, {**ready, "javac": javac(told)})
        assert "not here: jdk" in old.run("--check").stderr, told
    for number, told in enumerate(["17", "17.0.1", "21-ea", "26.0.1"], 10):
        new = Machine(tmp_path / str(number), None, {}, {**ready, "javac": javac(told)})
        assert "not here" not in new.run("--check").stderr, told
    picked = Machine(
        tmp_path / "20", None, {}, {**ready, "javac": "echo Picked up >&2\necho javac 21.0.2\n"}
    )
    assert "not here" not in picked.run("--check").stderr


def test_a_check_changes_nothing(tmp_path):
    (manager, offered), *_ = RELEASES["debian-13"]
    machine = Machine(tmp_path, manager, offered, {})
    done = machine.run("--check")
    assert done.returncode == 0
    assert "what brings it: git openjdk-21-jdk-headless npm checkstyle python3-venv" in done.stderr
    assert "it would be installed" in done.stderr
    assert machine.installed == set()
    assert sorted(path.name for path in machine.kit.iterdir()) == ["reproduce"]


def test_a_set_up_ends_before_the_run(tmp_path):
    (manager, offered), *_ = RELEASES["debian-12"]
    machine = Machine(tmp_path, manager, offered, {})
    assert machine.run("--setup").returncode == 0
    assert machine.called("pip nox==")
    assert machine.called("-m nox") == []


def test_a_failed_manager_is_no_reason_to_give_up(tmp_path):
    """No network for it, say: what is here may be enough."""
    ready = {"python3": python("3.11"), "ensurepip": "", "git": ""}
    machine = Machine(tmp_path, "apt-get", {}, ready)
    machine.put(machine.bin / "apt-get", "echo E: cannot reach >&2\nexit 100\n")
    done = machine.run()
    assert "apt-get update failed" in done.stderr
    assert "npm cannot be installed" in done.stderr
    assert machine.called("-m nox") == RUN


def test_it_speaks_ascii_and_plain_sh():
    assert SCRIPT.isascii()
    subprocess.run(["sh", "-n", ROOT / "reproduce"], check=True)


def test_shellcheck_finds_nothing():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install -y shellcheck")
    scripts = [ROOT / "reproduce", *sorted((ROOT / ".ci").iterdir())]
    subprocess.run(["shellcheck", *scripts], check=True)


def fits(version, level="final", *, compiler=True):
    """What the script's question says of a Python of some version; empty where it fits."""
    question = re.search(r"^fits='\n(.*?)^'$", SCRIPT, re.M | re.S)[1]
    told = f"""
import collections, os, shutil, sys
names = "major minor micro releaselevel serial"
sys.version_info = collections.namedtuple("V", names)(*{version}, 1, {level!r}, 0)
shutil.which = lambda name: {compiler}
os.path.isfile = lambda path, real=os.path.isfile: path.endswith("Python.h") or real(path)
{question}"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr), done.stderr
    return done.stderr.strip()


def test_the_pythons_that_fit_are_those_of_the_lock():
    allowed = SpecifierSet(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )
    promised = {one["python_version"] for one in ENVIRONMENTS}
    for minor in range(9, 17):
        right = fits((3, minor)) == ""
        assert right == (f"3.{minor}" in promised)
        assert right == allowed.contains(f"3.{minor}.2")
    assert fits((3, 11), "candidate") == "version"  # Ubuntu 22.04 has one
    assert fits((3, 12), compiler=False) == ""
    assert fits((3, 13), compiler=False) == "compiler"


def test_what_it_installs_is_what_is_locked():
    pins = dict(re.findall(r"^(nox|uv)_version=(\S+)$", SCRIPT, re.M))
    locked = {one.name: str(one.specifier) for one, _ in entries()}
    assert {name: f"=={version}" for name, version in pins.items()} == {
        name: locked[name] for name in ("nox", "uv")
    }
    assert Requirement("nox").name in locked
