"""Whether the size of a batch changes answers: some of them are written again, alone.

Greedy decoding takes the most likely token, but a product's rounding depends on the shape of
its operands, so that a near-tie may fall the other way. How often it does is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.generate.batches import Encoded
from bench.generate.engines import Engine

Progress = Callable[[int, int], None]
Key = tuple[str, str, str, str]


class Sample:
    """A fixed few of the prompts, and the token ids of their answers in a batch, in a file.

    Which ones depends on the prompts' ids alone, so that every model is asked the same.
    """

    def __init__(self, encoded: Sequence[Encoded], count: int, path: Path) -> None:
        answered = sorted((_key(one) for one in encoded if one.limit), key=_drawn)
        self._chosen = frozenset(answered[:count])
        self._path = path
        if not self._chosen:
            path.unlink(missing_ok=True)

    def keep(self, batch: Sequence[Encoded], outputs: Sequence[Sequence[int]]) -> None:
        """Write down what the chosen ones of a batch were answered, before the batch counts."""
        lines = [
            json.dumps(
                {
                    "key": _key(one),
                    "prompt_ids": one.ids,
                    "limit": one.limit,
                    "output_ids": list(output),
                }
            )
            for one, output in zip(batch, outputs, strict=True)
            if _key(one) in self._chosen
        ]
        if lines:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())

    def effect(self, engine: Engine, on_progress: Progress | None = None) -> dict[str, Any] | None:
        """Answer the chosen ones again, each in a batch of its own.

        Returns:
            ``checked`` answers, how many are ``differing``, and the first position, from 0,
            at which a token of one does (None: none does); None where none was chosen.
            ``missing``: chosen ones whose answer in a batch was not kept, if there are any.
        """
        if not self._chosen:
            return None
        kept = {tuple(one["key"]): one for one in self._kept() if tuple(one["key"]) in self._chosen}
        self._rewrite([kept[key] for key in sorted(kept)])
        positions = []
        for done, one in enumerate(kept.values(), start=1):
            (alone,) = engine.answer([one["prompt_ids"]], [one["limit"]])
            positions.append(first_difference(one["output_ids"], alone))
            if on_progress is not None:
                on_progress(done, len(kept))
        differing = [place for place in positions if place is not None]
        found: dict[str, Any] = {
            "checked": len(positions),
            "differing": len(differing),
            "first_token": min(differing, default=None),
        }
        missing = len(self._chosen) - len(kept)
        return {**found, "missing": missing} if missing else found

    def _rewrite(self, lines: Sequence[dict[str, Any]]) -> None:
        """One line a prompt, in one order: the same file whether a run was killed or not."""
        draft = self._path.with_suffix(".draft")
        draft.write_text("".join(f"{json.dumps(one)}\n" for one in lines), encoding="utf-8")
        draft.replace(self._path)

    def _kept(self) -> Iterator[dict[str, Any]]:
        """The lines of the file; the last may be torn, and one prompt may stand there twice."""
        if not self._path.is_file():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            if isinstance(one, dict) and one.keys() >= {"key", "prompt_ids", "limit", "output_ids"}:
                yield one


def first_difference(first: Sequence[int], second: Sequence[int]) -> int | None:
    """The first place, from 0, where two answers have not the same token; None: they are equal."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return None if len(first) == len(second) else min(len(first), len(second))


def _key(one: Encoded) -> Key:
    track = one.prompt.track
    return one.prompt.suite, track.task, track.language, one.prompt.id


def _drawn(key: Key) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()
