"""The embedded corpus: small functions in Python, Java and C# with language-neutral tests.

One JSON line is one function (``datasets/README.md``); it feeds generation, summarization
and both translation directions, and its cases run in all three languages.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from bench import places
from bench.data import casetypes
from bench.data.readers import parse_json, read_lines
from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, Sample, Track

FOLDER = places.ROOT / "datasets" / "embedded"
FILE = FOLDER / "functions.jsonl"

Language = Literal["python", "java", "csharp"]
LANGUAGES: tuple[Language, ...] = ("python", "java", "csharp")
Split = Literal["train", "valid", "test"]

_Text = Annotated[str, pydantic.Field(min_length=1)]


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Texts(_Record):
    """One text per language."""

    python: _Text
    java: _Text
    csharp: _Text

    def __getitem__(self, language: str) -> str:
        return str(getattr(self, language))


class Types(_Record):
    """The parameters' and the result's types (``bench.data.casetypes``)."""

    args: list[str]
    result: str


class Case(_Record):
    """Arguments and what they give: a result, or the language's error for a bad value."""

    args: list[Any]
    result: Any = None
    error: Literal["value"] | None = None

    @pydantic.model_validator(mode="after")
    def _one_outcome(self) -> Case:
        if ("result" in self.model_fields_set) == (self.error is not None):
            raise ValueError("needs either a result or an error")
        return self

    def plain(self) -> dict[str, Any]:
        """The case as JSON data, as the executor takes it."""
        return self.model_dump(exclude_unset=True)


class Function(_Record):
    """One function of the corpus. ``part`` divides the test split: near or far."""

    id: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]*$")]
    family: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9-]*$")]
    split: Split
    part: Literal["near", "far"] | None
    summary: Annotated[str, pydantic.Field(pattern=r"^[^\s][^\n]*\.$", max_length=200)]
    types: Types
    signature: Texts
    entry: Texts
    code: Texts
    cases: Annotated[list[Case], pydantic.Field(min_length=2)]

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Function:
        if (self.split == "test") == (self.part is None):
            raise ValueError("part: the test split has near or far, the others null")
        for language in LANGUAGES:
            if self.entry[language] not in self.signature[language]:
                raise ValueError(f"signature.{language}: lacks the entry {self.entry[language]!r}")
            if self.signature[language] not in self.code[language]:
                raise ValueError(f"code.{language}: lacks its signature")
        try:
            parameters = [casetypes.parse(text) for text in self.types.args]
            result = casetypes.parse(self.types.result)
        except ValueError as error:
            raise ValueError(f"types: {error}") from None
        for number, case in enumerate(self.cases):
            if len(case.args) != len(parameters):
                raise ValueError(
                    f"cases.{number}.args: {len(case.args)} for {len(parameters)} parameters"
                )
            pairs = list(zip(case.args, parameters, strict=True))
            if case.error is None:
                pairs.append((case.result, result))
            for value, kind in pairs:
                problem = casetypes.mismatch(value, kind)
                if problem:
                    raise ValueError(f"cases.{number}: {problem}")
        return self


def files(folder: Path = FOLDER) -> list[Path]:
    """The corpus' files.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.glob("*.jsonl"))
    if not found:
        raise DataError(f"{folder}: no embedded corpus", hint="check out datasets/embedded again")
    return found


def load(paths: Iterable[Path] | None = None) -> tuple[Function, ...]:
    """Every function of the corpus, checked, in file order.

    Raises:
        DataError: the file, the line and the field at fault, or an id that occurs twice.
    """
    return _load(tuple((path, _mark(path)) for path in (files() if paths is None else paths)))


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written; None of one that cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _load(paths: Sequence[tuple[Path, object]]) -> tuple[Function, ...]:
    """Read once: a plan asks for the corpus for every track and suite, and checking it takes."""
    functions: dict[str, Function] = {}
    for path, _ in paths:
        for number, line in enumerate(read_lines(path), 1):
            function = _function(line, f"{path}:{number}")
            if function.id in functions:
                raise DataError(f"{path}:{number}: id {function.id!r} twice", hint="rename one")
            functions[function.id] = function
    return tuple(functions.values())


def _function(line: str, where: str) -> Function:
    try:
        return Function.model_validate(parse_json(line, where, hint="mend that line"))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        problem = f"{where}: {field}: {message}" if field else f"{where}: {message}"
        raise DataError(problem, hint="see datasets/README.md for the fields") from None


def samples(functions: Sequence[Function], split: Split, track: Track) -> list[Sample]:
    """The functions of a split as samples of one track, each with its tests.

    A summary has no tests. Ids are unique across tracks: ``count_vowels@generation/python``.
    """
    return [_sample(function, track) for function in functions if function.split == split]


def _sample(function: Function, track: Track) -> Sample:
    target = track.target_language
    if track.task == GENERATION:
        inputs = {"summary": function.summary, "signature": function.signature[target]}
    else:
        inputs = {"code": function.code[track.source_language]}
    if track.task == SUMMARIZATION:
        reference, check = function.summary, None
    else:
        reference = function.code[target]
        check = {
            "kind": "cases",
            "entry": function.entry[target],
            "types": function.types.model_dump(),
            "cases": [case.plain() for case in function.cases],
            "preamble": "",
        }
    return Sample(f"{function.id}@{track}", track, inputs, reference, function.part, check)
