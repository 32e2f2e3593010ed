"""The published wording as the package's scripts have it: read by ``ast``, never run.

A script has a chat (``bench.data.prompts.chats``) per language, or one for all with the languages
filled in; which text belongs to which track is told by the languages it names.
``datasets/paper_scripts.tsv`` lists the scripts with their SHA-256.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench import places
from bench.data.prompts import Marks, Rendering, Wording
from bench.data.prompts.chats import Chat, chats
from bench.data.readers import read_bytes, read_lines
from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, TRACKS, TRANSLATION, Track

LISTED = places.ROOT / "datasets" / "paper_scripts.tsv"
_HINT = "put the package's scripts there as they are at the pinned commit (datasets/README.md)"

_NAMES = {"java": "Java", "python": "Python", "csharp": "C#"}
_NAMED = re.compile(r"(?<!\w)(?:Java|Python|C#)(?!\w)")
_PLACEHOLDER = re.compile(r"\{(.+?)\}")
_ROLES = ("system", "user", "assistant")


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """Both phases of the wording. ``training`` is keyed by (track, alone).

    ``alone``: the wording of a model that is trained on this task only.
    """

    digest: str
    training: Mapping[tuple[Track, bool], Wording]
    inference: Mapping[Track, Wording]
    marks: Marks


@dataclasses.dataclass(frozen=True, slots=True)
class _Script:
    path: Path
    tree: ast.Module
    chats: tuple[Chat, ...]


def present(folder: Path) -> bool:
    """Whether a folder holds any of the scripts."""
    return any((folder / path).is_file() for path in listed())


def listed(path: Path = LISTED) -> dict[str, str]:
    """The scripts' SHA-256 by their path in the package."""
    header, *lines = read_lines(path)
    entries = [line.partition("\t") for line in lines]
    if header != "path\tsha256" or not all(name and sha256 for name, _, sha256 in entries):
        raise DataError(f"{path}: not two columns, path and sha256", hint="restore the file")
    return {name: sha256 for name, _, sha256 in entries}


def build(folder: Path, scripts: Mapping[str, str] | None = None) -> Published:
    """The wording in the scripts of a folder (``scripts``: their SHA-256, as listed).

    Raises:
        DataError: a script that is missing or changed, one without the expected chats, or two
            that contradict each other.
    """
    expected = listed() if scripts is None else scripts
    found = {name: _script(folder / name, sha256) for name, sha256 in expected.items()}
    training: dict[tuple[Track, bool], Wording] = {}
    inference: dict[Track, Wording] = {}
    for track in TRACKS:
        alone = _named(found, f"{track.task}/", "_train.py")
        training[track, True] = _agreed([_wording(one, track, "training") for one in alone], alone)
        system = training[track, True].system
        together = _named(found, "multitask/", "_train.py")
        training[track, False] = _agreed(
            [_wording(one, track, "training", system) for one in together], together
        )
        asking = _named(found, f"{track.task}/", "infer_")
        inference[track] = _agreed([_wording(one, track, "inference") for one in asking], asking)
    digest = hashlib.sha256("".join(sorted(expected.values())).encode()).hexdigest()
    generating = _named(found, f"{GENERATION}/", "infer_")
    return Published(digest, training, inference, _marks(generating[0], training))


def _script(path: Path, sha256: str) -> _Script:
    if not path.is_file():
        raise DataError(f"{path}: this script of the package is missing", hint=_HINT)
    content = read_bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: changed: its SHA-256 is {found[:12]}…, expected {sha256[:12]}…", hint=_HINT
        )
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a Python script: {error}", hint=_HINT) from None
    return _Script(path, tree, tuple(chats(tree)))


def _named(scripts: Mapping[str, _Script], start: str, part: str) -> list[_Script]:
    """The scripts of a folder whose name holds ``part``: one per kind of training."""
    chosen = [one for name, one in scripts.items() if name.startswith(start) and part in name]
    if not chosen:
        raise DataError(f"{LISTED}: no script {start}*{part}*", hint="restore the file")
    return chosen


def _agreed(wordings: Sequence[Wording], scripts: Sequence[_Script]) -> Wording:
    for wording, script in zip(wordings, scripts, strict=True):
        if wording != wordings[0]:
            raise DataError(
                f"{script.path}: words its chats otherwise than {scripts[0].path.name}", hint=_HINT
            )
    return wordings[0]


def _wording(script: _Script, track: Track, phase: str, system: str | None = None) -> Wording:
    """A track's wording in a script; with ``system`` only of chats that have this message."""
    found = [
        wording
        for chat in script.chats
        for wording in _of_track(chat, track, phase)
        if system in (None, wording.system)
    ]
    if not found:
        raise DataError(f"{script.path}: no chat of {track} in it", hint=_HINT)
    if any(wording != found[0] for wording in found):
        raise DataError(f"{script.path}: several chats of {track}", hint=_HINT)
    rendering = _rendering(script) if phase == "inference" else None
    return dataclasses.replace(found[0], rendering=rendering)


