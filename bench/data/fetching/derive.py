"""Files of the manifest that are made from fetched ones: packed, or selected from them.

What is made has to have the SHA-256 that the manifest lists, so a source that changed, or a
machine that packs otherwise, is noticed. The recipes are told in datasets/README.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.data.readers import read_jsonl, read_lines
from bench.data.sources import Source
from bench.errors import DataError

#: Finds another file of the manifest.
Locate = Callable[[str], Path]
#: The content of a derived file, from its sources in the order in which they are listed.
Recipe = Callable[[Sequence[Path], Locate], bytes]

_IDS = "codexglue/code-to-text/official_ids/java.{split}.txt.gz"
_FUNCTION = re.compile(r"https://github\.com/([^/]+/[^/]+)/blob/[0-9a-f]+/(.+)#L(\d+)-L(\d+)")
_KEPT = ("repo", "path", "func_name", "original_string", "language")
_TEXTS = ("code_tokens", "docstring", "docstring_tokens")
#: CoderEval's published result files: 3 models, 2 wordings, 2 languages.
_RESULTS = tuple(
    f"experimental-results/GenerateResult{language}/{model}/{wording}_Input.jsonl_out.jsonl"
    for language in ("Python", "Java")
    for model in ("ChatGPT", "CodeGen", "PanGu-Coder")
    for wording in ("HumanLabel", "Raw")
)


def packed(content: bytes) -> bytes:
    """The gzip of a source: level 9, without a name or a time, as zlib writes it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(content) + packer.flush()


def make(source: Source, upstream: Sequence[Path], locate: Locate) -> bytes:
    """The content of a file that is packed or derived, as the manifest lists it.

    Raises:
        DataError: no recipe, or other content than listed.
    """
    if source.form == "gzip":
        made = packed(upstream[0].read_bytes())
    elif source.path in _RECIPES:
        made = _RECIPES[source.path](upstream, locate)
    else:
        raise DataError(
            f"{source.path}: the kit has no recipe to make it from {source.source}",
            hint="use a mirror that has it: --mirror DIR",
        )
    found = hashlib.sha256(made).hexdigest()
    if found != source.sha256:
        raise DataError(
            f"{source.path}: made from {source.source} it has the SHA-256 {found[:12]}…, listed "
            f"is {source.sha256[:12]}…; refused",
            hint="its source changed, or this machine's zlib packs otherwise: use --mirror DIR",
        )
    return made


def upstream(path: str, source: str) -> tuple[str, ...]:
    """The files of the source's repository that a derived file is made from."""
    return _RESULTS if path == "codereval_upstream/is_pass.csv" else (source,)


def needs(path: str) -> tuple[str, ...]:
    """The other files of the manifest that a derived file is made with."""
    split = _SUBSETS.get(path)
    return (_IDS.format(split=split),) if split else ()


def java_subset(split: str) -> Recipe:
    """The unique functions of the source that are in CodeXGLUE's official list.

    A function is found there by repository, path and number of lines; its address is added
    where just one fits. The source repeats a function for each of its commented statements.
    """

    def make(sources: Sequence[Path], locate: Locate) -> bytes:
        official: dict[tuple[str, str, int], list[str]] = {}
        for address in read_lines(locate(_IDS.format(split=split))):
            if found := _FUNCTION.fullmatch(address):
                repository, path, first, last = found.groups()
                place = (repository, path, int(last) - int(first) + 1)
                official.setdefault(place, []).append(address)
        made: dict[str, str] = {}
        fields = {**dict.fromkeys(_KEPT, str), "docstring": str}
        for record in read_jsonl(sources[0], fields):
            code = record["original_string"]
            place = (record["repo"], record["path"], code.count("\n") + 1)
            if place not in official or code in made:
                continue
            addresses = official[place]
            row = {
                **{name: record[name] for name in _KEPT},
                "code": code,
                **{name: record[name] for name in _TEXTS},
                "url": addresses[0] if len(addresses) == 1 else "",
                "partition": split,
            }
            made[code] = json.dumps(row, ensure_ascii=False)
        return "".join(f"{line}\n" for line in made.values()).encode()

    return make


def pass_vectors(sources: Sequence[Path], _locate: Locate) -> bytes:
    """One row per task of every result file: a 1 or 0 for each of a model's outputs."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("lang", "model", "prompt", "task_id", "level", "project", "n", "passes"))
    for path, name in zip(sources, _RESULTS, strict=True):
        _, language, model, file = name.split("/")
        about = (language.removeprefix("GenerateResult").lower(), model, file.split("_")[0])
        fields = {"_id": str, "level": str, "project": str, "generate_results": list}
        for record in read_jsonl(path, fields):
            passes = "".join("1" if one["is_pass"] else "0" for one in record["generate_results"])
            where = (record["_id"], record["level"], record["project"])
            writer.writerow((*about, *where, len(passes), passes))
    return table.getvalue().encode()


def listed(paths: Iterable[str]) -> list[str]:
    """Manifest paths with those that they are made with before them, each once."""
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys((*needs(path), path)))
    return list(found)


_SUBSETS: Mapping[str, str] = {
    f"codexglue/code-to-text/java/{split}_subset.jsonl": split for split in ("test", "valid")
}
_RECIPES: Mapping[str, Recipe] = {
    **{path: java_subset(split) for path, split in _SUBSETS.items()},
    "codereval_upstream/is_pass.csv": pass_vectors,
}
