"""Python packages by lock: only the file that the lock means, for the images' Python."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from bench.containers import wheels
from bench.containers.stores import Store
from bench.containers.wheels import Locked
from bench.errors import DataError, MachineError


def lock(requirement, content):
    return Locked(requirement, frozenset({hashlib.sha256(content).hexdigest()}))


X = lock("x==1", b"x")
TORCH = lock("torch==2.13.0+cpu", b"torch")
FILES = {
    "x==1": "x-1-py3-none-any.whl",
    "torch==2.13.0+cpu": "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
}


def nothing(_line):
    pass


def test_a_lock_is_read_as_it_is_written(tmp_path):
    (tmp_path / "lock").write_text("# made by uv\n" + wheels.requirements([X, TORCH]))
    assert wheels.read(tmp_path / "lock") == (X, TORCH)
    assert (TORCH.name, TORCH.version) == ("torch", "2.13.0+cpu")


@pytest.mark.parametrize("line", ["x==1", "x>=1 --hash=sha256:00", "x"])
def test_a_line_without_version_or_hash_is_refused(tmp_path, line):
    (tmp_path / "lock").write_text(line)
    with pytest.raises(DataError, match="no version or hash"):
        wheels.read(tmp_path / "lock")


@pytest.mark.parametrize(
    "file",
    [
        "x-1-cp312-cp312-manylinux_2_28_x86_64.whl",
        "x-1-cp311-cp311-manylinux_2_28_aarch64.whl",
        "x-1-cp311-cp311-win_amd64.whl",
        "x-1-cp311-cp311-manylinux_2_39_x86_64.whl",
        "notes.txt",
    ],
)
def test_what_the_images_python_cannot_use_is_not_taken(tmp_path, file):
    assert wheels.rank(file) is None
    (tmp_path / file).write_bytes(b"x")
    assert wheels.files([X], tmp_path) == {}


def test_a_file_with_another_hash_is_not_taken(tmp_path):
    """A second build of one version would make another image."""
    (tmp_path / "x-1-py2.py3-none-any.whl").write_bytes(b"another x")
    assert wheels.files([X], tmp_path) == {}
    (tmp_path / "x-1-py3-none-any.whl").write_bytes(b"x")
    assert wheels.files([X], tmp_path) == {X: tmp_path / "x-1-py3-none-any.whl"}


class Pip:
    """Stands in for pip: writes what is asked for, unless its sources lack it."""

    def __init__(self, lacking=(), content=None):
        self.lacking, self.content, self.commands = lacking, content or {}, []

    def __call__(self, command, **_options):
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir(exist_ok=True)
        asked = Path(command[command.index("--requirement") + 1]).read_text()
        for requirement, file in FILES.items():
            if not asked.startswith(requirement) and f"\n{requirement}" not in asked:
                continue
            if requirement in self.lacking and "--index-url" not in command:
                told = f"ERROR: no {requirement}"
                return subprocess.CompletedProcess(command, 1, "", told)
            name = requirement.partition("=")[0]
            (folder / file).write_bytes(self.content.get(name, name.encode()))
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "wheels", (tmp_path / "given",))


def test_what_is_missing_is_downloaded_by_hash_for_the_images_python(store, monkeypatch):
    pip = Pip()
    monkeypatch.setattr(subprocess, "run", pip)
    wheels.fetch([X, TORCH], store, offline=False, progress=nothing)
    assert {path.name for path in store.folder.iterdir()} == set(FILES.values())
    for command in pip.commands:
        assert {"--require-hashes", "--no-deps", "--python-version=3.11"} <= set(command)
    wheels.fetch([X, TORCH], store, offline=True, progress=nothing)  # all is here now
    assert len(pip.commands) == 2


def test_torch_comes_from_its_own_index_where_pips_sources_lack_it(store, monkeypatch):
    pip = Pip(lacking={TORCH.requirement})
    monkeypatch.setattr(subprocess, "run", pip)
    wheels.fetch([X, TORCH], store, offline=False, progress=nothing)
    with_index = [command for command in pip.commands if wheels.TORCH_CPU_INDEX in command]
    assert len(with_index) == 1
    assert (store.folder / FILES[TORCH.requirement]).is_file()


def test_a_folder_of_wheels_spares_the_download(store, monkeypatch):
    store.sources[0].mkdir()
    for requirement, content in ((X, b"x"), (TORCH, b"torch")):
        (store.sources[0] / FILES[requirement.requirement]).write_bytes(content)
    monkeypatch.setattr(subprocess, "run", Pip(lacking=set(FILES)))
    found = wheels.fetch([X, TORCH], store, offline=True, progress=nothing)
    assert {path.parent for path in found.values()} == {store.folder}


def test_offline_says_which_package_is_missing(store):
    with pytest.raises(MachineError, match=r"x==1, torch==2\.13\.0\+cpu"):
        wheels.fetch([X, TORCH], store, offline=True, progress=nothing)


def test_pips_own_words_are_told(store, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Pip(lacking={"x==1"}))
    with pytest.raises(MachineError, match="ERROR: no x==1") as caught:
        wheels.fetch([X], store, offline=False, progress=nothing)
    assert "--wheels" in caught.value.hint
