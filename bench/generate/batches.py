"""Prompts, and the batches in which they are answered: fixed before the first one runs.

Prompts are grouped by how much they may write and sorted by length. A batch holds as many
as its rows and its token budget allow, so that a killed run resumes at a batch's edge with
the very same batches.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from bench.errors import BenchError
from bench.grid.study import Decoding
from bench.records import Track


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """A problem as the model sees it: ``text`` is the rendered chat, turn opened.

    ``opening`` is the end of ``text`` that belongs to the answer (see ``bench.data.prompts``).
    ``cut_at``: the most tokens of ``text`` that the model is given, the first ones.
    """

    id: str
    suite: str
    track: Track
    text: str
    opening: str = ""
    cut_at: int | None = None

    @property
    def sha256(self) -> str:
        """Digest of the text, kept beside the output."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt's token ids, and the most tokens of its answer: 0 where the window has no room."""

    prompt: Prompt
    ids: tuple[int, ...]
    limit: int


Batch = list[Encoded]


def encode(tokenizer: Any, prompts: Sequence[Prompt], decoding: Decoding) -> list[Encoded]:
    """Prompts as token ids, cut where their suite has them cut.

    Raises:
        BenchError: a prompt without room in the window, unless the study skips such prompts.
    """
    texts = [prompt.text for prompt in prompts]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    encoded = []
    for prompt, row in zip(prompts, ids, strict=True):
        row = row[: prompt.cut_at]
        limit = min(decoding.new_tokens[prompt.track.task], decoding.window_tokens - len(row))
        encoded.append(Encoded(prompt, tuple(row), max(0, limit)))
    if decoding.long_prompts == "refuse":
        _refuse_long(encoded, decoding)
    return encoded


def _refuse_long(encoded: Sequence[Encoded], decoding: Decoding) -> None:
    """Raise a BenchError that names the longest prompt without room for an answer."""
    long = [one for one in encoded if not one.limit]
    if long:
        longest = max(long, key=lambda one: len(one.ids))
        raise BenchError(
            f"suite {longest.prompt.suite}: {len(long)} prompts leave no room for an answer in "
            f"the window of {decoding.window_tokens} tokens, the longest is {longest.prompt.id} "
            f"with {len(longest.ids)}",
            hint="raise decoding.window_tokens in the study, or set decoding.long_prompts = "
            '"skip" to record them as prompt-too-long',
        )


def batches(
    encoded: Sequence[Encoded], decoding: Decoding, batch_tokens: int | None = None
) -> list[Batch]:
    """The fixed plan: prompts by what they may write, then by length; too long ones last.

    Args:
        encoded: the prompts.
        decoding: the study's.
        batch_tokens: rows × (longest prompt + its new tokens) of a batch at most; a prompt
            that takes more stands alone. None: no such limit.
    """
    new_tokens = decoding.new_tokens
    fitting = sorted(
        (one for one in encoded if one.limit),
        key=lambda one: (new_tokens[one.prompt.track.task], len(one.ids)),
    )
    plan: list[Batch] = []
    for one in fitting:
        new = new_tokens[one.prompt.track.task]
        # Sorted: the prompt that joins is the longest, and none may write more than `new`.
        within = batch_tokens is None or bool(
            plan and (len(plan[-1]) + 1) * (len(one.ids) + new) <= batch_tokens
        )
        if (
            plan
            and new == new_tokens[plan[-1][0].prompt.track.task]
            and len(plan[-1]) < decoding.batch_rows
            and within
        ):
            plan[-1].append(one)
        else:
            plan.append([one])
    too_long = [one for one in encoded if not one.limit]
    rows = decoding.batch_rows
    plan.extend(too_long[start : start + rows] for start in range(0, len(too_long), rows))
    return plan


def pieces(batch: Batch, parts: int) -> list[Batch]:
    """A batch cut into so many pieces of about equal size, or into single rows."""
    size = -(-len(batch) // parts)
    return [batch[start : start + size] for start in range(0, len(batch), size)]
