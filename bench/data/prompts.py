"""Samples into chat messages. The wording is data: ``datasets/prompts/<variant>.toml``.

One file words both training and evaluation, so that a model is asked as it was taught
(the published package asks differently, protocol, "Found in the published package", 9).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bench.errors import DataError, unknown
from bench.records import GENERATION, TRACKS, Sample, Track

PROMPTS = Path(__file__).parents[2] / "datasets" / "prompts"

#: What a template may ask for, by task; a sample has it in ``inputs``.
FIELDS = {
    "generation": frozenset({"summary", "signature", "prompt"}),
    "summarization": frozenset({"code"}),
    "translation": frozenset({"code"}),
}
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

Message = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one track.

    ``opening`` begins the assistant's turn for the model; ``whole`` is the user's turn for a
    suite that prescribes its own text, whose answers are not opened.
    """

    system: str
    user: str
    assistant: str
    opening: str = ""
    whole: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Prompts:
    """One variant of the wording. ``digest`` is the SHA-256 of its file, for keys."""

    variant: str
    digest: str
    wordings: Mapping[Track, Wording]

    @classmethod
    def load(cls, variant: str, folder: Path = PROMPTS) -> Prompts:
        """Read a variant by name.

        Raises:
            BenchError: no such variant.
            DataError: a track, a template or a field that is missing or not known.
        """
        path = folder / f"{variant}.toml"
        if not path.is_file():
            raise unknown("prompts", variant, (file.stem for file in folder.glob("*.toml")))
        content = path.read_bytes()
        try:
            table = tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not valid TOML: {error}", hint="mend that line") from None
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
    names = {field.name for field in dataclasses.fields(Wording)}
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
