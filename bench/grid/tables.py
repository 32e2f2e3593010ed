"""A study's TOML file as a plain table: with what it extends, and with the options chosen.

Standard library only, since the noxfile lists the cells of every study where nothing but nox
is installed; ``bench.grid.study`` validates the very same table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError, unknown
from bench.grid import cells
from bench.records import METHODS, TASKS, Cell

STUDIES = Path(__file__).parent.parent / "studies"
#: Files beside the studies that are none: what decides the paper's claims.
_NOT_STUDIES = ("claims",)

Table = dict[str, Any]


def available() -> list[str]:
    """Names of the studies that ship with the kit."""
    return sorted(path.stem for path in STUDIES.glob("*.toml") if path.stem not in _NOT_STUDIES)


def locate(name: str, beside: Path | None = None) -> Path:
    """The file of a study by its name, or by the path of a TOML file.

    A path in ``extends`` is relative to the file that says it (``beside``).

    Raises:
        BenchError: there is no such file.
    """
    if name.endswith(".toml"):
        path = beside.parent / name if beside else Path(name)
    else:
        path = STUDIES / f"{name}.toml"
    if not path.is_file() or path.resolve() in _besides():
        raise unknown("study", name, available())
    return path


def _besides() -> set[Path]:
    return {(STUDIES / f"{name}.toml").resolve() for name in _NOT_STUDIES}


def read(path: Path, seen: tuple[Path, ...] = ()) -> Table:
    """The table of a study file, laid over the one that it ``extends``.

    Tables are merged key by key; everything else, lists too, replaces what was there.

    Raises:
        BenchError: not TOML, or a study that extends itself.
    """
    if path.resolve() in seen:
        raise BenchError(f"{path}: extends itself", hint="name another study in `extends`")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: not valid TOML: {error}", hint="mend that line") from None
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise BenchError(f"{path}: extends: not a text", hint="name a study or a TOML file")
    return _laid_over(read(locate(parent, path), (*seen, path.resolve())), table)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[name] = _laid_over(under, value) if both else value  # type: ignore[arg-type]
    return merged


def with_options(table: Mapping[str, Any], names: Iterable[str]) -> Table:
    """The table with some of its options: their sizes stand first, their mixtures last.

    A measuring arm is one of the study's own.
    Options that the file itself chooses (``with``) count, too.

    Raises:
        BenchError: no option of that name.
    """
    options = table.get("options", {})
    chosen = dict.fromkeys([*table.get("with", ()), *names])
    for name in chosen:
        if name not in options:
            raise _no_option(table, name)
    # In the order of the file, whichever was named first.
    added = [options[name] for name in options if name in chosen]
    sizes = [size for option in added for size in option.get("sizes", ())]
    mixtures = [one for option in added for one in option.get("mixtures", ())]
    arms = [option["measuring"] for option in added if option.get("measuring")]
    return {
        **table,
        **({"measuring": arms[-1]} if arms else {}),
        "with": [name for name in options if name in chosen],
        "sizes": [*sizes, *table.get("sizes", ())],
        "mixtures": [*table.get("mixtures", ()), *mixtures],
    }


def _no_option(table: Mapping[str, Any], name: str) -> BenchError:
    options = table.get("options", {})
    if options:
        return unknown("option", name, options)
    return BenchError(
        f"unknown option {name!r}", hint=f"the study {table.get('name')} has no options"
    )


def grid(table: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells of a table whose options have been chosen."""
    mixtures: Sequence[Mapping[str, Any]] = table.get("mixtures", ())
    return cells.expand(
        [size["name"] for size in table["sizes"]],
        table.get("methods", METHODS),
        table.get("tasks", TASKS),
        [(one["method"], one["size"], one["tasks"]) for one in mixtures],
    )
