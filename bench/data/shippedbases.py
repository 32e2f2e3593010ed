"""Tiny bases that come with the kit, so that nobody has to pretrain them first.

``datasets/bases/<fingerprint>/`` holds one: safetensors, its tokenizer, and the recipe that it
was made by. The fingerprint covers what a base is taught, not the code that computes it: that
rounds differently from machine to machine anyway. A base of another recipe is made where it is
needed (``bench.train.bases``); ``nox -s bases`` makes those of a study again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.data import embedded, readers
from bench.data.prompts import PROMPTS
from bench.data.sources import sha256_of
from bench.errors import DataError
from bench.grid.study import TinyBase

FOLDER = places.ROOT / "datasets" / "bases"
#: The version of how a tiny base is made; another one makes other bases.
RECIPE = 2
#: The wording in which the tiny bases are taught.
WORDING = "kit"
#: The code of what a base is taught, in ``bench/train``.
MATERIAL = ("idioms", "material", "mirror", "shapes", "tokenizer")
_RECIPE_FILE = "recipe.json"
_AGAIN = "check datasets/bases out again, or make it anew: nox -s bases"


def taught(base: TinyBase, seed: int) -> dict[str, Any]:
    """What a base is and what it is taught, as plain data."""
    code = [places.CODE / "bench" / "train" / f"{name}.py" for name in MATERIAL]
    return {
        "recipe": RECIPE,
        "base": base.model_dump(mode="json", exclude={"name"}),
        "seed": seed,
        "material": _digests((*code, *embedded.files(), PROMPTS / f"{WORDING}.toml")),
    }


@functools.cache
def _digests(files: tuple[Path, ...]) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def fingerprint(base: TinyBase, seed: int) -> str:
    """SHA-256 of what ``taught`` tells, shortened to 16 hex digits."""
    text = json.dumps(taught(base, seed), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def files(base: TinyBase, seed: int) -> Mapping[str, str] | None:
    """The SHA-256 of each file of a base that comes with the kit; None where none does.

    Raises:
        DataError: its recipe cannot be read.
    """
    path = FOLDER / fingerprint(base, seed) / _RECIPE_FILE
    if not path.is_file():
        return None
    return readers.parsed(path, _files, readers.read_object(path, hint=_AGAIN), hint=_AGAIN)


def _files(recipe: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(sha256) for name, sha256 in recipe["files"].items()}


def copy(base: TinyBase, seed: int, target: Path) -> bool:
    """Copy a base that comes with the kit to ``target``; False where none does.

    Raises:
        DataError: a file of it is missing or not the recorded one.
    """
    known = files(base, seed)
    if known is None:
        return False
    folder = FOLDER / fingerprint(base, seed)
    target.mkdir(parents=True)
    for name, sha256 in known.items():
        source = folder / name
        if Path(name).name != name or not source.is_file() or sha256_of(source) != sha256:
            raise DataError(f"{source}: missing or not as it was made", hint=_AGAIN)
        shutil.copyfile(source, target / name)
    return True


def keep(base: TinyBase, seed: int, made: Path, how: Mapping[str, Any]) -> Path:
    """Keep a base that was just made as the one that comes with the kit; its folder.

    Args:
        base: as the study has it.
        seed: the study's.
        made: the folder it was made in.
        how: the versions and the arithmetic that made it, as plain data.
    """
    target = FOLDER / fingerprint(base, seed)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(made.iterdir()):
        shutil.copyfile(path, target / path.name)
    recipe = {
        **taught(base, seed),
        "made_with": dict(how),
        "files": {path.name: sha256_of(path) for path in sorted(target.iterdir())},
    }
    (target / _RECIPE_FILE).write_text(json.dumps(recipe, indent=1, sort_keys=True) + "\n")
    return target
