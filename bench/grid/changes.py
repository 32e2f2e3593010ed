"""Why a stage is stale: which ingredients of its key changed, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.data import readers
from bench.errors import DataError

#: A value in words is not longer than this.
_SHOWN = 40
_ABSENT = object()


def read(made_of: bytes | None) -> dict[str, Any] | None:
    """The ingredients of a key, None where they were not kept or are not what they should be."""
    try:
        content = readers.parse_json(made_of or b"", "a key")
    except DataError:
        return None
    if not isinstance(content, dict):
        return None
    return content if all(isinstance(content.get(part), dict) for part in _WORDS) else None


def upstream(made_of: bytes | None, stage: str) -> str | None:
    """The key of the stage before from which a stored stage was made; None where unknown."""
    made = read(made_of)
    key = made["upstream"].get(stage) if made else None
    return key if isinstance(key, str) else None


def why(before: bytes | None, now: bytes) -> tuple[str, ...]:
    """What changed between the ingredients of a stored stage and the present ones.

    For example ``source bench/train/loss.py`` or ``option training.lora.rank: 8 → 16``;
    ``train before it`` alone where only a stage that it builds on has changed.
    """
    old, new = read(before), read(now)
    if old is None:
        return ("what it was made of is not kept",)
    if new is None:
        raise ValueError("the present ingredients are not those of a key")
    if old.get("recipe") != new.get("recipe"):
        return (f"made by another recipe of keys: {old.get('recipe')}, now {new.get('recipe')}",)
    told = [line for part in _WORDS for line in between(part, old[part], new[part])]
    return tuple(told) or ("nothing that is known: its key is not that of its ingredients",)


def between(part: str, old: Any, new: Any) -> Iterator[str]:
    """What differs in one part of a key (``config``, ``sources``, …), a line each."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for name in sorted(before.keys() | after.keys()):
        was, is_ = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if was != is_:
            yield _WORDS[part](name, was, is_)


def _leaves(value: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every plain value with the names that lead to it; a table of a list goes by its label."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*name, str(key)))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*name, str(item.get("label", index))))
    else:
        yield name, value


def _values(was: Any, is_: Any) -> str:
    return f": {_shown(was)} → {_shown(is_)}"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _file(kind: str, name: tuple[str, ...], was: Any, is_: Any) -> str:
    """A file: changed, or only on one side."""
    suffix = " (new)" if was is _ABSENT else " (no longer used)" if is_ is _ABSENT else ""
    return f"{kind} {'/'.join(name)}{suffix}"


def _option(name: tuple[str, ...], was: Any, is_: Any) -> str:
    return f"option {'.'.join(name)}{_values(was, is_)}"


def _source(name: tuple[str, ...], was: Any, is_: Any) -> str:
    return _file("source", name, was, is_)


def _data(name: tuple[str, ...], was: Any, is_: Any) -> str:
    return _file("data", name, was, is_)


def _machine(name: tuple[str, ...], was: Any, is_: Any) -> str:
    return f"this machine's {'.'.join(name)}{_values(was, is_)}"


def _environment(name: tuple[str, ...], was: Any, is_: Any) -> str:
    if name[0] == "locks":
        return _file("lock", name[1:], was, is_)
    if name[0] == "image":
        was, is_ = (
            one.removeprefix("sha256:")[:12] if isinstance(one, str) else one for one in (was, is_)
        )
    return f"{'.'.join(name)}{_values(was, is_)}"


def _upstream(name: tuple[str, ...], _was: Any, _is: Any) -> str:
    return f"{name[0]} before it"


#: The parts of a key, in the order in which they are told.
_WORDS = {
    "config": _option,
    "sources": _source,
    "data": _data,
    "environment": _environment,
    "machine": _machine,
    "upstream": _upstream,
}
