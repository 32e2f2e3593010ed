"""The arithmetic of models on a CPU: bf16 where it multiplies that natively, else fp32.

Which of the two it is decides weights and answers, so it is in the keys of the stages that make
them. Without torch: plans ask, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from bench.errors import MachineError
from bench.grid.study import Study, TinyBase

Arithmetic = Literal["bf16", "fp32"]

#: The variable that chooses one, whatever the CPU has: bf16 is slow where it is emulated.
VARIABLE = "BENCH_CPU_ARITHMETIC"
_CPU = Path("/proc/cpuinfo")
_NATIVE = frozenset({"avx512_bf16", "amx_bf16"})


def on_cpu() -> Arithmetic:
    """The arithmetic of models on this CPU.

    Raises:
        MachineError: the variable names none.
    """
    asked = os.environ.get(VARIABLE)
    if not asked:
        return "bf16" if _multiplies_bfloat16() else "fp32"
    for known in get_args(Arithmetic):
        if asked == known:
            return known  # type: ignore[no-any-return]
    raise MachineError(
        f"{VARIABLE} is {asked!r}", hint="set it to bf16 or fp32, or unset it: the CPU decides then"
    )


def deciding(study: Study) -> dict[str, dict[str, str]]:
    """Per stage, what the keys of a study's stages hold of this machine's arithmetic.

    Nothing for a study of hub models alone: they compute in bf16, on GPUs, and a plan has to be
    the same where there is none.
    """
    if not any(isinstance(base, TinyBase) for base in study.sizes):
        return {}
    return {stage: {"arithmetic": on_cpu()} for stage in ("base", "train", "generate")}


def _multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bf16 natively, as far as the system says."""
    try:
        words = _CPU.read_text(errors="replace").split()
    except OSError:
        return False
    return not _NATIVE.isdisjoint(words)