def _of_track(chat: Chat, track: Track, phase: str) -> list[Wording]:
    """The one wording of a chat for a track, if it is a chat of that track."""
    roles = _ROLES if phase == "training" else _ROLES[:2]
    if set(chat) != set(roles):
        return []
    chosen = {}
    for role in roles:
        texts = [_filled(text, track, role, phase) for text in chat[role]]
        fitting = list(dict.fromkeys(text for text in texts if text is not None))
        naming = [text for text in fitting if _NAMED.search(text)] or fitting
        if len(naming) != 1:
            return []
        chosen[role] = naming[0]
    assistant = chosen.get("assistant", "{reference}")
    return [Wording(chosen["system"], chosen["user"], assistant)]


def _filled(text: str, track: Track, role: str, phase: str) -> str | None:
    """A text with its placeholders named as the inputs are; None for one of another track."""
    languages = [track.source_language, track.target_language]
    if track.task != TRANSLATION:
        languages = [track.language]
    names = [_NAMES[language] for language in languages]

    def placed(found: re.Match[str]) -> str:
        name = found.group(1).lower()
        if "lang" in name:
            is_source = "src" in name or "source" in name
            return names[0] if is_source else names[-1]
        return f"{{{_input(name, track, phase)}}}"

    filled = _PLACEHOLDER.sub(placed, text)
    said = _NAMED.findall(filled)
    if track.task == TRANSLATION:
        other = bool(said) and said != names
    else:
        other = bool(set(said) - set(names))
    answered = "{reference}" in filled or "{docstring_tokens}" in filled
    return None if other or answered != (role == "assistant") else filled


def _input(name: str, track: Track, phase: str) -> str:
    """The input of a sample that a script's own name for a value means."""
    if track.task == TRANSLATION:
        source, target = ("java", "cs") if track.language == "java_cs" else ("cs", "java")
        return {target: "reference", source: "code"}.get(name, "code")
    if track.task == SUMMARIZATION:
        return name if name.endswith("_tokens") else "source"
    for part, field in (("summ", "summary"), ("sign", "signature"), ("output", "reference")):
        if part in name:
            return field
    return "input" if phase == "inference" else name


def _rendering(script: _Script) -> Rendering | None:
    """The template that a script sets whatever the tokenizer's own is."""
    waiting: list[tuple[ast.AST, bool]] = [(script.tree, False)]
    templates = []
    while waiting:
        node, where_missing = waiting.pop()
        if isinstance(node, ast.If):
            where_missing = where_missing or "chat_template" in ast.unparse(node.test)
        if isinstance(node, ast.Assign) and not where_missing:
            target, value = node.targets[0], node.value
            sets = isinstance(target, ast.Attribute) and target.attr == "chat_template"
            if sets and isinstance(value, ast.Constant):
                templates.append(str(value.value))
        waiting += [(child, where_missing) for child in ast.iter_child_nodes(node)]
    return _rendered(script.path, templates[0]) if templates else None


def _rendered(path: Path, template: str) -> Rendering:
    """What a chat template sets around the content of each turn, found by rendering it."""
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    mark = "\x00"

    def text(roles: Iterable[str], *, prompts: bool = False) -> str:
        messages = [{"role": role, "content": mark} for role in roles]
        return compiled.render(messages=messages, add_generation_prompt=prompts)

    try:
        compiled = environment.from_string(template)
        around = [text([role]).split(mark) for role in ("system", "user")]
        bare, prompted = text([]), text([], prompts=True)
        system, user = ((before, behind) for before, behind in around)
    except (jinja2.TemplateError, ValueError) as error:
        raise DataError(f"{path}: its chat template: {error}", hint=_HINT) from None
    return Rendering(system, user, prompted.removeprefix(bare))


def _marks(generating: _Script, training: Mapping[tuple[Track, bool], Wording]) -> Marks:
    """The words that outputs are cut at: those that summaries are taught and code is asked by."""
    begin, _, end = training[Track(SUMMARIZATION, "java"), False].assistant.partition(
        "{docstring_tokens}"
    )
    asked, answered = [], []
    for node in ast.walk(generating.tree):
        match node:
            case ast.Compare(left=ast.Constant(value=str(word)), ops=[ast.In()]):
                asked.append(word)
            case ast.Call(
                func=ast.Attribute(attr="startswith"), args=[ast.Constant(value=str(word))]
            ):
                answered.append(word)
    if len(set(asked)) != 1 or len(set(answered)) != 1:
        raise DataError(f"{generating.path}: not one word that heads each turn", hint=_HINT)
    return Marks(begin.strip(), end.strip(), asked[0], answered[0])
