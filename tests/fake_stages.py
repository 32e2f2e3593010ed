"""Stage functions that need no library: what the runner's tests execute.

Each appends one line at a time to its output, as training steps and generated lines do,
and continues where an interrupted attempt stopped. ``options`` of the job steer it:
``journal`` (who ran, when), ``steps``, ``step_s`` by stage, and what some stages do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.errors import MachineError
from bench.measure import Meter
from bench.records import Tokens
from bench.run.job import Job, Progress, StageResult


def stage(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    journal(job, "start")
    behave(job, work)
    steps = job.options.get("steps", 2)
    output = work / "output.txt"
    before = sorted((name, (path / "output.txt").read_text()) for name, path in job.inputs.items())
    with meter.phase("work"), output.open("a+") as file:
        file.seek(0)
        for step in range(len(file.readlines()), steps):
            seed = f"{job.stage} {job.tasks} {job.size} {before} {step}"
            file.write(hashlib.sha256(seed.encode()).hexdigest() + "\n")
            file.flush()
            progress(step + 1, steps, "steps")
            time.sleep(job.options.get("step_s", {}).get(job.stage, 0))
    print("done", job.id)
    journal(job, "end")
    return StageResult(Tokens(3, 2, 1), output.stat().st_size, {"inputs": sorted(job.inputs)})


def behave(job: Job, work: Path) -> None:
    what = job.options.get("behave", {}).get(job.id)
    if what == "raise":
        raise ValueError("no such luck\nsecond line")
    if what == "refuse":
        raise MachineError("no JDK", hint="install one")
    if what == "memory":
        raise MemoryError
    if what == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.id))
    if what == "fill":
        (work / "weights").write_bytes(bytes(2**22))
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "orphan":
        detached = "import os,sys,time; os.setsid(); time.sleep(600)"
        orphan = subprocess.Popen([sys.executable, "-c", detached])
        journal(job, f"orphan {orphan.pid}")
    if what == "hang":
        time.sleep(600)


def journal(job: Job, what: str) -> None:
    if "journal" in job.options:
        with Path(job.options["journal"]).open("a") as file:
            file.write(f"{time.monotonic():.4f} {os.getpid()} {job.id} {what}\n")
