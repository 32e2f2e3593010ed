"""CodeXGLUE: the training corpus of ``mini``, and the suite ``codexglue-trans``.

Translation is the repository's own split (10,295 / 499 / 1,000 line pairs). For code-to-text
a mirror holds subsets of the official valid and test splits and nothing of train, so the
test subset is what we train on and the valid subset what we validate on; no repository has
functions in both. Inverted, the same functions train generation: docstring and signature in,
function out. CoderEval, the evaluation set of both tasks, is made of other projects.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.data.pythonsource import take_apart
from bench.data.readers import read_jsonl, read_lines
from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, TRANSLATION, Sample, Track

Locate = Callable[[str], Path]

_TRANSLATION = "codexglue/code-to-code-trans/{split}.java-cs.txt.{extension}"
_TEXT = "codexglue/code-to-text/{language}/{split}_subset.jsonl"
#: Which subset of code-to-text serves as which split.
_SUBSET = {"train": "test", "valid": "valid"}
_EXTENSION = {"java": "java", "csharp": "cs"}
#: A summary of fewer words says nothing (CodeXGLUE drops the same, by tokens).
SHORTEST_SUMMARY = 3


def files(track: Track, split: str) -> list[str]:
    """The files of a mirror that hold a track's split."""
    if track.task == TRANSLATION:
        return [
            _TRANSLATION.format(split=split, extension=_EXTENSION[language])
            for language in (track.source_language, track.target_language)
        ]
    return [_TEXT.format(language=track.language, split=_SUBSET[split])]


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """A function of code-to-text: row ``number`` of its split, and its parts.

    ``tokens``: the record's own ``code_tokens`` and ``docstring_tokens``, each joined by one
    space, where it has them: the published wording of summarization is made of these.
    """

    number: int
    summary: str
    signature: str
    code: str
    tokens: Mapping[str, str] = dataclasses.field(default_factory=dict)


def samples(track: Track, split: str, locate: Locate) -> tuple[list[Sample], Counter[str]]:
    """The samples of a track and split, and how many rows were left out, by reason.

    Raises:
        DataError: a file is not as listed, or lacks a field.
    """
    if track.task == TRANSLATION:
        return pairs(track, split, locate), Counter()
    [path] = files(track, split)
    records = read_jsonl(locate(path), {"code": str, "docstring": str})
    kept, dropped = functions(track.language, records)
    return [function_sample(track, split, function) for function in kept], dropped


def pairs(track: Track, split: str, locate: Locate) -> list[Sample]:
    """The line pairs of a translation split, none left out.

    Raises:
        DataError: a file is not as listed, or the two differ in length.
    """
    source, target = (locate(path) for path in files(track, split))
    left, right = read_lines(source), read_lines(target)
    if len(left) != len(right):
        raise DataError(
            f"{source}: {len(left)} lines, but {target.name} has {len(right)}",
            hint="both files have to come from the same commit",
        )
    return [
        Sample(f"{split}-{number}@{track}", track, {"code": code.strip()}, reference.strip())
        for number, (code, reference) in enumerate(zip(left, right, strict=True))
    ]


def functions(
    language: str, records: Iterable[Mapping[str, Any]]
) -> tuple[list[Function], Counter[str]]:
    """The functions among code-to-text records, and how many were left out, by reason."""
    parse = {"python": _python, "java": _java}[language]
    kept: list[Function] = []
    dropped: Counter[str] = Counter()
    seen: set[bytes] = set()
    for number, record in enumerate(records):
        summary = first_paragraph(record["docstring"])
        try:
            signature, code = parse(record)
        except ValueError:
            dropped["does not parse"] += 1
            continue
        digest = hashlib.blake2b(code.encode(errors="surrogatepass"), digest_size=16).digest()
        if len(summary.split()) < SHORTEST_SUMMARY:
            dropped["summary too short"] += 1
        elif digest in seen:
            dropped["seen before"] += 1
        else:
            seen.add(digest)
            kept.append(Function(number, summary, signature, code, _tokens(record)))
    return kept, dropped


def function_sample(track: Track, split: str, function: Function) -> Sample:
    """A function as summarization, or inverted as generation."""
    name = f"{split}-{function.number}@{track}"
    if track.task == SUMMARIZATION:
        return Sample(name, track, {"code": function.code, **function.tokens}, function.summary)
    assert track.task == GENERATION
    inputs = {"summary": function.summary, "signature": function.signature}
    return Sample(name, track, inputs, function.code)


def _tokens(record: Mapping[str, Any]) -> dict[str, str]:
    fields = ("code_tokens", "docstring_tokens")
    return {name: " ".join(record[name]) for name in fields if isinstance(record.get(name), list)}


def _python(record: Mapping[str, Any]) -> tuple[str, str]:
    function = take_apart(record["code"])
    if function.code.count("\n") < function.signature.count("\n") + 1:
        raise ValueError("a docstring and nothing else")
    return function.signature, function.code


def _java(record: Mapping[str, Any]) -> tuple[str, str]:
    code = inspect.cleandoc(record["code"])  # its lines keep the indentation of their class
    return java_signature(code), code


def java_signature(code: str) -> str:
    """What stands before a Java method's body, annotations included.

    Raises:
        ValueError: the method has no body.
    """
    depth = 0
    for place, character in enumerate(code):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "{" and depth == 0:
            return code[:place].strip()
    raise ValueError("no body")


def first_paragraph(docstring: str) -> str:
    """A docstring's text up to its first blank line or tag, on one line."""
    text = re.split(r"\n\s*\n|^\s*[@:]\w+", docstring.strip(), maxsplit=1, flags=re.MULTILINE)[0]
    return " ".join(text.split())
