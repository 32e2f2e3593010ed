"""One line for what is wrong with a study's file: field, value and the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import pydantic

from bench.grid import checks

_LONGEST_VALUE = 60


def told(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], table: Mapping[str, Any]
) -> str:
    """The first mistake that pydantic found in ``table``, which was to become a ``model``."""
    found = [_at_its_field(one) for one in error.errors(include_url=False)]
    first = found[0]
    where, kept = _where(first, table)
    if first["type"] == "extra_forbidden":
        return f"{where}: no such field{_near(str(first['loc'][-1]), _fields(model, kept[:-1]))}"
    if first["type"] == "missing":
        return f"{where}: missing, and needed"
    # A choice between types gives one error for each of them.
    same = [one for one in found if _where(one, table)[0] == where]
    reasons = dict.fromkeys(_reason(one) for one in same)
    value = first["input"]
    shown = "" if isinstance(value, Mapping) else f" = {_shortened(value)}"
    choices = [name for one in same for name in _choices(one)]
    near = _near(value, choices) if isinstance(value, str) else ""
    return f"{where}{shown}: {' or '.join(reasons)}{near}"


def _at_its_field(error: Any) -> dict[str, Any]:
    """An error that belongs to a table, for the sake of one of its fields, as that field's."""
    context = error.get("ctx") or {}
    if error["type"] == checks.TYPED:
        field = context["field"]
    elif error["type"] == "union_tag_invalid":
        field = context["discriminator"].strip("'")
        context["expected"] = context["expected_tags"]
        error = {**error, "msg": f"Input should be one of {context['expected']}"}
    else:
        return dict(error)
    return {**error, "loc": (*error["loc"], field), "input": error["input"][field]}


def _reason(error: Mapping[str, Any]) -> str:
    """What is wrong, in TOML's words."""
    text = (
        str(error["msg"])
        .removeprefix("Value error, ")
        .replace("\n", " ")
        .replace(" after validation", "")
    )
    text = re.sub(r"a valid dictionary or (instance of \w+|object .*)", "a table", text)
    text = re.sub("a valid (tuple|list)", "a list", text).replace("Tuple should", "the list should")
    return text[:1].lower() + text[1:] if text.startswith("Input should") else text


def _where(error: Mapping[str, Any], table: Any) -> tuple[str, list[int | str]]:
    """The field's place, without the names of types among which pydantic chose."""
    kept: list[int | str] = []
    last = len(error["loc"]) - 1
    for number, part in enumerate(error["loc"]):
        if isinstance(table, Mapping) and part in table:
            table = table[part]
        elif isinstance(table, list | tuple) and isinstance(part, int):
            table = table[part] if part < len(table) else None
        elif error["type"] != "missing" or number < last:
            continue
        kept.append(part)
    return ".".join(str(part) for part in kept) or "the study", kept


def _fields(model: type[pydantic.BaseModel], place: Sequence[int | str]) -> list[str]:
    """The names of the fields that stand at a place of a model."""
    models = [model]
    for part in place:
        below = [
            found
            for one in models
            for name, field in one.model_fields.items()
            if part == (field.alias or name)
            for found in _models(field.annotation)
        ]
        models = below or models
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _choices(error: Mapping[str, Any]) -> list[str]:
    """The values of which a field may have one."""
    return re.findall(r"'([^']*)'", str((error.get("ctx") or {}).get("expected", "")))


def _near(name: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:_LONGEST_VALUE], valid, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _shortened(value: Any) -> str:
    """A value as TOML has it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
