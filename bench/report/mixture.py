"""Mixed provenance: what differs between the stages that one report puts side by side.

A run folder is filled over time: by partial reruns, on several machines, from an archive.
What a stage's key covers may differ where stored stages are reported as they lie; hardware
and the way in which stages are started may differ even where every key agrees.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.grid import keys
from bench.records import Outcome, StageRecord

#: Of what differs, this much is named.
_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where one stage comes from: what its key was made of, and its run's provenance.

    Both are empty where they were not kept.
    """

    record: StageRecord
    made_of: Mapping[str, Any]
    provenance: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """An aspect in which ``stages`` of ``total`` stages differ from the others, and in what."""

    aspect: str
    stages: int
    total: int
    what: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.what) - _NAMED
        named = [*self.what[:_NAMED], *([f"{more} more"] if more > 0 else [])]
        return f"{self.aspect} of {self.stages} of {self.total} stages ({'; '.join(named)})"


def differences(origins: Sequence[Origin]) -> tuple[Difference, ...]:
    """In what the finished stages of a run differ that should not, or that times depend on."""
    finished = [origin for origin in origins if origin.record.outcome is Outcome.OK]
    found = (_difference(aspect, facts, finished) for aspect, facts in _ASPECTS.items())
    return tuple(difference for difference in found if difference is not None)


def line(found: tuple[Difference, ...]) -> str | None:
    """The first line of a report of mixed provenance; None where there is a single one."""
    if not found:
        return None
    told = f"Mixed provenance: {', '.join(map(str, found))}"
    return f"{told}. {TIMES}" if any(one.aspect == HARDWARE for one in found) else told


def _difference(
    aspect: str, facts: Callable[[Origin], Iterator[tuple[str, str]]], origins: Sequence[Origin]
) -> Difference | None:
    """Compare each fact among the stages that have it; the most frequent value is the rule."""
    told = [dict(facts(origin)) for origin in origins]
    values: dict[str, Counter[str]] = {}
    for one in told:
        for name, value in one.items():
            values.setdefault(name, Counter())[value] += 1
    mixed = {name: counts for name, counts in values.items() if len(counts) > 1}
    if not mixed:
        return None
    rule = {name: counts.most_common(1)[0][0] for name, counts in mixed.items()}
    odd = sum(any(one.get(name, rule[name]) != rule[name] for name in mixed) for one in told)
    what = [_told(aspect, name, counts) for name, counts in mixed.items()]
    if aspect == CODE:
        commits = dict.fromkeys(map(_commit, origins))
        what = [*([" | ".join(commits)] if len(commits) > 1 else []), *what]
    return Difference(aspect, odd, len(origins), tuple(dict.fromkeys(what)))


def _told(aspect: str, name: str, counts: Counter[str]) -> str:
    """What differs in words; digests are named, not shown."""
    if aspect == CODE:
        return name
    name = name.rpartition(":")[2]
    if name.startswith("lock "):
        return name
    return f"{name}: {' | '.join(value[:60] for value, _ in counts.most_common())}"


def _code(origin: Origin) -> Iterator[tuple[str, str]]:
    """The files that the stage used; the commit stands for them where they were not kept."""
    sources = origin.made_of.get("sources")
    if isinstance(sources, Mapping):
        yield from ((path, str(sha256)) for path, sha256 in sources.items())
    elif origin.provenance:
        yield "commit", _commit(origin)


def _commit(origin: Origin) -> str:
    git = origin.provenance.get("git") or {}
    if not git.get("commit"):
        return "commit unknown"
    return f"commit {git['commit'][:10]}{' (modified)' if git.get('dirty') else ''}"


def _environment(origin: Origin) -> Iterator[tuple[str, str]]:
    """Locks and versions, among the stages that share an environment."""
    role = keys.IMAGES.get(origin.record.stage, "")
    environment = origin.made_of.get("environment") or {}
    for name, sha256 in (environment.get("locks") or {}).items():
        yield f"{role}:lock {name}", str(sha256)
    for name, version in origin.record.software.items():
        if version is not None:
            yield f"{role}:{name}", version


def _image(origin: Origin) -> Iterator[tuple[str, str]]:
    image = (origin.made_of.get("environment") or {}).get("image")
    if image:
        role = keys.IMAGES.get(origin.record.stage, "")
        yield f"{role} image", str(image).removeprefix("sha256:")[:12]


def _executor(origin: Origin) -> Iterator[tuple[str, str]]:
    engine = origin.provenance.get("engine") or {}
    names = (origin.provenance.get("executor"), engine.get("name"))
    yield "started by", " ".join(filter(None, names)) or "unknown"


def _hardware(origin: Origin) -> Iterator[tuple[str, str]]:
    machine = origin.provenance.get("machine")
    if machine:
        yield "processor", str(machine.get("cpu") or "unknown")
        yield "cores", str(machine.get("cores") or "unknown")
        yield "memory", f"{(machine.get('memory_bytes') or 0) / 2**30:.0f} GiB"
        gpus = [f"{gpu['name']} (driver {gpu['driver']})" for gpu in machine.get("gpus") or ()]
        yield "GPU", ", ".join(gpus) or "none"


CODE, HARDWARE = "code", "hardware"
TIMES = "Seconds and peaks of different hardware do not compare."
_ASPECTS: Mapping[str, Callable[[Origin], Iterator[tuple[str, str]]]] = {
    HARDWARE: _hardware,
    "executor": _executor,
    "image": _image,
    "environment": _environment,
    CODE: _code,
}
