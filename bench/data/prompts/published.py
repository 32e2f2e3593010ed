"""The published wording: read from the data that describes the package's scripts.

It is the authors' text and is not repeated in this project. A mirror's ``prompts.json`` has it
per phase, task and language, with the rendering and extraction rules; where the data folder
holds the scripts, it is built from them instead, or compared with them
(``bench.data.prompts.scripts``).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bench.data import sources
from bench.data.prompts import Marks, Prompts, Rendering, Wording
from bench.data.prompts import scripts as packagescripts
from bench.data.prompts.scripts import Published
from bench.data.readers import read_json, require
from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, TRACKS, TRANSLATION, Track

FILE = "paper_package/prompts.json"

Phase = Literal["training", "inference"]

#: What the file says of a placeholder, and the input of a sample that is meant.
_MEANINGS = {
    "code_tokens joined by one space": "code_tokens",
    "docstring_tokens joined by one space": "docstring_tokens",
    "raw source": "source",
    "CoderEval's input field as it is": "input",
}
#: Placeholders that need no explanation, by task; ``java`` and ``cs`` go by the direction.
_PLAIN = {
    GENERATION: {"summary": "summary", "signature": "signature", "output": "reference"},
    SUMMARIZATION: {},
    TRANSLATION: {},
}
_CHAT_TEMPLATE = "tokenizer chat template"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_QUOTED = re.compile(r"'([^']+)'")
_HINT = "fetch the file again; bench/data/prompts/published.py says what is read"


def load(phase: Phase, *, single: bool, mirror: Path | None) -> Prompts:
    """The published wording of a phase, for a model of a ``single`` task or of several.

    Raises:
        DataError: neither the prompt file nor the scripts are there, or they are not as
            expected, or they contradict each other.
    """
    published = _find(mirror)
    wordings = (
        published.inference
        if phase == "inference"
        else {track: published.training[track, single] for track in TRACKS}
    )
    return Prompts(f"published/{phase}", published.digest, wordings, published.marks)


def from_scripts(mirror: Path | None) -> bool:
    """Whether the data folder holds the scripts alone: the wording is then built from them."""
    folder = _folder(mirror)
    return packagescripts.present(folder) and not (folder / Path(FILE).name).is_file()


def _folder(mirror: Path | None) -> Path:
    return (mirror or sources.data_folder()) / Path(FILE).parent


def _find(mirror: Path | None) -> Published:
    folder = _folder(mirror)
    if from_scripts(mirror):
        return packagescripts.build(folder)
    published = read(sources.locate(FILE, mirror))
    if packagescripts.present(folder):
        _compare(published, packagescripts.build(folder), folder)
    return published


def read(path: Path) -> Published:
    """The wording in a prompt file.

    Raises:
        DataError: the file, the entry and the field at fault.
    """
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int) -> Published:
    table = read_json(path)
    if not isinstance(table, dict):
        raise DataError(f"{path}: not a JSON object", hint=_HINT)
    training, inference, rendered, rules = (
        require(table, name, dict, str(path))
        for name in ("training", "inference", "renderings", "extraction")
    )
    renderings = {name: _rendering(path, name, one) for name, one in rendered.items()}
    taught = {
        (track, alone): _wording(path, "training", track, _entry(path, training, track), alone, {})
        for track in TRACKS
        for alone in (False, True)
    }
    asked = {
        track: _wording(path, "inference", track, _entry(path, inference, track), False, renderings)
        for track in TRACKS
    }
    marks = _marks(path, rules)
    for track in TRACKS:
        if track.task == SUMMARIZATION:
            _check_marks(path, taught[track, False].assistant, marks)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Published(digest, taught, asked, marks)


def _entry(path: Path, phase: Mapping[str, Any], track: Track) -> dict[str, Any]:
    return dict(require(phase, str(track), dict, str(path)))


def _wording(
    path: Path,
    phase: str,
    track: Track,
    entry: dict[str, Any],
    alone: bool,
    renderings: Mapping[str, Rendering],
) -> Wording:
    """One track's templates, with the placeholders named as the samples' inputs are."""
    where = f"{path}: {phase} {track}"
    named = {
        "java": "code" if track.source_language == "java" else "reference",
        "cs": "code" if track.source_language == "csharp" else "reference",
    }
    fields = dict(_PLAIN[track.task] if track.task != TRANSLATION else named)
    for name in ("code", "docstring", "input"):
        if name in entry:
            meaning = require(entry, name, str, where)
            if meaning not in _MEANINGS:
                raise DataError(f"{where}: {name!r} is {meaning!r}: not understood", hint=_HINT)
            fields[name] = _MEANINGS[meaning]

    def template(name: str) -> str:
        text = entry.get(name)
        if isinstance(text, dict):
            text = require(text, "single-task" if alone else "multi-task", str, where)
        if not isinstance(text, str):
            raise DataError(f"{where}: {name!r} is not a text", hint=_HINT)
        for placeholder in _PLACEHOLDER.findall(text):
            if placeholder not in fields:
                raise DataError(
                    f"{where}: {name!r} asks for {placeholder!r}, which nothing explains",
                    hint=_HINT,
                )
        return _PLACEHOLDER.sub(lambda found: f"{{{fields[found.group(1)]}}}", text)

    assistant = template("assistant") if phase == "training" else "{reference}"
    rendering = None
    if phase == "inference":
        how = require(entry, "rendering", str, where)
        if how != _CHAT_TEMPLATE:
            if how not in renderings:
                raise DataError(f"{where}: no rendering {how!r}", hint=_HINT)
            rendering = renderings[how]
    return Wording(template("system"), template("user"), assistant, rendering=rendering)


def _rendering(path: Path, name: str, entry: Any) -> Rendering:
    where = f"{path}: rendering {name}"
    if not isinstance(entry, dict):
        raise DataError(f"{where}: not a JSON object", hint=_HINT)
    around = {}
    for role in ("system", "user"):
        parts = require(entry, role, list, where)
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise DataError(f"{where}: {role!r} is not two texts", hint=_HINT)
        around[role] = (parts[0], parts[1])
    return Rendering(
        around["system"], around["user"], require(entry, "generation_prompt", str, where)
    )


def _marks(path: Path, rules: Mapping[str, Any]) -> Marks:
    """The words that the extraction rules quote; what is done with them is code."""
    words = {
        task: _QUOTED.findall(require(rules, task, str, f"{path}: extraction"))
        for task in (SUMMARIZATION, GENERATION, TRANSLATION)
    }
    counts = {SUMMARIZATION: 2, GENERATION: 2, TRANSLATION: 1}
    for task, count in counts.items():
        if len(words[task]) != count:
            raise DataError(
                f"{path}: extraction {task}: {len(words[task])} quoted words, expected {count}",
                hint=_HINT,
            )
    begin, end = words[SUMMARIZATION]
    asked, answered = words[GENERATION]
    if words[TRANSLATION] != [answered]:
        raise DataError(f"{path}: extraction: two words for the assistant's turn", hint=_HINT)
    return Marks(begin, end, asked, answered)


def _check_marks(path: Path, assistant: str, marks: Marks) -> None:
    before, _, behind = assistant.partition("{docstring_tokens}")
    if (before.strip(), behind.strip()) != (marks.begin, marks.end):
        raise DataError(
            f"{path}: summaries are trained between other words than they are cut out by",
            hint=_HINT,
        )


def _compare(read: Published, built: Published, folder: Path) -> None:
    """Raise a DataError where the prompt file and the scripts do not say the same."""
    differing = [
        *(f"training {track}" for (track, alone), wording in read.training.items()
          if built.training[track, alone] != wording),
        *(f"inference {track}" for track, wording in read.inference.items()
          if built.inference[track] != wording),
        *(["extraction"] if read.marks != built.marks else []),
    ]  # fmt: skip
    if differing:
        raise DataError(
            f"{folder}: prompts.json and the scripts differ in {', '.join(differing)}",
            hint="both have to come from the same commit of the package",
        )
