"""Options and fixtures that every test module shares."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: see bench/run/local.py
os.environ.setdefault("BENCH_EXECUTOR", "venv")  # containers are tested where a test says so

import pytest
from hypothesis import HealthCheck, settings

# No example has a time limit: how long one takes is the machine's affair, and its load's.
settings.register_profile("bench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bench")

ROOT = Path(__file__).parent.parent

#: Modules with single steps of minutes. First, so that no worker is left with one at the end.
LONGEST = ("test_studies_rehearsal.py", "test_documents.py", "test_run_kills.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mirror", type=Path, help="folder with the public sources, as fetched")
    parser.addoption("--slow", action="store_true", help="also run tests that take minutes")
    parser.addoption("--true-shapes", action="store_true", help="also run the paper's own shapes")
    parser.addoption("--kills", type=int, default=3, help="how many a run has to survive")
    parser.addoption("--gpu", action="store_true", help="run the tests that need a CUDA GPU")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
    if not config.getoption("--gpu"):
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU: nox -s gpu"))
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; add --slow"))


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the collector need not go through it again.

    Torch and its companions are a million objects, half a second for each full collection;
    libraries ask for some (statsmodels in every Holm correction).
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mirror(request: pytest.FixtureRequest) -> Path:
    """The mirror folder; tests that need it skip with a reason where it is absent."""
    path = request.config.getoption("--mirror")
    if path is None:
        pytest.skip("needs the public sources: pytest --mirror DIR")
    if not path.is_dir():
        pytest.fail(f"--mirror {path} is not a folder")
    return Path(path).resolve()


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a test, or the command that it calls, sets in the environment ends with it."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
