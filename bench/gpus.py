"""Whether this machine shows a CUDA GPU: the one place that says so, for nox and for bench.

Standard library only, since the noxfile asks it where only nox is installed.
"""

from __future__ import annotations

import shutil

#: The driver's own tool.
SMI = "nvidia-smi"


def gpu_visible() -> bool:
    """Whether an NVIDIA driver is installed; nothing is said of whether torch can use it."""
    return shutil.which(SMI) is not None
