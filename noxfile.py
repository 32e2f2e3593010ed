"""Sessions of the kit: ``nox -s NAME``; what stands behind ``--`` goes to ``python -m bench``.

A study, whole:  reproduce · plan · fetch · images · doctor · profile, for example
                 ``nox -s reproduce -- --study smoke --cells 'mt-*' --jobs 2``.
Again, in part:  generate · score · report · verify, from what is stored or from an earlier
                 run (``-- --from FOLDER|ARCHIVE``); one cell alone: ``nox -s "cell(mt-qlora-2m)"``.
Two runs:        compare, ``-- A B``: what differs, and what is better or worse in B.
The paper:       reanalyse · claims, from its published values, without any model.
The kit itself:  selfcheck · tests · gpu · lint · benchmarks · lock · bases.

``nox -s NAME -- --help`` lists the options of one. All but ``tests``, ``lint`` and
``benchmarks`` are thin wrappers that set up one environment and call ``python -m bench``.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
#: Pythons for which every locked package has a wheel, or is built (from 3.13: one, in C).
PYTHONS = ((3, 11), (3, 14))
if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
    sys.exit(
        f"nox runs on Python {platform.python_version()}, and bench needs one from 3.11 to 3.14: "
        "./reproduce finds or brings one, in .nox-env"
    )
sys.path.insert(0, str(ROOT))  # nox runs from its own environment, without the package

from bench import naming  # noqa: E402
from bench.containers import wheels  # noqa: E402
from bench.gpus import gpu_visible  # noqa: E402
from bench.grid import tables  # noqa: E402

nox.needs_version = ">=2025.5"
nox.options.sessions = ["reproduce"]
nox.options.default_venv_backend = "none"  # one environment for all sessions: see setup()

ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "containers" / "locks" / "venv.txt"
TORCH = LOCK.with_name("torch-cpu.txt").read_text().partition("+cpu")[0].removeprefix("torch==")
TORCH_CPU_INDEX = wheels.TORCH_CPU_INDEX


def has_gpu() -> bool:
    """Whether this machine shows a CUDA GPU, as bench sees it."""
    return gpu_visible()


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
    session.log("setting up .venv from containers/locks/venv.txt (once, about two minutes)")
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


def cells() -> dict[str, str]:
    """Every cell of every study and option by its id, with a line for ``nox -l``."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name in tables.available():
        study = tables.read(tables.locate(name))
        seen: set[str] = set()
        for option in (None, *study.get("options", ())):
            chosen = tables.with_options(study, [option] if option else [])
            for one in tables.grid(chosen):
                told = naming.model(one.id, one.method, one.size)
                if one.id not in seen:
                    where = f"{name} --with {option}" if option else name
                    found.setdefault(one.id, (told, []))[1].append(where)
                    seen.add(one.id)
    return {one: f"{told} ({' or '.join(where)})." for one, (told, where) in found.items()}


@nox.session
def reproduce(session: nox.Session) -> None:
    """Run a study from data to report; what is done already is kept."""
    bench(session, "run", *session.posargs)


@nox.session
def plan(session: nox.Session) -> None:
    """Say what a run would do, what is done, stale or missing, and what it costs."""
    bench(session, "plan", *session.posargs)


@nox.session
def fetch(session: nox.Session) -> None:
    """Download and verify what a study reads, or what the images hold (``-- images``)."""
    bench(session, "fetch", *session.posargs)


@nox.session
def images(session: nox.Session) -> None:
    """Build the pinned container images (``-- --gpu --base-image NAME@sha256:… --offline``)."""
    bench(session, "images", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Say what this machine can run, and what to install for the rest."""
    bench(session, "doctor", *session.posargs)


@nox.session
def profile(session: nox.Session) -> None:
    """Measure what this GPU makes of a study's sizes: minutes, no download."""
    bench(session, "profile", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """Check every path that only a GPU takes, then profile it: nine minutes."""
    setup(session)
    checks = ["--rootdir=.", "--config-file=pyproject.toml", "tests/gpu", "--gpu"]
    session.run(python(), "-m", "pytest", *checks, external=True)
    bench(session, "profile", *session.posargs)


@nox.session
def generate(session: nox.Session) -> None:
    """Generate again from stored trained models, then score and report."""
    bench(session, "generate", *session.posargs)


@nox.session
def score(session: nox.Session) -> None:
    """Score stored generations again: a run's, or any file (``-- --generations FILE …``)."""
    bench(session, "score", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Write the report again from what is stored, as it lies."""
    bench(session, "report", *session.posargs)


@nox.session
def verify(session: nox.Session) -> None:
    """Hash a stored run again and say what does not match (``-- reports/smoke``)."""
    bench(session, "verify", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Say what two runs differ in, and what is better or worse in the second (``-- A B``)."""
    bench(session, "compare", *session.posargs)


@nox.session
def reanalyse(session: nox.Session) -> None:
    """Redo the paper's statistics from its per-instance values."""
    bench(session, "reanalyse", *session.posargs)


@nox.session
def claims(session: nox.Session) -> None:
    """Decide the paper's claims on its published values, in both readings."""
    bench(session, "claims", *session.posargs)


@nox.session
def selfcheck(session: nox.Session) -> None:
    """Execute the suites' own solutions: suites, tools and sandbox must hold."""
    bench(session, "selfcheck", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; options go to pytest (``-- --mirror DIR --slow``)."""
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
        "--dist=worksteal",  # neighbours share fixtures: what is costly is made once
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
def bases(session: nox.Session) -> None:
    """Make a study's tiny bases anew and keep them in ``datasets/bases``."""
    bench(session, "bases", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve pyproject.toml anew into containers/locks (versions and SHA-256)."""
    bench(session, "lock", "--", *session.posargs)


def add_cell(name: str, description: str) -> None:
    """Make the session that runs one cell alone, for example ``cell(mt-qlora-2m)``."""

    def cell(session: nox.Session) -> None:
        bench(session, "run", "--cells", name, *session.posargs)

    cell.__doc__ = description
    nox.session(name=f"cell({name})")(cell)


# Last, so that `nox -l` begins with what there is to do. The study is one that has the cell.
for cell_id, line in cells().items():
    add_cell(cell_id, line)
