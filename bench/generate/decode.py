"""Greedy generation in large batches of prompts of about equal length.

The batches are fixed before the first one runs: prompts are grouped by how much they may
write and sorted by length, so that a killed run resumes at a batch's edge with the very
same batches. Rows that have finished leave the batch, so that one long answer does not
keep the others computing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from transformers import DynamicCache

from bench.errors import BenchError
from bench.grid.study import Decoding
from bench.records import Generation, Tokens, Track

Progress = Callable[[int, int], None]

#: Rows are taken out of a batch when at least this share of them has finished.
_DROP_SHARE = 0.25


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
class _Encoded:
    prompt: Prompt
    ids: tuple[int, ...]
    limit: int


def stop_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: end of text and, where it is one token, end of turn."""
    ends = {tokenizer.eos_token_id}
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    if turn_end is not None and turn_end != tokenizer.unk_token_id:
        ends.add(turn_end)
    return frozenset(int(token) for token in ends if token is not None)


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    out: Path,
    on_progress: Progress | None = None,
) -> Tokens:
    """Answer every prompt greedily, one ``Generation`` a line in ``out``.

    Lines are appended batch by batch and synced. Whole batches that ``out`` already holds
    for these prompts are kept; anything else in it is dropped. A prompt that leaves no
    room in the window is refused before anything is generated, or, where the study skips
    such prompts, gets a line with ``prompt-too-long`` and empty output.

    Args:
        model: any causal language model of transformers, with or without a PEFT adapter.
        tokenizer: its tokenizer.
        prompts: the problems; ids need not be unique across suites and tracks.
        decoding: window, new tokens per task, rows per batch.
        out: the JSONL file.
        on_progress: called with (prompts done, prompts in all) after every batch.

    Raises:
        BenchError: a prompt without room in the window.

    Returns:
        Tokens of all prompts, kept batches included: ``processed`` slots with padding,
        ``real`` prompt and output tokens, ``trained`` (here: emitted) output tokens.
    """
    plan = batches(tokenizer, prompts, decoding)
    if decoding.long_prompts == "refuse":
        _refuse_long(plan, decoding)
    done, tokens = _resume(out, plan)
    model.eval()
    finished = sum(len(batch) for batch in plan[:done])
    with out.open("ab") as file:
        for batch in plan[done:]:
            lines, spent = _answer(model, tokenizer, batch)
            tokens += spent
            _append(file, lines)
            finished += len(batch)
            if on_progress is not None:
                on_progress(finished, len(prompts))
    return tokens


def _refuse_long(plan: Sequence[Sequence[_Encoded]], decoding: Decoding) -> None:
    """Raise a BenchError that names the first prompt without room for an answer."""
    long = [one for batch in plan for one in batch if not one.limit]
    if long:
        first = long[0].prompt
        raise BenchError(
            f"suite {first.suite}: {len(long)} prompts leave no room for an answer in the window "
            f"of {decoding.window_tokens} tokens, first {first.id} with {len(long[0].ids)}",
            hint="raise decoding.window_tokens in the study, or set decoding.long_prompts = "
            '"skip" to record them as prompt-too-long',
        )


def batches(tokenizer: Any, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[_Encoded]]:
    """The fixed plan: prompts by what they may write, then by length; too long ones last."""
    texts = [prompt.text for prompt in prompts]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    fitting: list[_Encoded] = []
    too_long: list[_Encoded] = []
    for prompt, row in zip(prompts, ids, strict=True):
        row = row[: prompt.cut_at]
        room = decoding.window_tokens - len(row)
        limit = min(decoding.new_tokens[prompt.track.task], room)
        encoded = _Encoded(prompt, tuple(row), max(0, limit))
        (fitting if room > 0 else too_long).append(encoded)
    new_tokens = decoding.new_tokens
    fitting.sort(key=lambda one: (new_tokens[one.prompt.track.task], len(one.ids)))
    plan: list[list[_Encoded]] = []
    for one in fitting:
        open_batch = plan[-1] if plan else []
        alike = bool(open_batch) and (
            new_tokens[open_batch[0].prompt.track.task] == new_tokens[one.prompt.track.task]
        )
        if alike and len(open_batch) < decoding.batch_rows:
            open_batch.append(one)
        else:
            plan.append([one])
    rows = decoding.batch_rows
    plan.extend(too_long[start : start + rows] for start in range(0, len(too_long), rows))
    return plan


