"""Runs one stage in a container, as a process to be killed: FOLDER IMAGE FUNCTION."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.containers import engine  # noqa: E402
from bench.grid import study  # noqa: E402
from bench.grid.store import Store  # noqa: E402
from bench.run import container  # noqa: E402
from bench.run.child import Task  # noqa: E402
from bench.run.job import Job  # noqa: E402

OWNER = "bases/2m"


def around(*readable: Path) -> container.Surroundings:
    """What the containers of the tests see: the checkout, and the modules beside this one."""
    tests = str(Path(__file__).parent)
    return container.Surroundings(
        [ROOT, *readable], {"PYTHONPATH": tests}, memory_bytes=1 << 29, cpus=1.0
    )


def job(key: str, stage: str = "base", owner: str = OWNER, **changes: object) -> Job:
    """A stage of a base; ``changes`` are fields of the job."""
    known = {"cell": None, "method": None, "size": "2m", "model": None, "tasks": ("generation",)}
    known |= {"inputs": {}, "study": study.load("smoke"), **changes}
    return Job(id=f"{owner}/{stage}", stage=stage, key=key, **known)  # type: ignore[arg-type]


def main(folder: Path, image: str, function: str) -> None:
    """Start the stage, say so when it has begun, and wait for its end."""
    results = Store(folder)
    with results.locked():
        work, _ = results.prepare(OWNER, "base", "k" * 64)
        images = {"run": image, "score": image}
        with container.Containers(
            engine.find(), images, folder, around(), preload={}
        ) as containers:
            task = Task(job("k" * 64), f"container_stages:{function}", work, False)
            containers.start(task, results.lock_fd)
            while (message := containers.poll(0.2)) is None or message["event"] != "exit":
                if message is not None and message["event"] == "progress":
                    print("begun", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
