"""The file of claims, parsed strictly: what decides each claim, with its margin and reason.

Every key and name that does not exist is an error that names the nearest one that does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from bench.data import readers
from bench.errors import BenchError, unknown
from bench.records import METHODS, TASKS

CLAIMS = Path(__file__).parents[2] / "studies" / "claims.toml"

LANGUAGES = ("python", "java", "csharp")
COSTS = ("time", "energy", "memory", "artifact")
DIRECTIONS = ("rises", "falls")
QUANTITIES = ("balance", "issues")

Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Margin = Annotated[float, pydantic.Field(gt=0, lt=1)]


def _one_of(kind: str, valid: Sequence[str]) -> pydantic.AfterValidator:
    """A validator of names that names the nearest valid one."""

    def check(name: str) -> str:
        if name not in valid:
            raise ValueError(str(unknown(kind, name, valid)))
        return name

    return pydantic.AfterValidator(check)


Method = Annotated[str, _one_of("method", METHODS)]
Task = Annotated[str, _one_of("task", TASKS)]


class _Table(pydantic.BaseModel):
    """A TOML table: unknown keys are errors, values do not change once read."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known_keys(cls, table: Any) -> Any:
        for key in table if isinstance(table, Mapping) else ():
            if key not in cls.model_fields:
                raise ValueError(str(unknown("key", str(key), cls.model_fields)))
        return table


class Measure(_Table):
    """What tells whether outputs of a task work, and the loss that is still competitive.

    ``metrics`` decide, all of them; ``shown`` ones only illustrate.
    """

    name: Text
    task: Task
    metrics: Annotated[tuple[Text, ...], pydantic.Field(min_length=1)]
    shown: tuple[Text, ...] = ()
    better: Annotated[str, _one_of("direction", ("higher", "lower"))] = "higher"
    margin: Margin
    reason: Text

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "higher" else -1


class Issues(_Table):
    """The metrics whose findings are quality issues of code in a language."""

    language: Annotated[str, _one_of("language", LANGUAGES)]
    metrics: Annotated[tuple[Text, ...], pydantic.Field(min_length=1)]


class Quantity(_Table):
    """A cost, and by which share it must differ to count."""

    name: Annotated[str, _one_of("cost", COSTS)]
    tolerance: Share
    reason: Text


class _Claim(_Table):
    """``text`` in our words, ``label`` in few, ``reading`` how it is made decidable.

    ``brief`` is the text where only half a line is left; without it the text itself is.
    """

    id: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9-]+$")]
    label: Text
    text: Text
    brief: Text | None = None
    reading: Text


class HoldsAgainst(_Claim):
    """A method is not worse than another by more than the margin, per task and size."""

    rule: Literal["holds-against"]
    method: Method
    against: Method
    measures: Annotated[tuple[Measure, ...], pydantic.Field(min_length=1)]


class Trend(_Claim):
    """Something rises or falls with size, per task.

    ``balance``: the score earned by outputs without an issue; ``issues``: the share of
    outputs with one.
    """

    rule: Literal["trend"]
    quantity: Annotated[str, _one_of("quantity", QUANTITIES)]
    direction: Annotated[str, _one_of("direction", DIRECTIONS)]
    tolerance: Share
    measures: Annotated[tuple[Measure, ...], pydantic.Field(min_length=1)]
    issues: tuple[Issues, ...]

    def issue_metrics(self, language: str) -> tuple[str, ...]:
        """The metrics of issues in a language; none where the file lists none."""
        return next((found.metrics for found in self.issues if found.language == language), ())


class SmallerKeep(_Claim):
    """No size is worse than the largest by more than the margin, per task."""

    rule: Literal["smaller-keep"]
    measures: Annotated[tuple[Measure, ...], pydantic.Field(min_length=1)]


class Cheaper(_Claim):
    """A method costs less than another, per size."""

    rule: Literal["cheaper"]
    method: Method
    against: Method
    quantities: Annotated[tuple[Quantity, ...], pydantic.Field(min_length=1)]


