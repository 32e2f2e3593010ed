"""Answer every prompt of a study, batch by batch, into a file that a killed run continues."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from bench.generate.batches import Batch, Encoded, Prompt, batches, encode, pieces
from bench.generate.effect import Sample
from bench.generate.engines import Engine, stop_ids
from bench.grid.study import Decoding
from bench.records import Generation, Tokens

__all__ = ["Answered", "Prompt", "generate"]

Progress = Callable[[int, int], None]
#: The token budget of the batches, from the encoded prompts; None: rows alone limit them.
Budget = Callable[[Sequence[Encoded]], int | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """How prompts were answered.

    ``tokens`` of all prompts, kept batches included: ``processed`` slots with padding,
    ``real`` prompt and output tokens, ``trained`` (here: emitted) output tokens.
    ``batches`` as it goes into the record: how many there were, the rows of the largest, the
    token budget (None: none), and from which batch on each was cut, into how many parts,
    after a device was out of memory.
    """

    tokens: Tokens
    batches: dict[str, Any]
    sample: Sample


@dataclasses.dataclass(slots=True)
class _Layout:
    """What the batches of a file were made with, in a file beside it: a later run goes on so."""

    path: Path
    batch_tokens: int | None
    halved: list[dict[str, int]]

    @classmethod
    def of(cls, out: Path, budget: Callable[[], int | None]) -> _Layout:
        """The layout that ``out`` was begun with, or a new one."""
        path = out.with_suffix(".batches.json")
        if out.is_file() and path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                halved = [
                    {"batch": int(h["batch"]), "parts": int(h["parts"])} for h in found["halved"]
                ]
                tokens = found["batch_tokens"]
                return cls(path, None if tokens is None else int(tokens), halved)
            except (ValueError, KeyError, TypeError):
                pass  # torn by a kill: the lines that it described do not match and are dropped
        made = cls(path, budget(), [])
        made.write()
        return made

    def write(self) -> None:
        draft = self.path.with_suffix(".draft")
        content = {"batch_tokens": self.batch_tokens, "halved": self.halved}
        draft.write_text(json.dumps(content), encoding="utf-8")
        draft.replace(self.path)

    def parts(self, batch: int) -> int:
        """Into how many parts a batch is cut."""
        return max((one["parts"] for one in self.halved if one["batch"] <= batch), default=1)

    def halve(self, batch: int) -> None:
        """Cut this batch and all later ones into twice as many parts."""
        self.halved.append({"batch": batch, "parts": 2 * self.parts(batch)})
        self.write()


def generate(
    engine: Engine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    out: Path,
    on_progress: Progress | None = None,
    budget: Budget | None = None,
) -> Answered:
    """Answer every prompt greedily, one ``Generation`` a line in ``out``.

    Lines are appended batch by batch and synced. Whole batches that ``out`` already holds
    for these prompts are kept; anything else in it is dropped. A prompt that leaves no
    room in the window is refused before anything is generated, or, where the study skips
    such prompts, gets a line with ``prompt-too-long`` and empty output. A batch for which
    the device has not enough memory is answered in halves, and so are those after it.

    Args:
        engine: what decodes, see ``bench.generate.engines``.
        tokenizer: the model's.
        prompts: the problems; ids need not be unique across suites and tracks.
        decoding: window, new tokens per task, what a batch holds.
        out: the JSONL file.
        on_progress: called with (prompts done, prompts in all) after every batch.
        budget: the tokens of a batch where the study leaves that to the machine.

    Raises:
        BenchError: a prompt without room in the window.
        torch.OutOfMemoryError: a single row does not fit.
    """
    encoded = encode(tokenizer, prompts, decoding)
    layout = _Layout.of(out, lambda: _batch_tokens(decoding, encoded, budget))
    plan = batches(encoded, decoding, layout.batch_tokens)
    sample = Sample(encoded, decoding.check_rows, out.with_suffix(".sample.jsonl"))
    done, tokens = _resume(out, plan, engine, layout)
    finished = sum(len(batch) for batch in plan[:done])
    with out.open("ab") as file:
        for place, batch in enumerate(plan[done:], start=done):
            outputs = _answer(engine, batch, place, layout)
            tokens += _spent(engine, batch, [len(one) for one in outputs], layout.parts(place))
            sample.keep(batch, outputs)
            _append(file, _lines(tokenizer, batch, outputs))
            finished += len(batch)
            if on_progress is not None:
                on_progress(finished, len(prompts))
    described = {
        "count": len(plan),
        "largest_rows": max(map(len, plan), default=0),
        "batch_tokens": layout.batch_tokens,
        "halved": layout.halved,
    }
    return Answered(tokens, described, sample)


def _batch_tokens(
    decoding: Decoding, encoded: Sequence[Encoded], budget: Budget | None
) -> int | None:
    """The token budget: the study's, or the machine's where the study leaves it to that."""
    if decoding.batch_tokens != "auto":
        return decoding.batch_tokens
    return budget(encoded) if budget is not None else None


def _answer(engine: Engine, batch: Batch, place: int, layout: _Layout) -> list[list[int]]:
    """The token ids of a batch's answers, in as many parts as it takes to fit the device."""
    if not batch[0].limit:
        return [[] for _ in batch]
    while True:
        cut = pieces(batch, layout.parts(place))
        try:
            return [
                output
                for piece in cut
                for output in engine.answer(
                    [one.ids for one in piece], [one.limit for one in piece]
                )
            ]
        except torch.OutOfMemoryError:
            if len(cut) == len(batch):
                raise
        # Not in the handler: there the traceback still holds what the batch had taken.
        layout.halve(place)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _spent(engine: Engine, batch: Batch, output_tokens: Sequence[int], parts: int) -> Tokens:
    """The token counts of one batch, from the lengths of its outputs."""
    if not batch[0].limit:
        return Tokens()
    prompt_tokens = [len(one.ids) for one in batch]
    slots = start = 0
    for piece in pieces(batch, parts):
        rows = slice(start, start + len(piece))
        slots += engine.slots(prompt_tokens[rows], output_tokens[rows])
        start += len(piece)
    emitted = sum(output_tokens)
    return Tokens(slots, sum(prompt_tokens) + emitted, emitted)


