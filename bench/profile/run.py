"""Measures the items of a profile one by one, and keeps what is known after each.

Each item has a process of its own: one that dies, or fills the device, takes nothing with it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import places
from bench.grid import store
from bench.grid.study import Study, canonical
from bench.profile.items import Item
from bench.run import local
from bench.run.slots import Slot

SCHEMA = 1
#: The longest that one item may take.
ITEM_S = 180.0
#: Cores from which on the next item's process may load while an item is measured.
_CORES_AHEAD = 4
#: The checkout's folder ``datasets`` must not pass for the library of that name.
_MEASURE = (
    "import sys; sys.path.insert(0, sys.argv[1]); import bench; del sys.path[0]; "
    "from bench.profile import measure; measure.main(*sys.argv[2:])"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """An item with what was measured of it; ``outcome`` ok, oom, failed, timeout or dropped."""

    item: Item
    values: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """How the measurement ended."""
        return str(self.values["outcome"])

    def as_json(self) -> dict[str, Any]:
        """The item's settings, and over them what they came to."""
        return {"label": self.item.label, **self.item.as_json(), **self.values}


class Worker:
    """A process that measures one item when it is told to, and has its libraries loaded by then."""

    def __init__(self, item: Item, study: Study, *, cpu: bool) -> None:
        """Start the process; ``cpu`` hides whatever GPU there is."""
        self._folder = tempfile.TemporaryDirectory()
        request = Path(self._folder.name) / "request.json"
        self._answer = request.with_name("answer.json")
        request.write_text(json.dumps({"item": item.as_json(), "study": canonical(study)}))
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        slot = Slot(() if cpu else (first,), len(os.sched_getaffinity(0)))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                _MEASURE,
                str(places.CODE),
                str(request),
                str(self._answer),
            ],
            env={**os.environ, **local.environment(slot)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def measure(self, limit_s: float) -> dict[str, Any]:
        """What the process says of its item; its failure is an answer, too."""
        try:
            _, log = self._process.communicate("\n", timeout=limit_s)
        except subprocess.TimeoutExpired:
            return _ended("timeout", f"took longer than {limit_s:.0f} s")
        if self._answer.is_file():
            found: dict[str, Any] = json.loads(self._answer.read_text())
            return found
        lines = log.strip().splitlines() or [f"ended with code {self._process.returncode}"]
        return _ended("failed", lines[-1][:500], lines)

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()


def run(
    items: Sequence[Item],
    study: Study,
    out: Path,
    budget_s: float,
    origin: Mapping[str, Any],
    *,
    cpu: bool = False,
    worker: Callable[..., Any] = Worker,
) -> Iterator[Finding]:
    """Measure items until the time is up; ``out`` holds what is known after each.

    The next item's process loads its libraries while an item is measured, where a core is left
    for it.

    Raises:
        DiskError: ``out`` cannot be written.
    """
    with store.writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    content: dict[str, Any] = {"schema": SCHEMA, "device": None, "software": {}, "origin": origin}
    found: list[Finding] = []
    ahead = not cpu and len(os.sched_getaffinity(0)) >= _CORES_AHEAD
    waiting: dict[int, Any] = {}
    try:
        for place, item in enumerate(items):
            left_s = budget_s - (time.monotonic() - start)
            began = time.monotonic()
            if left_s <= 0:
                values = _ended("dropped", f"the {budget_s:g} s were up")["found"]
            else:
                for one in range(place, min(place + 1 + ahead, len(items))):
                    if one not in waiting:
                        waiting[one] = worker(items[one], study, cpu=cpu)
                answer = waiting[place].measure(min(ITEM_S, left_s))
                waiting.pop(place).close()
                values = answer["found"]
                content["device"] = answer.get("device") or content["device"]
                content["software"] = answer.get("software") or content["software"]
            spent_s = round(time.monotonic() - began, 1)
            found.append(Finding(item, {**values, "item_s": spent_s}))
            content["items"] = [one.as_json() for one in found]
            with store.writing(out.parent):
                store.write_atomic(out, (json.dumps(content, indent=1) + "\n").encode())
            yield found[-1]
    finally:
        for one in waiting.values():
            one.close()


def _ended(outcome: str, reason: str, log: Sequence[str] = ()) -> dict[str, Any]:
    return {"found": {"outcome": outcome, "reason": reason, "log": list(log[-30:])}}
