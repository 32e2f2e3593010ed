"""The locks, the project file and the code agree: what an image installs is what runs in it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.containers import debian, images, locks, wheels
from bench.data.sources import ROOT
from bench.grid import keys
from bench.grid.closure import Code

LOCKS = images.LOCKS
PYTHON_LOCKS = ("run.txt", "score.txt", "torch-cpu.txt", "torch-cuda.txt")
#: Modules whose packages have other names, and modules of the kit itself.
PACKAGES = {"huggingface_hub": "huggingface-hub", "rouge_score": "rouge-score"}
#: What the score stage imports only where it is: see ``locks.NOT_IN_SCORE`` and metrics that
#: say "not run" without torch.
WITHOUT = {"bert_score", "openai", "torch", "transformers", "safetensors"}


def names(lock):
    return {one.name: one.version for one in wheels.read(LOCKS / lock)}


def locked_anywhere():
    """Name to versions in venv.txt, whose lines have markers for several Pythons."""
    found = {}
    text = (LOCKS / "venv.txt").read_text()
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("lock", PYTHON_LOCKS)
def test_an_images_lock_allows_one_file_a_package(lock):
    """Two of them, and two machines would build different images of one lock."""
    found = wheels.read(LOCKS / lock)
    assert found
    assert [one.requirement for one in found if len(one.sha256) != 1] == []
    assert len({one.name for one in found}) == len(found)
    assert (LOCKS / lock).read_text() == wheels.requirements(found)


@pytest.mark.parametrize("lock", ["run.txt", "score.txt"])
def test_the_images_have_the_versions_of_the_environment(lock):
    here = locked_anywhere()
    differing = {n: v for n, v in names(lock).items() if v not in here.get(n, ())}
    assert differing == {}, "nox -s lock"


def test_torch_is_in_its_own_locks_alone():
    assert not [name for name in (*names("run.txt"), *names("score.txt")) if locks.is_torch(name)]
    assert names("torch-cpu.txt").keys() == {"torch"}
    cpu, cuda = names("torch-cpu.txt")["torch"], names("torch-cuda.txt")["torch"]
    assert cpu == f"{cuda}+cpu"
    assert all(map(locks.is_torch, names("torch-cuda.txt")))
    assert len(names("torch-cuda.txt")) > 10


@pytest.mark.parametrize(
    ("wanted", "lock"), [(locks.RUN, ("run.txt", "torch-cpu.txt")), (locks.SCORE, ("score.txt",))]
)
def test_the_images_satisfy_the_project(wanted, lock):
    here = {name: version for one in lock for name, version in names(one).items()}
    for line in locks.requirements(wanted):
        asked = Requirement(line)
        version = here.get(canonicalize_name(asked.name))
        assert version is not None, f"{asked.name} is not locked: nox -s lock"
        assert asked.specifier.contains(version.removesuffix("+cpu"), prereleases=True), line


def test_every_requirement_of_an_extra_is_in_its_image_or_left_out_for_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in project["optional-dependencies"].items()
    }
    assert extras["train"] - set(locks.RUN) == set()
    assert extras["score"] - set(locks.SCORE) == set(locks.NOT_IN_SCORE)


@pytest.mark.parametrize("stage", sorted(keys.ENTRIES))
def test_what_a_stage_imports_is_in_its_image(stage):
    lock = ("score.txt",) if stage == "score" else ("run.txt", "torch-cpu.txt")
    here = {name for one in lock for name in names(one)}
    missing = set()
    for file in Code(ROOT, ()).files(keys.ENTRIES[stage]):
        if file.endswith(".py") and "/inside/" not in file:
            missing |= {m for m in imported(ROOT / file) if m not in here}
    assert (
        missing - ({canonicalize_name(m) for m in WITHOUT} if stage == "score" else set()) == set()
    )


def imported(path):
    """The packages that a file imports at its top, whatever function does it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    # Liger is an extra of its own, for the studies that ask for its kernels.
    own = {"bench", "pynvml", "liger_kernel", *sys.stdlib_module_names}
    return {canonicalize_name(PACKAGES.get(name, name)) for name in found - own}


def test_every_debian_package_is_locked_once_with_its_hash():
    base, score = (debian.read(LOCKS / f"{name}.debs.txt") for name in ("base", "score"))
    everything = [*base, *score]
    assert len({deb.name for deb in everything}) == len(everything) > 100
    assert all(re.fullmatch(r"[0-9a-f]{64}", deb.sha256) for deb in everything)
    assert all(deb.pool.startswith("pool/") and deb.bytes > 0 for deb in everything)
    assert set(debian.BASE) <= {deb.name for deb in base}
    assert set(debian.SCORE) <= {deb.name for deb in everything}
    for name, debs in (("base", base), ("score", score)):
        assert debian.text(debs) == (LOCKS / f"{name}.debs.txt").read_text()


def test_no_lock_names_a_server():
    for lock in LOCKS.glob("*.txt"):
        assert "://" not in lock.read_text(), lock.name


@pytest.mark.parametrize(
    ("files", "best"),
    [
        (["py3-none-any.whl", ".tar.gz"], 0),
        (["cp311-cp311-manylinux2014_x86_64.whl", "cp311-cp311-manylinux_2_28_x86_64.whl"], 1),
        (["cp312-cp312-manylinux_2_28_x86_64.whl", ".tar.gz"], 1),
        (["py3-none-any.whl", "cp39-abi3-manylinux_2_17_x86_64.whl", ".tar.gz"], 1),
        (
            [
                "cp311-cp311-manylinux_2_39_x86_64.whl",
                "cp311-cp311-musllinux_1_2_x86_64.whl",
                "cp311-cp311-manylinux_2_17_aarch64.whl",
                "py2.py3-none-any.whl",
            ],
            3,
        ),
    ],
)
def test_the_best_file_is_locked(files, best):
    described = [
        {"url": f"https://server/x-1{'' if file[0] == '.' else '-'}{file}", "hashes": {"sha256": n}}
        for n, file in zip("0123", files, strict=False)
    ]
    package = {
        "name": "x",
        "version": "1",
        "wheels": [one for one in described if one["url"].endswith(".whl")],
    }
    if files[-1].endswith(".gz"):
        package["sdist"] = described[-1]
    (found,) = locks._locked(package).sha256
    assert int(found) == best


def test_a_package_without_a_file_for_the_images_is_refused():
    file = {"url": "https://server/x-1-cp311-cp311-win_amd64.whl", "hashes": {"sha256": "0"}}
    with pytest.raises(locks.MachineError, match="no file"):
        locks._locked({"name": "x", "version": "1", "wheels": [file]})