def _lines(tokenizer: Any, batch: Batch, outputs: Sequence[Sequence[int]]) -> list[bytes]:
    """The lines of one batch."""
    stops = stop_ids(tokenizer)
    lines = []
    for one, output in zip(batch, outputs, strict=True):
        stopped = bool(output) and output[-1] in stops
        reason = "stop" if stopped else "length" if one.limit else "prompt-too-long"
        text = tokenizer.decode(output[:-1] if stopped else output, skip_special_tokens=True)
        text = one.prompt.opening + text if one.limit else ""
        line = Generation(
            id=one.prompt.id,
            suite=one.prompt.suite,
            task=one.prompt.track.task,
            language=one.prompt.track.language,
            prompt_sha256=one.prompt.sha256,
            prompt_tokens=len(one.ids),
            output_tokens=len(output),
            finish_reason=reason,
            text=text,
        )
        content = dataclasses.asdict(line)
        del content["output"]  # the answer in the text is found when it is scored
        lines.append(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    return lines


def _append(file: BinaryIO, lines: Sequence[bytes]) -> None:
    file.write(b"".join(lines))
    file.flush()
    os.fsync(file.fileno())


def _resume(
    out: Path, plan: Sequence[Batch], engine: Engine, layout: _Layout
) -> tuple[int, Tokens]:
    """How many batches of the plan ``out`` holds, and their tokens; the rest is cut off."""
    done, tokens = 0, Tokens()
    if not out.is_file():
        return done, tokens
    lines = _complete(out)
    kept = 0
    for batch in plan:
        found = []
        for one, line in zip(batch, lines, strict=False):
            written = _written(line, one)
            if written is None:
                break
            found.append((len(line), written))
        if len(found) < len(batch):
            break
        tokens += _spent(engine, batch, [written for _, written in found], layout.parts(done))
        done, kept = done + 1, kept + sum(size for size, _ in found)
    with out.open("rb+") as file:
        file.truncate(kept)
    return done, tokens


def _complete(out: Path) -> Iterator[bytes]:
    """The complete lines of a file."""
    with out.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _written(line: bytes, one: Encoded) -> int | None:
    """The output tokens of a line that is the generation for a prompt, else None."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    wanted = {
        "id": one.prompt.id,
        "suite": one.prompt.suite,
        "task": one.prompt.track.task,
        "language": one.prompt.track.language,
        "prompt_sha256": one.prompt.sha256,
        "prompt_tokens": len(one.ids),
    }
    if not isinstance(found, dict) or not wanted.items() <= found.items():
        return None
    count = found.get("output_tokens")
    return count if isinstance(count, int) and min(1, one.limit) <= count <= one.limit else None
