"""Samples into chat messages. The wording is data: ``datasets/prompts/<variant>.toml``.

One file words both training and evaluation, so that a model is asked as it was taught. The
published package asks differently (protocol, "Found in the published package", 9); its
wording is read by ``bench.data.prompts.wordings`` into the same records.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import places
from bench.data import readers
from bench.errors import DataError, unknown
from bench.records import GENERATION, TRACKS, Sample, Track

PROMPTS = places.ROOT / "datasets" / "prompts"

#: What a template may ask for, by task; a sample has it in ``inputs``.
FIELDS = {
    "generation": frozenset({"summary", "signature", "prompt", "input"}),
    "summarization": frozenset({"code", "source", "code_tokens", "docstring_tokens"}),
    "translation": frozenset({"code"}),
}
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

Message = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Rendering:
    """A way to write turns that a script sets in place of the tokenizer's chat template.

    ``system`` and ``user`` are what stands before and behind the content of such a turn;
    ``generation_prompt`` opens the assistant's.
    """

    system: tuple[str, str]
    user: tuple[str, str]
    generation_prompt: str

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a chat whose last turn is left to the model."""
        marks = {"system": self.system, "user": self.user}
        turns = [
            f"{marks[turn['role']][0]}{turn['content']}{marks[turn['role']][1]}"
            for turn in messages
        ]
        return "".join((*turns, self.generation_prompt))


@dataclasses.dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one track.

    ``opening`` begins the assistant's turn for the model; ``whole`` is the user's turn for a
    suite that prescribes its own text, whose answers are not opened. Without ``rendering``
    the tokenizer's chat template writes the turns.
    """

    system: str
    user: str
    assistant: str
    opening: str = ""
    whole: str | None = None
    rendering: Rendering | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Marks:
    """The words that a wording sets around what models write; empty where it has none.

    ``begin`` and ``end`` enclose a summary, ``asked`` and ``answered`` head the turns.
    """

    begin: str = ""
    end: str = ""
    asked: str = ""
    answered: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Prompts:
    """One variant of the wording. ``digest`` is the SHA-256 of its file, for keys."""

    variant: str
    digest: str
    wordings: Mapping[Track, Wording]
    marks: Marks = Marks()

    @classmethod
    def load(cls, variant: str, folder: Path = PROMPTS) -> Prompts:
        """Read a variant by name.

        Raises:
            BenchError: no such variant.
            DataError: a track, a template or a field that is missing or not known.
        """
        path = folder / f"{variant}.toml"
        if not os.path.lexists(path):
            raise unknown("prompts", variant, (file.stem for file in folder.glob("*.toml")))
        table, content = readers.read_toml(path, hint="mend that line"), readers.read_bytes(path)
        wordings = {track: _wording(path, table, track) for track in TRACKS}
        return cls(variant, hashlib.sha256(content).hexdigest(), wordings)

    def messages(self, sample: Sample) -> list[Message]:
        """The system and user messages of a sample.

        Raises:
            DataError: the sample lacks a field that the template asks for.
        """
        wording = self.wordings[sample.track]
        user = wording.whole if wording.whole and "prompt" in sample.inputs else wording.user
        return [
            {"role": "system", "content": _filled(wording.system, sample)},
            {"role": "user", "content": _filled(user, sample)},
        ]

    def rendered(self, sample: Sample) -> str | None:
        """The prompt of a sample where the wording itself says how turns are written."""
        rendering = self.wordings[sample.track].rendering
        return rendering.render(self.messages(sample)) if rendering else None

    def opening(self, sample: Sample) -> str:
        """What the model is given of its own turn; empty where its reference begins otherwise."""
        wording = self.wordings[sample.track]
        if wording.whole and "prompt" in sample.inputs:
            return ""
        text = _filled(wording.opening, sample)
        return text if not sample.reference or sample.reference.startswith(text) else ""

    def with_answer(self, sample: Sample) -> list[Message]:
        """The messages of a sample with the reference as the assistant's turn."""
        template = self.wordings[sample.track].assistant
        answer = _filled(template, sample)
        return [*self.messages(sample), {"role": "assistant", "content": answer}]


def _filled(template: str, sample: Sample) -> str:
    """The template with its fields replaced in one pass: braces of values stay as they are."""

    def value(match: re.Match[str]) -> str:
        field = match.group(1)
        if field == "reference":
            return sample.reference
        if field not in sample.inputs:
            raise DataError(
                f"sample {sample.id!r} of {sample.track} has no field {field!r}",
                hint=f"it has: {', '.join(sorted(sample.inputs))}",
            )
        return sample.inputs[field]

    return _PLACEHOLDER.sub(value, template)


def _wording(path: Path, table: Mapping[str, object], track: Track) -> Wording:
    """The checked templates of one track."""
    task = table.get(track.task)
    entry = task.get(track.language) if isinstance(task, dict) else None
    if not isinstance(entry, dict):
        raise DataError(f"{path}: no table [{track.task}.{track.language}]", hint="add it")
    names = {field.name for field in dataclasses.fields(Wording)} - {"rendering"}
    required = names - {"opening", "whole"}
    for name in sorted(required - entry.keys()):
        raise DataError(f"{path}: [{track.task}.{track.language}] lacks {name!r}", hint="add it")
    for name, template in entry.items():
        if name not in names:
            raise unknown(f"template in {path} [{track.task}.{track.language}]", name, names)
        if not isinstance(template, str):
            raise DataError(f"{path}: {track}: {name!r} is not a text", hint="quote it")
        allowed = FIELDS[track.task] | ({"reference"} if name == "assistant" else frozenset())
        for field in _PLACEHOLDER.findall(template):
            if field not in allowed:
                raise unknown(f"field in {path} [{track.task}.{track.language}]", field, allowed)
    if "whole" in entry and track.task != GENERATION:
        raise DataError(f"{path}: {track}: 'whole' belongs to generation", hint="remove it")
    return Wording(**entry)
