"""What the stages of the container tests do; they run inside, see test_run_container.py."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import Meter
from bench.run.job import Job, Progress, StageResult

MIB = 1 << 20


def _refusal(attempt: Callable[[], object]) -> str:
    """What an attempt ends with: the error's name, or ``done``."""
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"


def look(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Try to leave the container in every way that it should not have."""
    (work / "result.txt").write_text("written")
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    connect = _refusal(lambda: socket.create_connection(("192.0.2.1", 80), 1))
    return StageResult(
        details={
            "written": {
                path: _refusal(lambda path=path: Path(path, "x").write_text("x"))  # type: ignore[misc]
                for path in job.options["paths"]
            },
            "network": [connect, sorted(os.listdir("/sys/class/net"))],  # noqa: PTH208
            "uid": os.getuid(),
            "capabilities": fields["CapEff"],
            "no_new_privileges": fields["NoNewPrivs"],
            "server": os.getppid(),
            "inputs": {name: sorted(os.listdir(at)) for name, at in job.inputs.items()},  # noqa: PTH208
            "gpu_node": Path("/dev/bench-gpu").exists(),
        }
    )


def use(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Take memory and CPU time."""
    taken = bytearray(b"x") * (int(job.options["mib"]) * MIB)
    until = time.process_time() + 0.6
    while time.process_time() < until:
        pass
    return StageResult(details={"taken": len(taken)})


def wait(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Begin, and never end."""
    progress(1, 10, "begun")
    while True:
        time.sleep(1)


def fail(job: Job, work: Path, meter: Meter, progress: Progress) -> StageResult:
    """Raise what nobody expects."""
    raise RuntimeError("as asked")
