"""What outputs, inputs and data splits show by their text alone.

Three errors hide from every score: an output whose first character was cut off, an input
that already holds its reference, and a test problem that was trained on.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.records import SUMMARIZATION, Sample

EMPTY, LOST, STRAY = "empty outputs", "lost prefixes", "stray openings"

#: A reference shorter than this is found in an input by chance.
_REFERENCE_CHARACTERS = 12
_FIRST_WORD = re.compile(r"\S+")
#: A cut removes the first token, of which a letter or two belonged to the word.
_LOST_CHARACTERS = 2
_STRAY_CHARACTERS = 3
_REMAINING_CHARACTERS = 3
_DOCSTRING = re.compile(r"(:|->\s*[^\n:]+:)\s*\n\s*[rbuRBU]{0,2}(\"\"\"|\'\'\')")


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """An output with its problem's reference."""

    id: str
    output: str
    reference: str


@dataclasses.dataclass(frozen=True, slots=True)
class Leak:
    """What the inputs of one track show: how many hold their reference, or documentation."""

    problems: int
    with_reference: tuple[str, ...]
    with_docstring: tuple[str, ...]


def openings(references: Iterable[str]) -> Counter[str]:
    """The first words of some references, with how often each occurs."""
    return Counter(
        found.group() for reference in references if (found := _FIRST_WORD.search(reference))
    )


def defect(output: str, known: Mapping[str, int]) -> str:
    """What is wrong with an output's beginning: empty, lost, stray, or nothing (empty text)."""
    if not output.strip():
        return EMPTY
    mended = restore(output, known)
    if mended == output:
        return ""
    return LOST if len(mended) > len(output) else STRAY


def restore(output: str, known: Mapping[str, int]) -> str:
    """An output with its lost first characters, or without a stray opening.

    ``known`` are the first words of the references. A first word that none of them is, but
    that is the end of one (``ublic`` of ``public``), has lost its beginning; one of up to
    three characters before a known word (``1 public``) is stray. All else stays as it is.
    """
    found = _FIRST_WORD.search(output)
    if found is None or found.group() in known:
        return output
    word = found.group()
    whole = [
        name
        for name in known
        if name.endswith(word) and 0 < len(name) - len(word) <= _LOST_CHARACTERS
    ]
    if whole and len(word) >= _REMAINING_CHARACTERS:
        best = max(whole, key=lambda name: known[name])
        return best + output[found.end() :]
    following = _FIRST_WORD.search(output, found.end())
    stray = len(word) <= _STRAY_CHARACTERS and not word.isalpha()
    if stray and following is not None and following.group() in known:
        return output[following.start() :]
    return output


def leaks(problems: Sequence[Sample]) -> Leak:
    """Which problems' inputs hold their reference verbatim, or a docstring.

    Layout does not count: any white space equals any other.
    """
    with_reference, with_docstring = [], []
    for problem in problems:
        reference = _squeezed(problem.reference)
        inputs = [_squeezed(text) for text in problem.inputs.values()]
        if len(reference) >= _REFERENCE_CHARACTERS and any(reference in text for text in inputs):
            with_reference.append(problem.id)
        code = problem.inputs.get("code", "")
        if problem.track.task == SUMMARIZATION and _documented(code, problem.track.language):
            with_docstring.append(problem.id)
    return Leak(len(problems), tuple(with_reference), tuple(with_docstring))


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _documented(code: str, language: str) -> bool:
    """Whether code that is to be summarized still carries its documentation."""
    if language != "python":
        return "/**" in code
    try:
        body = ast.parse(textwrap.dedent(code)).body
    except (SyntaxError, ValueError):
        return _DOCSTRING.search(code) is not None
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(ast.get_docstring(node) for node in functions)


def overlap(trained: Iterable[Sample], tested: Sequence[Sample]) -> tuple[int, int]:
    """How many test problems' inputs, and whole pairs, occur in training (layout aside)."""
    inputs, pairs = set(), set()
    for sample in trained:
        source = _source(sample)
        inputs.add(source)
        pairs.add((source, _squeezed(sample.reference)))
    sources = [(_source(sample), _squeezed(sample.reference)) for sample in tested]
    return sum(source in inputs for source, _ in sources), sum(pair in pairs for pair in sources)


def _source(sample: Sample) -> str:
    return _squeezed("\n".join(sample.inputs[name] for name in sorted(sample.inputs)))
