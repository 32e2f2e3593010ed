"""``pip install .`` without extras: each command works, or says which extra it needs.

The wheel is built from the files of the checkout and installed into an environment of its
own, which sees the locked packages of the base set alone. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bench.cli.options import parser
from bench.grid import keys

ROOT = Path(__file__).parents[1]
PACKAGED = ("bench", "containers", "datasets", "reports/reference")
FILES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
COMMANDS = tuple(parser()._subparsers._group_actions[0].choices)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built with the environment's own setuptools from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in PACKAGED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in FILES:
        shutil.copy2(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, source], check=True)
    (built,) = folder.glob("*.whl")
    return built


def base_set():
    """The distributions that ``pip install .`` brings beside the kit."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found, waiting = {}, list(declared)
    while waiting:
        requirement = Requirement(waiting.pop())
        marker = requirement.marker
        if requirement.name in found or (marker and not marker.evaluate({"extra": ""})):
            continue
        found[requirement.name] = importlib.metadata.distribution(requirement.name)
        waiting += found[requirement.name].requires or ()
    return found.values()


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """An environment with the wheel and links to the packages of the base set."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    for distribution in base_set():
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return packages


@pytest.fixture(scope="module")
def bench(site, tmp_path_factory):
    """Runs ``bench`` as installed, in a folder without a checkout."""
    python = site.parents[2] / "bin" / "python"
    folder = tmp_path_factory.mktemp("somewhere")

    def run(*arguments, cwd=folder):
        environment = {
            "PATH": os.environ["PATH"],
            "BENCH_CACHE": str(folder / "cache"),
            "BENCH_OFFLINE": "1",
        }
        script = "import sys; from bench.cli import main; sys.exit(main())"
        return subprocess.run(
            [python, "-c", script, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_has_the_data_and_nothing_else_of_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"bench"}
    data = {name.removeprefix("bench/kit/") for name in names if name.startswith("bench/kit/")}
    tracked = {
        str(file.relative_to(ROOT))
        for folder in PACKAGED[1:]
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert data == tracked
    for path in (ROOT / "bench").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert str(path.relative_to(ROOT)) in names, f"{path}: not in the wheel"


def test_only_the_base_set_is_there(bench, site):
    """What the other tests here stand on."""
    assert (site / "numpy").exists()
    assert not (site / "torch").exists()
    assert not (site / "tree_sitter").exists()
    assert (site / "bench" / "kit" / "datasets" / "sources.tsv").is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells_its_options(bench, command):
    done = bench(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: bench {command}" in done.stdout


def test_a_study_is_planned(bench):
    done = bench("plan", "--study", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert len(plan["cells"]) == 9
    assert plan["estimates"], "the recorded costs ship with the wheel"


def test_the_code_that_decides_a_key_is_the_same(site):
    assert keys.sources(site) == keys.sources(ROOT)


def test_what_it_cannot_do_without_an_extra_names_the_extra(bench, tmp_path):
    generations = tmp_path / "generations.jsonl"
    generations.write_text('{"id": "1", "code": "def f():\\n    return 1"}\n')
    of_a_file = ["--generations", generations, "--task", "generation", "--language", "python"]
    for arguments, extra in [
        (["run", "--study", "smoke"], "train,score"),
        (["score", *of_a_file, "--csv", tmp_path / "scores.csv"], "score"),
        (["selfcheck"], "score"),
    ]:
        done = bench(*arguments)
        assert done.returncode == 4, (arguments, done.stderr)
        assert f"pip install '.[{extra}]'" in done.stderr, arguments
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["images"], ["fetch", "images"], ["lock"]], ids=lambda words: words[0]
)
def test_what_needs_a_checkout_says_so(bench, arguments):
    done = bench(*arguments)
    assert done.returncode == 4
    assert "a checkout of the kit" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["doctor"], 1, "pip install '.[train,score]'"),
        (["reanalyse", "--mirror", "absent"], 3, "absent: no such folder"),
        (["claims"], 3, "bench fetch --all"),
        (["verify", "absent"], 2, "absent is no run"),
        (["report"], 2, "nothing is stored: reports/smoke"),
        (["generate"], 2, "nothing is stored: reports/smoke"),
        (["score"], 2, "nothing is stored: reports/smoke"),
        (["fetch", "--list", "--study", "paper"], 0, "Qwen/Qwen2.5-Coder-7B-Instruct"),
        (["profile", "--list"], 0, "train 7b full"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_the_others_work(bench, arguments, code, told):
    done = bench(*arguments)
    assert done.returncode == code, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert told in said
    assert "not foreseen" not in said


def test_the_published_rows_are_redone(bench, mirror):
    done = bench("reanalyse", "--mirror", mirror)
    assert done.returncode == 0, done.stderr
    assert "345 of the 345 rows" in done.stdout


def test_nothing_was_written_into_the_package(site):
    """The last of them: what the tests above made lies elsewhere."""
    assert not (site / "reports").exists()
    assert not (site / ".cache").exists()
    assert not (site / "bench" / "kit" / ".cache").exists()