Claim = HoldsAgainst | Trend | SmallerKeep | Cheaper
_RULES: Mapping[str, type[HoldsAgainst | Trend | SmallerKeep | Cheaper]] = {
    "holds-against": HoldsAgainst,
    "trend": Trend,
    "smaller-keep": SmallerKeep,
    "cheaper": Cheaper,
}
_Parsed = TypeVar("_Parsed", bound=pydantic.BaseModel)
_TOP = ("schema", "measures", "issues", "claims")


def load(path: Path = CLAIMS, metrics: Collection[str] | None = None) -> tuple[Claim, ...]:
    """Read a file of claims. With ``metrics`` every metric that it names must be one of them.

    Raises:
        BenchError: no such file, not TOML, or a key, name or number that is not valid; the
            place is named, and for a name the nearest valid one.
    """
    content = readers.read_toml(path, hint="name a file of claims, or mend that line")
    for key in content:
        if key not in _TOP:
            raise _placed(path, unknown("key", key, _TOP))
    if content.get("schema") != 1:
        raise BenchError(f"{path}: schema is {content.get('schema')!r}", hint="write schema = 1")
    measures = [
        _parsed(path, Measure, table, of) for table, of in _tables(path, content, "measures")
    ]
    issues = [_parsed(path, Issues, table, of) for table, of in _tables(path, content, "issues")]
    named = [name for measure in measures for name in (*measure.metrics, *measure.shown)]
    named += [name for found in issues for name in found.metrics]
    for name in named:
        if metrics is not None and name not in metrics:
            raise _placed(path, unknown("metric", name, metrics))
    by_name = {measure.name: measure for measure in measures}
    claims = [
        _claim(path, table, of, by_name, tuple(issues))
        for table, of in _tables(path, content, "claims")
    ]
    for place, claim in enumerate(claims):
        if claim.id in [other.id for other in claims[:place]]:
            raise BenchError(f"{path}: two claims have the id {claim.id!r}", hint="rename one")
    return tuple(claims)


def _tables(path: Path, content: Mapping[str, Any], key: str) -> list[tuple[dict[str, Any], str]]:
    """The tables of an array with the place of each, for the errors."""
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise BenchError(f"{path}: {key} is no array of tables", hint=f"write [[{key}]]")
    return [
        (table, f"{key}.{table.get('id') or table.get('name') or table.get('language') or place}")
        for place, table in enumerate(found)
    ]


def _claim(
    path: Path,
    table: dict[str, Any],
    place: str,
    measures: Mapping[str, Measure],
    issues: tuple[Issues, ...],
) -> Claim:
    """One claim with its rule; the measures that it names are put in their place."""
    rule = str(table.get("rule"))
    if rule not in _RULES:
        raise _placed(path, unknown("rule", rule, _RULES), place)
    kind = _RULES[rule]
    filled = dict(table)
    if "measures" in kind.model_fields and isinstance(table.get("measures"), list):
        for name in table["measures"]:
            if name not in measures:
                raise _placed(path, unknown("measure", str(name), measures), place)
        filled["measures"] = [measures[name] for name in table["measures"]]
    if "issues" in kind.model_fields:
        filled["issues"] = issues
    return _parsed(path, kind, filled, place)


def _parsed(path: Path, kind: type[_Parsed], table: Mapping[str, Any], place: str) -> _Parsed:
    try:
        return kind.model_validate(table)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join((place, *(str(part) for part in first["loc"])))
        problem, _, hint = first["msg"].removeprefix("Value error, ").partition(" — ")
        raise BenchError(
            f"{path}: {where}: {problem}", hint=hint or "see bench/analysis/claims/file.py"
        ) from None


def _placed(path: Path, error: BenchError, place: str = "") -> BenchError:
    """An error with the file and the table in front."""
    where = f"{path}: {place}: " if place else f"{path}: "
    return BenchError(f"{where}{error.problem}", hint=error.hint)