def greedy(
    model: Any, ids: Sequence[Sequence[int]], limits: Sequence[int], stops: frozenset[int], pad: int
) -> list[list[int]]:
    """Greedy continuations of a left-padded batch.

    Args:
        model: a causal language model in eval mode.
        ids: prompt token ids, none empty.
        limits: the most new tokens for each prompt, at least 1.
        stops: tokens that end a row; they are part of its output.
        pad: fills the left; masked, so any id will do.

    Returns:
        New token ids of each row.
    """
    device = model.get_input_embeddings().weight.device
    width = max(len(row) for row in ids)
    tokens = torch.tensor([[pad] * (width - len(row)) + list(row) for row in ids], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=device)
    positions = (mask.cumsum(-1) - 1).clamp_(min=0)
    cache = DynamicCache(config=model.config)
    outputs: list[list[int]] = [[] for _ in ids]
    rows = list(range(len(ids)))
    alive = [True] * len(ids)
    with torch.inference_mode():
        while True:
            step = model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen = step.logits[:, -1].argmax(dim=-1)
            for place, token in enumerate(chosen.tolist()):
                row = rows[place]
                if alive[row]:
                    outputs[row].append(token)
                    alive[row] = token not in stops and len(outputs[row]) < limits[row]
            if not any(alive[row] for row in rows):
                return outputs
            tokens, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            kept = [place for place, row in enumerate(rows) if alive[row]]
            if _shrinks(len(rows), len(kept)):
                index = torch.tensor(kept, device=device)
                cache.batch_select_indices(index)
                tokens, positions, mask = tokens[index], positions[index], mask[index]
                rows = [rows[place] for place in kept]


def _shrinks(rows: int, alive: int) -> bool:
    """Whether the finished rows are taken out of a batch."""
    return rows - alive >= _DROP_SHARE * rows


def slots_computed(prompt_tokens: Sequence[int], output_tokens: Sequence[int]) -> int:
    """The slots that ``greedy`` computed for a batch, from the lengths of its rows.

    Every output holds at least one token.
    """
    rows = len(prompt_tokens)
    slots = rows * max(prompt_tokens)
    for step in range(1, max(output_tokens)):
        alive = sum(length > step for length in output_tokens)
        rows = alive if _shrinks(rows, alive) else rows
        slots += rows
    return slots


def _spent(batch: Sequence[_Encoded], output_tokens: Sequence[int]) -> Tokens:
    """The token counts of one batch, from the lengths of its outputs."""
    if not batch[0].limit:
        return Tokens()
    prompt_tokens = [len(one.ids) for one in batch]
    emitted = sum(output_tokens)
    return Tokens(
        slots_computed(prompt_tokens, output_tokens), sum(prompt_tokens) + emitted, emitted
    )


def _answer(model: Any, tokenizer: Any, batch: Sequence[_Encoded]) -> tuple[list[bytes], Tokens]:
    """One batch: its lines and its token counts."""
    stops = stop_ids(tokenizer)
    outputs: list[list[int]] = [[] for _ in batch]
    if batch[0].limit:
        outputs = greedy(
            model,
            [one.ids for one in batch],
            [one.limit for one in batch],
            stops,
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
        )
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
    return lines, _spent(batch, [len(output) for output in outputs])


def _append(file: BinaryIO, lines: Sequence[bytes]) -> None:
    file.write(b"".join(lines))
    file.flush()
    os.fsync(file.fileno())


def _resume(out: Path, plan: Sequence[Sequence[_Encoded]]) -> tuple[int, Tokens]:
    """How many batches of the plan ``out`` holds, and their tokens; the rest is cut off."""
    done, tokens = 0, Tokens()
    if not out.is_file():
        return done, tokens
    lines = _lines(out)
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
        done, kept = done + 1, kept + sum(size for size, _ in found)
        tokens += _spent(batch, [written for _, written in found])
    with out.open("rb+") as file:
        file.truncate(kept)
    return done, tokens


def _lines(out: Path) -> Iterator[bytes]:
    """The complete lines of a file."""
    with out.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _written(line: bytes, one: _Encoded) -> int | None:
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
