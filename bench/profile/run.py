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


def run(
    items: Sequence[Item],
    study: Study,
    out: Path,
    budget_s: float,
    origin: Mapping[str, Any],
    *,
    cpu: bool = False,
    measure: Callable[[Item, Study, float, bool], dict[str, Any]] | None = None,
) -> Iterator[Finding]:
    """Measure items until the time is up; ``out`` holds what is known after each.

    ``cpu`` hides whatever GPU there is.

    Raises:
        DiskError: ``out`` cannot be written.
    """
    measure = measure or in_a_process
    with store.writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    content: dict[str, Any] = {"schema": SCHEMA, "device": None, "software": {}, "origin": origin}
    found: list[Finding] = []
    for item in items:
        left_s = budget_s - (time.monotonic() - start)
        began = time.monotonic()
        if left_s <= 0:
            values = _ended("dropped", f"the {budget_s:g} s were up")["found"]
        else:
            answer = measure(item, study, min(ITEM_S, left_s), cpu)
            values = answer["found"]
            content["device"] = answer.get("device") or content["device"]
            content["software"] = answer.get("software") or content["software"]
        spent_s = round(time.monotonic() - began, 1)
        found.append(Finding(item, {**values, "item_s": spent_s}))
        content["items"] = [one.as_json() for one in found]
        with store.writing(out.parent):
            store.write_atomic(out, (json.dumps(content, indent=1) + "\n").encode())
        yield found[-1]


def in_a_process(item: Item, study: Study, limit_s: float, cpu: bool) -> dict[str, Any]:
    """What a process of its own says of an item; its failure is an answer, too."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({"item": item.as_json(), "study": canonical(study)}))
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        slot = Slot(() if cpu else (first,), len(os.sched_getaffinity(0)))
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _MEASURE, str(places.CODE), str(request), str(answer)],
                env={**os.environ, **local.environment(slot)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _ended("timeout", f"took longer than {limit_s:.0f} s")
        if answer.is_file():
            found: dict[str, Any] = json.loads(answer.read_text())
            return found
        lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        return _ended("failed", lines[-1][:500], lines)


def _ended(outcome: str, reason: str, log: Sequence[str] = ()) -> dict[str, Any]:
    return {"found": {"outcome": outcome, "reason": reason, "log": list(log[-30:])}}
