"""What differs between two runs beside their values: code, locks, data, machine, options.

The keys of their stages say of what each was made, in the words in which a plan tells why a
stage is stale; what no key covers (commit, hardware, how stages were started) the provenance.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.compare.sides import Side
from bench.grid import changes
from bench.grid.study import canonical
from bench.report.mixture import Origin

#: What two runs may differ in, in the order in which it is told.
ASPECTS = ("commit", "sources", "options", "locks", "versions", "data", "machine", "executor")
#: The parts of a key by the aspect that they belong to; a lock and a version are of one part.
_PARTS = {
    "config": "options",
    "sources": "sources",
    "data": "data",
    "environment": "versions",
    "machine": "machine",
}
_UNKNOWN = "unknown"
_GIB = 2**30
#: As many letters of a commit are told.
_COMMIT = 10

#: From a provenance, what it tells of one aspect, by name.
Facts = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Something that differs, in words, and for how many of the stages that both runs have.

    ``stages`` is None for what is told of the run as a whole.
    """

    aspect: str
    told: str
    stages: int | None = None


def between(a: Side, b: Side) -> tuple[Difference, ...]:
    """Everything that differs between two runs of one study, by aspect."""
    found = [*_of_keys(a, b), *_of_options(a, b), *_of_provenance(a, b)]
    first: dict[tuple[str, str], Difference] = {}
    for one in found:
        first.setdefault((one.aspect, one.told), one)
    return tuple(sorted(first.values(), key=lambda one: (ASPECTS.index(one.aspect), one.told)))


def _origins(side: Side) -> Mapping[tuple[str, str], Origin]:
    return dict(zip(side.run.records, side.run.origins, strict=True))


def _of_keys(a: Side, b: Side) -> Iterator[Difference]:
    """What changed between the ingredients of the stages that both runs have."""
    left, right = _origins(a), _origins(b)
    counts: dict[tuple[str, str], int] = {}
    for stage in left.keys() & right.keys():
        one, other = left[stage], right[stage]
        if one.record.key == other.record.key:
            continue
        for found in _of_stage(one.made_of, other.made_of):
            counts[found] = counts.get(found, 0) + 1
    for (aspect, told), stages in counts.items():
        yield Difference(aspect, told, stages)


def _of_stage(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not one or not other:
        yield "sources", "what a stage was made of is not kept"
        return
    if one.get("recipe") != other.get("recipe"):
        yield "sources", f"recipe of keys {one.get('recipe')} → {other.get('recipe')}"
        return
    for part, aspect in _PARTS.items():
        for line in changes.between(part, one[part], other[part]):
            told = line.removeprefix("this machine's ").removeprefix("option ")
            told = told.removeprefix("source ").removeprefix("data ")
            lock = told.startswith("lock ")
            yield ("locks", told.removeprefix("lock ")) if lock else (aspect, told)


def _of_options(a: Side, b: Side) -> Iterator[Difference]:
    """The studies as they were run: their grids and options that no common stage has."""
    one, other = canonical(a.study), canonical(b.study)
    for line in changes.between("config", one, other):
        told = line.removeprefix("option ")
        if not told.startswith("summary"):
            yield Difference("options", told)


def _of_provenance(a: Side, b: Side) -> Iterator[Difference]:
    """What no key covers, and the files of which no stage in common has told."""
    for aspect in ("locks", "data"):
        left, right = (_told(side, functools.partial(_table, aspect)) for side in (a, b))
        if left and right:
            for line in changes.between("data", left, right):
                yield Difference(aspect, line.removeprefix("data "))
    for aspect, fact in _FACTS.items():
        left, right = (_told(side, fact) for side in (a, b))
        for name in dict.fromkeys([*left, *right]):
            was, is_ = left.get(name, _UNKNOWN), right.get(name, _UNKNOWN)
            if was != is_:
                told = f"{was} → {is_}"
                yield Difference(aspect, told if name == aspect else f"{name}: {told}")


def _told(side: Side, facts: Facts) -> dict[str, str]:
    """A run's facts; where its stages were made under several provenances, all of them."""
    provenances = [one.provenance for one in side.run.origins if one.provenance]
    found: dict[str, dict[str, None]] = {}
    for one in provenances or [side.run.provenance]:
        for name, value in facts(one).items():
            found.setdefault(name, {})[str(value)] = None
    return {name: " | ".join(values) for name, values in found.items()}


def _table(field: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A table of a provenance; empty where a run does not tell it, or tells something else."""
    found = content.get(field)
    return found if isinstance(found, Mapping) else {}


def _commit(provenance: Mapping[str, Any]) -> Mapping[str, str]:
    git = _table("git", provenance)
    commit = str(git.get("commit") or _UNKNOWN)[:_COMMIT]
    return {"commit": f"{commit}{' (modified)' if git.get('dirty') else ''}"}


def executor(provenance: Mapping[str, Any]) -> Mapping[str, str]:
    """How stages were started, and by which container engine."""
    names = (provenance.get("executor"), _table("engine", provenance).get("name"))
    return {"executor": " ".join(str(one) for one in names if one) or _UNKNOWN}


def hardware(provenance: Mapping[str, Any]) -> Mapping[str, str]:
    """What times and peaks depend on; empty where a run does not tell its machine."""
    machine = _table("machine", provenance)
    if not machine:
        return {}
    gpus, memory = machine.get("gpus"), machine.get("memory_bytes")
    listed = gpus if isinstance(gpus, list) else []
    names = [one.get("name") for one in listed if isinstance(one, Mapping)]
    return {
        "processor": str(machine.get("cpu") or _UNKNOWN),
        "cores": str(machine.get("cores") or _UNKNOWN),
        "memory": f"{memory / _GIB:.0f} GiB" if isinstance(memory, int | float) else _UNKNOWN,
        "arithmetic": str(machine.get("cpu_arithmetic") or _UNKNOWN),
        "GPU": ", ".join(map(str, names)) or "none",
    }


def _versions(provenance: Mapping[str, Any]) -> Mapping[str, str]:
    told = _table("libraries", provenance)
    return {name: str(version) for name, version in told.items() if version is not None}


_FACTS: Mapping[str, Facts] = {
    "commit": _commit,
    "versions": _versions,
    "machine": hardware,
    "executor": executor,
}
