"""Sessions of the kit: thin wrappers that set up one environment and call ``python -m bench``.

Options for bench stand after ``--``, for example
``nox -s reproduce -- --study smoke --cells 'mt-*' --jobs 2``.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # nox runs from its own environment, without the package

from bench.grid import tables  # noqa: E402

nox.needs_version = ">=2025.5"
nox.options.sessions = ["reproduce"]
nox.options.default_venv_backend = "none"  # one environment for all sessions: see setup()

ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "containers" / "locks" / "run.txt"
TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# What torch's CUDA build needs; a machine without a GPU never downloads it.
CUDA_PACKAGES = (
    "triton",
    "cuda-bindings",
    "cuda-pathfinder",
    "cuda-toolkit",
    "nvidia-cublas",
    "nvidia-cuda-cccl",
    "nvidia-cuda-cupti",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-runtime",
    "nvidia-cudnn-cu13",
    "nvidia-cufft",
    "nvidia-cufile",
    "nvidia-curand",
    "nvidia-cusolver",
    "nvidia-cusparse",
    "nvidia-cusparselt-cu13",
    "nvidia-nccl-cu13",
    "nvidia-nvjitlink",
    "nvidia-nvshmem-cu13",
    "nvidia-nvtx",
)


def has_gpu() -> bool:
    """Whether an NVIDIA driver is installed on this machine."""
    return shutil.which("nvidia-smi") is not None


def python() -> str:
    """The interpreter of the kit's environment."""
    return str(ENVIRONMENT / "bin" / "python")


def setup(session: nox.Session) -> None:
    """Create the kit's environment from the lock; do nothing when it is up to date."""
    stamp = ENVIRONMENT / "lock.sha256"
    wanted = hashlib.sha256(
        f"{LOCK.read_text()} torch {TORCH} gpu {has_gpu()} {sys.version}".encode()
    ).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    session.log("setting up .venv from containers/locks/run.txt (once, about two minutes)")
    session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)
    pip = functools.partial(session.run, python(), "-m", "pip", "install", "-q", external=True)
    if has_gpu() or platform.system() != "Linux":
        pip(f"torch=={TORCH}")
    else:
        # pip's configured sources may carry the CPU build; PyTorch's own index always does.
        cpu_build = f"torch=={TORCH}+cpu"
        pip("--no-deps", cpu_build, success_codes=[0, 1], silent=True)
        if not any(ENVIRONMENT.glob("lib/python*/site-packages/torch")):
            pip("--no-deps", cpu_build, "--index-url", TORCH_CPU_INDEX)
    pip("--no-deps", "--require-hashes", "-r", str(LOCK))
    stamp.write_text(wanted)


def bench(session: nox.Session, *arguments: str) -> None:
    """Run ``python -m bench`` in the kit's environment."""
    setup(session)
    session.run(python(), "-m", "bench", *arguments, external=True)


def cell_ids() -> list[str]:
    """The ids of every cell of every study and option, for ``nox -l`` and partial reruns."""
    ids: dict[str, None] = {}
    for name in tables.available():
        study = tables.read(tables.locate(name))
        grid = tables.grid(tables.with_options(study, study.get("options", ())))
        ids.update(dict.fromkeys(cell.id for cell in grid))
    return list(ids)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Run the whole grid, from data to report (done stages are kept)."""
    bench(session, "run", *session.posargs)


@nox.session
@nox.parametrize("cell", cell_ids(), ids=cell_ids())
def cell(session: nox.Session, cell: str) -> None:
    """Run one cell of the grid alone, for example ``nox -s "cell(mt-qlora-2m)"``."""
    bench(session, "run", "--cells", cell, *session.posargs)


@nox.session
def plan(session: nox.Session) -> None:
    """List cells, models and stages: what is done, stale or missing."""
    bench(session, "plan", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Render the report again from what a run has stored."""
    bench(session, "report", *session.posargs)


@nox.session
def selfcheck(session: nox.Session) -> None:
    """Execute every suite's reference solutions: the suites and the sandbox must hold."""
    bench(session, "selfcheck", *session.posargs)


@nox.session
def score(session: nox.Session) -> None:
    """Score stored generations of any origin: ``-- --generations FILE --task T …``."""
    bench(session, "score", *session.posargs)


@nox.session
def fetch(session: nox.Session) -> None:
    """Download and verify what a study reads: ``-- --study mini``; ``--list`` shows licences."""
    bench(session, "fetch", *session.posargs)


@nox.session
def reanalyse(session: nox.Session) -> None:
    """Redo the paper's statistics from its per-instance values, without any model."""
    bench(session, "reanalyse", *session.posargs)


@nox.session
def claims(session: nox.Session) -> None:
    """Decide the paper's claims on its published values, as published and corrected."""
    bench(session, "claims", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Say what this machine can run, and what to install for the rest."""
    bench(session, "doctor", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; options go to pytest, for example ``-- --mirror DIR --slow``."""
    setup(session)
    session.run(
        python(),
        "-m",
        "pytest",
        "--rootdir=.",
        "--config-file=pyproject.toml",
        "tests",
        "-n",
        "2",
        "--ignore=tests/benchmarks",
        *session.posargs,
        external=True,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and types."""
    setup(session)
    session.run(python(), "-m", "ruff", "check", ".", external=True)
    session.run(python(), "-m", "ruff", "format", "--check", ".", external=True)
    session.run(python(), "-m", "mypy", external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Time the hot paths with pytest-benchmark; results stay in reports/benchmarks/."""
    setup(session)
    folder = ROOT / "reports" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    session.run(
        python(),
        "-m",
        "pytest",
        "tests/benchmarks",
        f"--benchmark-storage=file://{folder}",
        "--benchmark-autosave",
        *session.posargs,
        external=True,
    )


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve pyproject.toml anew into containers/locks (versions and SHA-256)."""
    setup(session)
    without = [option for name in CUDA_PACKAGES for option in ("--no-emit-package", name)]
    session.run(
        python(),
        "-m",
        "uv",
        "pip",
        "compile",
        "pyproject.toml",
        "--extra",
        "train",
        "--extra",
        "score",
        "--extra",
        "test",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "-q",
        "--no-emit-package",
        "torch",
        *without,
        *session.posargs,
        "-o",
        str(LOCK),
        external=True,
    )
