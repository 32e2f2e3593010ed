"""Published outputs restored and scored again: what the per-instance values cannot tell.

Translations that lost their first character are given it back, those with a stray opening
lose it (``bench.analysis.texts.restore``), and CodeBLEU is computed anew against the
public references. Outputs are the user's: a folder with one JSON Lines file a model, for
example ``translation/cs_java/3b_st-qlora/outputs.jsonl``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.analysis import texts
from bench.analysis.audits import Outputs
from bench.analysis.published import cell_of
from bench.analysis.published.instances import Instances
from bench.analysis.published.names import place, problem_id
from bench.analysis.texts import Written
from bench.data import codexglue, sources, storedlines
from bench.errors import BenchError, DataError
from bench.records import TRANSLATION, Track
from bench.scoring.admission import MAX_CHARACTERS
from bench.scoring.layout import one_line


@dataclasses.dataclass(frozen=True, slots=True)
class Restored:
    """The outputs of a folder, and CodeBLEU of the restored translations among them.

    ``problems``: files that could not be read or scored.
    """

    outputs: Outputs
    instances: tuple[Instances, ...]
    problems: tuple[BenchError, ...]


def restored(folder: Path, mirror: Path | None) -> Restored:
    """Read the outputs of a folder, restore the translations and score them.

    Raises:
        DataError: the folder is absent or holds no file of outputs.
    """
    if not folder.is_dir():
        raise DataError(f"outputs {folder}: no such folder", hint="check --outputs DIR")
    outputs: dict[str, dict[Track, Sequence[Written]]] = {}
    instances: list[Instances] = []
    problems: list[BenchError] = []
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            one, lines = _read(path, folder)
            references = _references(one.track, mirror)
            written = [Written(line, text, references.get(line, "")) for line, text in lines]
            outputs.setdefault(cell_of(one).id, {})[one.track] = written
            if references:
                instances.append(_scored(one, written))
        except DataError as error:
            problems.append(error)
    if not outputs:
        raise DataError(
            f"{folder}: no file of outputs can be read"
            + (f", first: {problems[0].problem}" if problems else ""),
            hint="lay them out like translation/cs_java/3b_st-qlora/outputs.jsonl",
        )
    return Restored(outputs, tuple(instances), tuple(problems))


def _read(path: Path, folder: Path) -> tuple[Instances, list[tuple[str, str]]]:
    """Whose outputs a file holds, and the outputs by problem id; an unusable one is empty."""
    relative = path.relative_to(folder)
    track, size, method, mixture = place(path, relative)
    stored = storedlines.read(path, longest=MAX_CHARACTERS + 1)
    lines = [(problem_id(line.id), line.text or "") for line in stored.lines]
    ids = tuple(name for name, _ in lines)
    found = Instances(relative.as_posix(), "codebleu", track, size, method, mixture, ids, {})
    return found, lines


@functools.cache
def _references(track: Track, mirror: Path | None) -> Mapping[str, str]:
    """The references of a direction of translation by the problem's number; else none."""
    if track.task != TRANSLATION:
        return {}
    locate = functools.partial(sources.locate, mirror=mirror)
    samples, _ = codexglue.samples(track, "test", locate)
    return {str(number): sample.reference for number, sample in enumerate(samples)}


def _scored(one: Instances, written: Sequence[Written]) -> Instances:
    """CodeBLEU of restored translations [outputs], as published but 0 for an empty one."""
    from bench.scoring.codebleu import Unmeasurable, score  # an extra brings its parsers

    known = texts.openings(output.reference for output in written)
    language = one.track.target_language
    values = np.full(len(written), np.nan)
    for index, output in enumerate(written):
        text = texts.restore(output.output, known)
        if not text.strip():
            values[index] = 0.0
        elif output.reference and len(text) <= MAX_CHARACTERS:
            try:
                _, values[index] = score(one_line(text), output.reference, language)
            except Unmeasurable:
                continue  # no value, as in every table
    return dataclasses.replace(one, values={"codebleu": values})
