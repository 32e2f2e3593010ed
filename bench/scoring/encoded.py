"""BERTScore and SIDE, measured ahead of the other metrics, in a stage of their own.

They are encoders: they need torch and no tool, all else needs tools and no torch, so that
each has an image that holds no more than it needs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import readers
from bench.errors import DataError
from bench.records import SUMMARIZATION
from bench.scoring import bertscore, side
from bench.scoring.admission import NotRunError, Rows, of_admitted
from bench.scoring.outputs import Output, unscored


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """What one metric gave for some outputs, ``ids`` in their order; or why it did not run."""

    ids: tuple[str, ...]
    rows: Rows | None
    why: str = ""

    def of(self, outputs: Iterable[Output]) -> Rows:
        """The values of the same outputs.

        Raises:
            NotRunError: the metric could not run.
            DataError: they are of other outputs.
        """
        if self.ids != _ids(outputs):
            raise DataError(
                "the values of the stage embed are of other outputs",
                hint="delete the model's embed stage and give the same command again",
            )
        if self.rows is None:
            raise NotRunError(self.why)
        return self.rows


def applicable(name: str, outputs: Iterable[Output]) -> list[Output]:
    """The outputs that a metric is of: summaries, for SIDE those of Java alone."""
    tracks = ((one, one.problem.track) for one in outputs)
    summaries = [(one, track) for one, track in tracks if track.task == SUMMARIZATION]
    return [one for one, track in summaries if name != "side" or track.source_language == "java"]


def codes(outputs: Iterable[Output]) -> list[str]:
    """The code that each summary is of."""
    return [output.problem.inputs.get("code", "") for output in outputs]


def measure(
    names: Iterable[str], outputs: Sequence[Output], mirror: Path | None
) -> dict[str, Encoded]:
    """Run the metrics of some names over the outputs that they apply to.

    ``mirror``: where models of the hub may lie; None for the folder that is fetched.
    """
    found = {}
    for name in names:
        compares = name != "side"
        mine = applicable(name, outputs)
        written = [one for one in mine if unscored(one, compares=compares) is None]
        if written:
            try:
                found[name] = Encoded(_ids(written), _rows(name, written, mirror))
            except NotRunError as error:
                found[name] = Encoded(_ids(written), None, str(error))
    return found


def write(found: Mapping[str, Encoded], path: Path) -> None:
    """Keep the values for ``read``."""
    content = {name: dataclasses.asdict(one) for name, one in found.items()}
    path.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")


def read(path: Path) -> dict[str, Encoded]:
    """The values that ``write`` has kept.

    Raises:
        DataError: the file is not what ``write`` writes.
    """

    def make(content: Mapping[str, Any]) -> dict[str, Encoded]:
        found = {}
        for name, one in content.items():
            rows = None if one["rows"] is None else Rows(**one["rows"])
            found[name] = Encoded(tuple(one["ids"]), rows, str(one["why"]))
        return found

    hint = "delete the model's embed stage and give the same command again"
    return readers.parsed(path, make, readers.read_object(path, hint=hint), hint=hint)


def _rows(name: str, outputs: Sequence[Output], mirror: Path | None) -> Rows:
    """The values of one metric; texts that no metric takes have none, with a reason."""
    predictions = [output.generation.output for output in outputs]
    if name == "side":
        folders, absent = side.checkpoints()

        def align(keep: Any) -> Rows:
            return side.rows(keep(predictions), keep(codes(outputs)), folders, absent)

        return of_admitted(side.CHECKPOINTS, predictions, None, align)
    references = [output.problem.reference for output in outputs]

    def compare(keep: Any) -> Rows:
        return bertscore.rows(keep(predictions), keep(references), mirror)

    return of_admitted(bertscore.COLUMNS, predictions, references, compare)


def _ids(outputs: Iterable[Output]) -> tuple[str, ...]:
    return tuple(f"{output.suite}/{output.problem.id}" for output in outputs)
