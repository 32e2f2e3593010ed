"""Do two runs of a study say the same? Their weights, answers and values, side by side.

For a run repeated elsewhere, in another executor, or taken from an archive: equal answers
are what reproducibility means here; another CPU may differ in the last bits of a weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data import readers
from bench.errors import DataError
from bench.grid.plan import GENERATE, SCORE
from bench.grid.store import read_record
from bench.records import Outcome

_WEIGHTS = ".safetensors"
#: As in ``bench.run.stages``, which loads what a comparison does not need.
_AMISS = "bench verify tells what is amiss"
_GENERATIONS, _SCORES = "generations.jsonl", "scores.json"
#: So many differences are named.
_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Likeness:
    """One kind of thing that both runs have: how many, how many are equal, which are not.

    ``alone`` counts what only one of the runs has.
    """

    kind: str
    both: int
    equal: int
    differing: tuple[str, ...]
    alone: int

    @property
    def same(self) -> bool:
        """Whether there is something to compare, and no difference in it."""
        return 0 < self.both == self.equal


def compare(first: Path, second: Path) -> tuple[Likeness, ...]:
    """The weights, answers and values of two run folders.

    Raises:
        DataError: a folder holds no finished stage, or a file of it cannot be read.
    """
    found = []
    for kind, read in (("weights", _weights), ("answers", _answers), ("values", _values)):
        one, other = dict(read(first)), dict(read(second))
        shared = one.keys() & other.keys()
        differing = sorted(name for name in shared if one[name] != other[name])
        alone = len(one.keys() ^ other.keys())
        named = tuple(differing[:_NAMED])
        found.append(Likeness(kind, len(shared), len(shared) - len(differing), named, alone))
    return tuple(found)


def _stages(run: Path, name: str = "*") -> Iterator[tuple[str, Path, Mapping[str, str]]]:
    """The finished stages of a run of some name: their id, their folder, their files."""
    any_ = False
    for path in sorted([*run.glob(f"bases/*/{name}"), *run.glob(f"cells/*/*/{name}")]):
        record = read_record(path)
        if record is not None and record.outcome is Outcome.OK:
            any_ = True
            yield path.relative_to(run).as_posix(), path, record.files
    if not any_:
        what = "no finished stage" if name == "*" else f"no finished {name}"
        raise DataError(f"{run}: {what}", hint="name the folder of a run")


def _weights(run: Path) -> Iterator[tuple[str, str]]:
    for stage, _, files in _stages(run):
        for name, digest in files.items():
            if name.endswith(_WEIGHTS):
                yield f"{stage}/{name}", digest


def _answers(run: Path) -> Iterator[tuple[str, str]]:
    for stage, folder, _ in _stages(run, GENERATE):
        fields = {"suite": str, "id": str, "text": str}
        for answer in readers.read_jsonl(folder / _GENERATIONS, fields, hint=_AMISS):
            yield f"{stage}: {answer['suite']} {answer['id']}", answer["text"]


def _values(run: Path) -> Iterator[tuple[str, float]]:
    for stage, folder, _ in _stages(run, SCORE):
        path = folder / _SCORES
        content = readers.read_object(path, hint=_AMISS)
        metrics = readers.require(content, "metrics", dict, str(path))
        for name, value in metrics.items():
            if value is not None:
                yield f"{stage}: {name}", value
