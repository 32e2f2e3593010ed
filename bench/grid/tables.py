"""A study's TOML file as a plain table: with what it extends, and with the options chosen.

Standard library only, since the noxfile lists the cells of every study where nothing but nox
is installed; ``bench.grid.study`` validates the very same table.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import readers
from bench.errors import BenchError, unknown
from bench.grid import cells
from bench.records import METHODS, TASKS, Cell

STUDIES = Path(__file__).parent.parent / "studies"
#: Files beside the studies that are none: what decides the paper's claims.
_NOT_STUDIES = ("claims",)

Table = dict[str, Any]
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LARGEST_BYTES = 1 << 20
#: A study, what it extends, what that extends ...
_MOST_FILES = 16


def available() -> list[str]:
    """Names of the studies that ship with the kit."""
    return sorted(path.stem for path in STUDIES.glob("*.toml") if path.stem not in _NOT_STUDIES)


def locate(name: str, beside: Path | None = None) -> Path:
    """The file of a study by its name, or by the path of a TOML file.

    A path in ``extends`` is relative to the file that says it (``beside``).

    Raises:
        BenchError: there is no such file.
    """
    if not name.endswith(".toml"):
        if name not in available():
            raise unknown("study", name, available())
        return STUDIES / f"{name}.toml"
    path = beside.parent / name if beside else Path(name)
    try:
        found = path.is_file() and path.resolve() not in _besides()
    except (OSError, ValueError):  # a name that no file system takes
        found = False
    if not found:
        known = ", ".join(available())
        raise BenchError(
            f"{name[:200]}: no such study file", hint=f"name a TOML file, or one of {known}"
        )
    return path


def _besides() -> set[Path]:
    return {(STUDIES / f"{name}.toml").resolve() for name in _NOT_STUDIES}


def read(path: Path, seen: tuple[Path, ...] = ()) -> Table:
    """The table of a study file, laid over the one that it ``extends``.

    Tables are merged key by key; everything else, lists too, replaces what was there.

    Raises:
        BenchError: not readable, not TOML, or a study that extends itself.
    """
    if path.resolve() in seen:
        raise BenchError(f"{path}: extends itself", hint="name another study in `extends`")
    if len(seen) >= _MOST_FILES:
        told = f"{seen[0]}: extends more than {_MOST_FILES} files, one through the other"
        raise BenchError(told, hint="let it extend a study directly")
    table = _parsed(path)
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise BenchError(f"{path}: extends: not a text", hint="name a study or a TOML file")
    return _laid_over(read(locate(parent, path), (*seen, path.resolve())), table)


def _parsed(path: Path) -> Table:
    """The content of a TOML file, which may begin with a byte order mark."""
    try:
        content = _content(path)
        if content.startswith(_UTF_16) or b"\0" in content:
            raise BenchError(f"{path}: UTF-16, or not text", hint="save it as UTF-8")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise BenchError(
            f"{path}: not readable: {error.strerror}", hint="name a TOML file that is"
        ) from None
    except RecursionError:
        raise BenchError(f"{path}: nested too deeply", hint="write fewer brackets") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise BenchError(f"{path}: not valid TOML: {error}", hint="mend that line") from None


def _content(path: Path) -> bytes:
    with readers.opened(path) as file:
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise BenchError(
            f"{path}: more than {_LARGEST_BYTES >> 20} MiB, which no study is",
            hint="name a study's TOML file",
        )
    return content


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
