"""What a study's fields may hold: types, ranges, choices, and what has to fit together.

``bench.grid.study`` names these types and calls these checks; ``told`` makes one line of what
pydantic found. The names of libraries' schedulers and of Qwen2's projections stand here as
text, since plans import neither transformers nor torch; a test compares them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, get_args

import pydantic
from pydantic_core import PydanticCustomError

#: The scheduler names of transformers that need no further argument and no metric.
Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
]
#: The linear projections of a Qwen2 layer, which LoRA is put on.
Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
#: What NumPy takes as a seed, the narrowest of the libraries that draw.
Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]

#: 256 bytes and three special tokens: see ``bench.train.tokenizer``.
SMALLEST_VOCABULARY = 259
#: The rate at which transformers' polynomial schedule ends.
_POLYNOMIAL_END = 1e-7
#: The type of an error of ``typed``.
TYPED = "typed"
_LARGEST = 2**32 - 1
_LONGEST_NAME, _LONGEST_LINE = 64, 1000
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Ends of names that the kit gives to folders of unfinished stages.
_RESERVED = ".partial"
#: What lies beside the runs of studies: a run of that name would be mixed with it.
_BESIDE_RUNS = ("profiles", "reference")
#: As the hub has them, of an owner or without; no two dots or dashes in a row.
_HUB_PART = r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*"
_HUB_NAME = re.compile(rf"{_HUB_PART}(?:/{_HUB_PART})?")
_LONGEST_HUB_NAME = 96


def _plain_name(name: str) -> str:
    """A name of a file or folder, which leads nowhere else."""
    if _PLAIN.fullmatch(name) and len(name) <= _LONGEST_NAME and not name.endswith(_RESERVED):
        return name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(_RESERVED)).lstrip("-._")
    plain = plain[:_LONGEST_NAME].rstrip("-._")
    raise ValueError(
        f"not a plain file name: letters, digits, '.', '_' and '-' (at most {_LONGEST_NAME}), "
        f"a letter or digit first, not {_RESERVED!r} last"
        + (f"; {plain!r} is one" if plain else "")
    )


def _study_name(name: str) -> str:
    """A name of a run's folder, among those that the kit has beside them."""
    if name.casefold() in _BESIDE_RUNS:
        raise ValueError("a folder of the kit's own among the results; take another name")
    return name


def _repository(name: str) -> str:
    """A model of the hub, or the whole path of a folder that holds one."""
    hub = _HUB_NAME.fullmatch(name) and len(name) <= _LONGEST_HUB_NAME
    if hub or (name.startswith("/") and ".." not in name.split("/")):
        return name
    raise ValueError("neither a repository of the hub (owner/name) nor a folder's whole path")


def _line(text: str) -> str:
    """A text of one line, which a terminal shows and a path may hold."""
    if not text.strip():
        raise ValueError("an empty text")
    if len(text) > _LONGEST_LINE:
        raise ValueError(f"a text of more than {_LONGEST_LINE} characters")
    if not text.isprintable():
        bad = next(one for one in text if not one.isprintable())
        raise ValueError(f"a text with the character U+{ord(bad):04X}, which does not print")
    return text


