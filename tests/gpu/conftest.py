"""What only a GPU can show. Without ``--gpu`` all of it is skipped; with it, one must be there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Where the library `datasets` is not installed, the checkout's folder must not pass for it.
_found = importlib.util.find_spec("datasets")
if _found is not None and _found.origin is None:
    import bench  # noqa: F401
    import tests  # noqa: F401

    sys.modules.pop("datasets", None)
    sys.path[:] = [one for one in sys.path if Path(one or ".").resolve() != ROOT]
    importlib.invalidate_caches()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("gpu")


@pytest.fixture(scope="session")
def device():
    """The GPU."""
    import torch

    assert torch.cuda.is_available(), "--gpu, and torch sees no CUDA GPU"
    return torch.device("cuda:0")
