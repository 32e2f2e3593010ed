"""The noxfile, the lock and the project file agree; setting up twice does nothing twice."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import re
import sys
import tomllib
from pathlib import Path

import nox
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bench.containers import locks
from bench.grid import study

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "containers" / "locks" / "venv.txt"
LOCKED_EXTRAS = ("train", "score", "test")
#: Where the kit promises to install; more is welcome.
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.2",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "extra": "",
    }
    for python in ("3.11", "3.12", "3.13", "3.14")
]


@pytest.fixture(scope="module")
def noxfile():
    return loaded()


@functools.cache
def loaded():
    """The noxfile as a module; once, since nox refuses to register a session twice."""
    spec = importlib.util.spec_from_file_location("noxfile_under_test", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def entries():
    """The lock's lines as (requirement, number of hashes)."""
    joined = LOCK.read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, joined.splitlines())):
        requirement, *hashes = re.split(r"\s+--hash=sha256:", line)
        assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes), requirement
        yield Requirement(requirement), len(hashes)


def locked(environment):
    """Name to version of what the lock installs in an environment."""
    found = {}
    for requirement, _ in entries():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is locked twice for one environment"
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            found[name] = Version(pin.version)
    return found


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [project["dependencies"], *(extras[name] for name in LOCKED_EXTRAS)]
    return [Requirement(line) for line in itertools.chain(*lines)]


def test_every_line_of_the_lock_is_pinned_by_hash():
    counts = {str(requirement): hashes for requirement, hashes in entries()}
    assert len(counts) > 100
    assert [name for name, hashes in counts.items() if hashes == 0] == []


def test_the_lock_holds_no_accelerator_build(noxfile):
    names = {canonicalize_name(requirement.name) for requirement, _ in entries()}
    assert not [name for name in names if name == "torch" or locks.is_torch(name)]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: one["python_version"])
def test_the_lock_satisfies_the_project(environment):
    versions = locked(environment)
    checked = 0
    for requirement in declared():
        if requirement.name == "torch":
            continue
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        checked += 1
        assert requirement.name in versions, f"{requirement.name} is not locked: nox -s lock"
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), str(requirement)
    assert checked > 30


def test_torch_is_one_version_that_the_project_allows(noxfile):
    (torch,) = (requirement for requirement in declared() if requirement.name == "torch")
    assert torch.specifier.contains(noxfile.TORCH)


def test_nothing_that_a_locked_package_needs_is_missing(noxfile):
    """pip installs with --no-deps, so it would not say; torch comes beside the lock."""
    environment = {**ENVIRONMENTS[0], "python_full_version": "3.11.2"}
    versions = locked(environment)
    waiting = [(Requirement("torch"), ""), *((requirement, "") for requirement in declared())]
    seen = set()
    looked_into = 0
    while waiting:
        requirement, wanted_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name != "torch" and locks.is_torch(name):
            continue
        assert name in versions or name == "torch", f"{name} (for {wanted_by}) is not locked"
        if name in versions and requirement.specifier:
            assert requirement.specifier.contains(versions[name], prereleases=True), requirement
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name in versions and Version(found.version) != versions[name]:
            continue
        looked_into += 1
        for line in found.requires or ():
            need = Requirement(line)
            if _applies(need.marker, requirement.extras, environment):
                waiting.append((need, name))
    assert looked_into > 60


def _applies(marker: Marker | None, extras, environment) -> bool:
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
    )


def test_the_sessions_cells_are_the_studies_cells(noxfile):
    of_studies = {}
    for name in study.available():
        whole = study.load(name, tuple(study.load(name).options))
        of_studies[name] = [cell.id for cell in study.expand(whole)]
    assert {name: len(ids) for name, ids in of_studies.items()} == {
        "mini": 9,
        "paper": 4 * 3 + 3,
        "rehearsal": 3 * 3 + 3,
        "smoke": 9,
    }
    together = set(itertools.chain(*of_studies.values()))
    lines = noxfile.cells()
    assert set(lines) == together
    assert len(together) == 9 + 15 + 12
    assert lines["mt-fft-2m"] == "MT-FFT 2m (mini or smoke)."
    assert lines["mt-qlora-3b-generation-translation"] == (
        "MT-QLoRA 3b, generation + translation (paper --with rq3)."
    )


def test_the_list_of_sessions_reads_like_documentation(noxfile):
    """`nox -l` shows the module's text, then the first line of each session's."""
    sessions = nox.registry.get()
    names = [name for name in sessions if not name.startswith("cell(")]
    assert list(sessions)[: len(names)] == names, "the cells come last"
    assert {f"cell({name})" for name in noxfile.cells()} == set(sessions) - set(names)
    for name, function in sessions.items():
        line, *_ = function.__doc__.splitlines()
        assert line.endswith("."), name
        assert len(f"- {name} -> {line}") <= 125, name
    listed = set(re.findall(r"\w+", noxfile.__doc__))
    assert set(names) <= listed, "the text above the list names every session"


def test_the_session_of_a_cell_runs_that_cell_alone(noxfile, session):
    run = nox.registry.get()["cell(mt-qlora-0.5m)"]
    session.posargs = ["--study", "mini"]
    run(session)
    expected = ("-m", "bench", "run", "--cells", "mt-qlora-0.5m", "--study", "mini")
    assert session.commands[-1][1:] == expected


class Session:
    """What setup() is given: it notes the commands instead of running them."""

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.commands: list[tuple[str, ...]] = []

    def log(self, _text: str) -> None:
        pass

    def run(self, *command: str, **_options) -> None:
        self.commands.append(command)
        if "venv" in command:
            self.environment.mkdir()


@pytest.fixture
def session(noxfile, monkeypatch, tmp_path):
    monkeypatch.setattr(noxfile, "ENVIRONMENT", tmp_path / "environment")
    monkeypatch.setattr(noxfile, "LOCK", tmp_path / "run.txt")
    monkeypatch.setattr(noxfile, "has_gpu", lambda: False)
    (tmp_path / "run.txt").write_text("something==1 --hash=sha256:0")
    return Session(tmp_path / "environment")


def test_setting_up_again_does_nothing(noxfile, session):
    noxfile.setup(session)
    assert any("--require-hashes" in command for command in session.commands)
    session.commands.clear()
    noxfile.setup(session)
    assert session.commands == []


def test_another_lock_sets_up_anew(noxfile, session, monkeypatch):
    noxfile.setup(session)
    first = list(session.commands)
    session.commands.clear()
    noxfile.LOCK.write_text("something==2 --hash=sha256:1")
    session.environment.rename(session.environment.with_name("old"))
    noxfile.setup(session)
    assert session.commands == first


def test_a_setup_that_failed_is_not_taken_for_done(noxfile, session):
    def fail(*command, **_options):
        session.environment.mkdir(exist_ok=True)
        if "-r" in command:
            raise RuntimeError("no network")

    session.run = fail
    with pytest.raises(RuntimeError):
        noxfile.setup(session)
    assert not (session.environment / "lock.sha256").exists()


def test_no_cuda_without_a_gpu(noxfile, session):
    noxfile.setup(session)
    torch = [command for command in session.commands if any("torch==" in one for one in command)]
    assert torch
    assert all(f"torch=={noxfile.TORCH}+cpu" in command for command in torch)
    assert all("--no-deps" in command for command in torch)
    assert noxfile.TORCH_CPU_INDEX in torch[-1]
