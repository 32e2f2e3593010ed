"""The answers in what a model wrote for the problems of some suites, and what was cut."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.grid.store import write_atomic, writing
from bench.records import Generation, Sample
from bench.scoring.answers import Answer, extract

Extraction = Callable[[Sample, str], Answer]


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """Generations with the answers as their ``output``; ``cut`` is what was left of each."""

    generations: tuple[Generation, ...]
    cut: tuple[tuple[str, ...], ...]

    def write(self, path: Path) -> None:
        """Keep the answers, one a line as ``score`` reads them, with what was cut beside each.

        Raises:
            DiskError: they cannot be written.
        """
        lines = []
        for one, cut in zip(self.generations, self.cut, strict=True):
            content = {
                "id": one.id,
                "suite": one.suite,
                "task": one.task,
                "language": one.language,
                "finish_reason": one.finish_reason,
                "output": one.output,
                "cut": cut,
            }
            lines.append(f"{json.dumps(content)}\n")
        with writing(path):
            write_atomic(path, "".join(lines).encode())


def answered(
    problems: Mapping[str, Sequence[Sample]],
    generations: Iterable[Generation],
    rules: Mapping[str, Extraction],
) -> Answered:
    """Find the answer in every text.

    Args:
        problems: by suite; the text of an unknown one is taken as it is.
        generations: of a model.
        rules: by suite; the kit's own where a suite has none.
    """
    known = {(suite, one.id): one for suite, members in problems.items() for one in members}
    found, cut = [], []
    for one in generations:
        problem = known.get((one.suite, one.id))
        answer = Answer(one.text)
        if problem is not None:
            answer = rules.get(one.suite, extract)(problem, one.text)
        found.append(dataclasses.replace(one, output=answer.text))
        cut.append(answer.cut)
    return Answered(tuple(found), tuple(cut))