def _distinct(values: Sequence[Any]) -> Sequence[Any]:
    """A list that names nothing twice."""
    twice = [str(value) for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once")
    return values


PlainName = Annotated[str, pydantic.AfterValidator(_plain_name)]
StudyName = Annotated[PlainName, pydantic.AfterValidator(_study_name)]
Line = Annotated[str, pydantic.AfterValidator(_line)]
Repository = Annotated[Line, pydantic.AfterValidator(_repository)]
Distinct = pydantic.AfterValidator(_distinct)
NotEmpty = pydantic.Field(min_length=1)
#: So many sizes, suites and mixtures a study may have: beyond it a plan would take hours.
Some = pydantic.Field(min_length=1, max_length=100)
AtMost = pydantic.Field(max_length=100)


def typed(cls: type[pydantic.BaseModel], table: Any) -> Any:
    """A table, unless pydantic would make another type's value of one of its values.

    ``true`` is no number, ``2.0`` no count and ``"2"`` neither; numbers are finite and no
    larger than any field means. The error is of the type ``TYPED`` and names the ``field``.
    """
    for name, field in cls.model_fields.items() if isinstance(table, Mapping) else ():
        key = field.alias or name
        allowed = set(_atoms(field.annotation))
        value = table.get(key)
        if isinstance(value, Mapping) and any(
            issubclass(one, pydantic.BaseModel) for one in allowed
        ):
            continue  # they check their own
        try:
            for leaf in _leaves(value):
                _check_leaf(leaf, allowed)
        except ValueError as error:
            raise PydanticCustomError(
                TYPED, "{reason}", {"reason": str(error), "field": key}
            ) from None
    return table


def _atoms(annotation: Any) -> Iterable[type]:
    """The plain types that an annotation is made of, those of its literals too."""
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _atoms(part) if isinstance(part, type) or get_args(part) else [type(part)]


def _leaves(value: Any) -> Iterable[Any]:
    """The values in lists and tables, without those of tables in them, which are models."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            if not isinstance(one, Mapping):
                yield from _leaves(one)
    else:
        yield value


def _check_leaf(leaf: Any, allowed: set[type]) -> None:
    if isinstance(leaf, bool):
        if bool not in allowed and not allowed.isdisjoint({int, float, str}):
            raise ValueError("a truth value, where a number or a text belongs")
    elif isinstance(leaf, str):
        if str not in allowed and not allowed.isdisjoint({int, float, bool}):
            raise ValueError("a text, where a number or a truth value belongs: write no quotes")
    elif isinstance(leaf, int | float):
        if allowed.isdisjoint({int, float}) and bool in allowed:
            raise ValueError("a number, where a truth value belongs: true or false")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError("not a finite number")
        if isinstance(leaf, float) and int in allowed and float not in allowed:
            raise ValueError("a number with a point, where a whole one belongs")
        if abs(leaf) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST}")


class _Base(Protocol):
    hidden_size: int
    heads: int
    kv_heads: int
    vocabulary: int
    embedding_rows: int | None


def shape(base: _Base) -> None:
    """Check that a Qwen2 model can have the shape of a tiny base.

    Raises:
        ValueError: it cannot.
    """
    if base.hidden_size % base.heads:
        near = _nearest_divisor(base.hidden_size, base.heads)
        raise ValueError(
            f"heads = {base.heads} does not divide hidden_size = {base.hidden_size}; {near} does"
        )
    if base.hidden_size // base.heads % 2:
        raise ValueError(
            f"hidden_size / heads = {base.hidden_size // base.heads}, and rotary positions need an "
            "even number"
        )
    if base.heads % base.kv_heads:
        near = _nearest_divisor(base.heads, base.kv_heads)
        raise ValueError(
            f"kv_heads = {base.kv_heads} does not divide heads = {base.heads}; {near} does"
        )
    if base.vocabulary < SMALLEST_VOCABULARY:
        raise ValueError(
            f"vocabulary = {base.vocabulary}; all bytes and the special tokens need "
            f"{SMALLEST_VOCABULARY}"
        )
    if base.embedding_rows is not None and base.embedding_rows < base.vocabulary:
        raise ValueError(
            f"embedding_rows = {base.embedding_rows} are fewer than vocabulary = {base.vocabulary}"
        )


class _Steps(Protocol):
    rows_per_step: int
    learning_rate: float
    scheduler: Any

    @property
    def rows_per_micro_batch(self) -> Any: ...


def steps(chosen: _Steps) -> None:
    """Check that optimizer steps are made of whole micro-batches, and that the schedule falls.

    Raises:
        ValueError: they are not, or it does not.
    """
    rows, at_once = chosen.rows_per_step, chosen.rows_per_micro_batch
    if isinstance(at_once, int) and rows % at_once:
        raise ValueError(
            f"rows_per_step = {rows} is no multiple of rows_per_micro_batch = {at_once}; "
            f"{_nearest_divisor(rows, at_once)} divides it"
        )
    if chosen.scheduler == "polynomial" and chosen.learning_rate <= _POLYNOMIAL_END:
        raise ValueError(
            f"learning_rate = {chosen.learning_rate} is not above {_POLYNOMIAL_END}, where the "
            "polynomial schedule ends"
        )


def window(
    window_tokens: int, new_tokens: Mapping[str, int], cut: Mapping[str, Mapping[str, int]]
) -> None:
    """Check that a window holds each task's answer and a prompt.

    ``cut``: by suite and task, the tokens that prompts are cut to.

    Raises:
        ValueError: a task's does not fit.
    """
    for task, count in new_tokens.items():
        if count >= window_tokens:
            raise ValueError(
                f"decoding.window_tokens = {window_tokens} leaves no room for a prompt beside "
                f"new_tokens.{task} = {count}"
            )
        for suite, prompts in cut.items():
            needed = prompts.get(task, 0) + count
            if needed > window_tokens:
                raise ValueError(
                    f"suite {suite}: prompt_tokens.{task} = {prompts[task]} and new_tokens.{task} "
                    f"= {count} are more than decoding.window_tokens = {window_tokens}; at most "
                    f"{window_tokens - count} fit"
                )


def different_folders(kind: str, names: Iterable[str]) -> None:
    """Check that no two names are one folder, on file systems without upper case too.

    Raises:
        ValueError: two are.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            raise ValueError(f"two {kind} of one name: {other} and {name}")


def _nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of a number that is nearest to ``wanted``, the smaller of two."""
    small = [one for one in range(1, math.isqrt(number) + 1) if number % one == 0]
    return min(
        (*small, *(number // one for one in small)), key=lambda one: (abs(one - wanted), one)
    )
