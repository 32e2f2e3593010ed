"""What early stopping by ``similarity`` compares: arg-max tokens of the validation rows.

Nothing is generated: the trained model sees each reference and is asked, at every position,
for the next token (the study's scripts do the same). CodeBLEU serves generation and
translation, sacreBLEU's sentence score summarization, both on the scripts' scale of 0 to 100,
so that a threshold of 0.001 means what it means there.

- ``published`` rows: a row is one text, whatever documents it holds parts of. Which score it
  gets and in which language is guessed from words in it, and all rows count alike. That is
  what the package's training scripts do (``multitask/``, ``generation/``, ``summarization/``
  and ``translation/qlora_train.py``); theirs also hold the prediction behind a row's last
  token.
- ``isolated`` rows: every document's answer against its reference, in the language of its
  track; CodeBLEU is the corrected one, and code and summaries count alike.

The Trainer gathers arg-max ids alone (``bench.train.loss`` gives no logits), 8 bytes a token.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.packing import IGNORED, PackedRows
from bench.data.prompts import Marks, Prompts
from bench.errors import BenchError, MachineError
from bench.grid.study import Training
from bench.records import GENERATION, SUMMARIZATION, TRACKS, TRANSLATION, Track

try:
    from sacrebleu.metrics.bleu import BLEU

    from bench.scoring import codebleu
except ImportError as error:
    raise MachineError(
        f"early stopping by similarity needs {error.name}",
        hint="pip install 'bench[train,score]', or set training.early_stopping.metric to loss",
    ) from None

Ids = npt.NDArray[np.int_]
#: Arg-max ids and labels, both ``[rows, row_tokens]`` with -100 where nothing counts, to 0..100.
Similarity = Callable[[Ids, Ids], float]

#: Stand-ins for the contents of turns, to see what a chat template writes between them.
_ASKED, _ANSWERED = "\x01", "\x02"


def metric(
    valid: PackedRows,
    training: Training,
    tasks: Sequence[str],
    prompts: Prompts,
    tokenizer: Any,
) -> Similarity:
    """The similarity of predictions for the packed validation rows ``valid``.

    Args:
        valid: the rows that the Trainer evaluates, in their order.
        training: its ``packing`` says what is compared.
        tasks: of the model's mixture.
        prompts: their wording.
        tokenizer: the model's, with a chat template.

    Raises:
        BenchError: a wording that does not tell summaries from code, or rows without answers.
    """
    if training.packing == "published":
        tell = _teller(tasks, prompts)
        return lambda predictions, labels: _of_rows(
            predictions, labels, tokenizer, tell, (tuple(tasks), prompts.marks)
        )
    answers = list(_answers(valid, tasks, prompts, tokenizer, training.loss_on_prompt))
    if not answers:
        raise BenchError(
            "early stopping by similarity: no validation row holds an answer",
            hint="raise training.row_tokens, or set training.early_stopping.metric to loss",
        )
    return lambda predictions, _: _of_answers(predictions, answers, tokenizer, prompts.marks)


# published: rows as texts


def _of_rows(
    predictions: Ids,
    labels: Ids,
    tokenizer: Any,
    is_summary: Callable[[str], bool],
    of: tuple[tuple[str, ...], Marks],
) -> float:
    tasks, marks = of
    scores = []
    for predicted, wanted in zip(predictions, labels, strict=True):
        said, meant = (_text(ids[ids != IGNORED], tokenizer) for ids in (predicted, wanted))
        summary = is_summary(meant)
        said, meant = (_unwrapped(_answered(text, marks), marks) for text in (said, meant))
        if summary:
            scores.append(_bleu(said, meant))
        else:
            scores.append(_code(said, meant, _guessed_language(meant, tasks), published=True))
    return statistics.fmean(scores)


def _teller(tasks: Sequence[str], prompts: Prompts) -> Callable[[str], bool]:
    """Whether a row is scored as a summary: by the words that ask for one or that mark one.

    What asks is the text that the summarization prompts of all languages begin with.
    """
    if set(tasks) == {SUMMARIZATION}:
        return lambda _: True
    if SUMMARIZATION not in tasks:
        return lambda _: False
    wordings = [prompts.wordings[track] for track in TRACKS if track.task == SUMMARIZATION]
    asking = _shared(one.user for one in wordings) or _shared(one.system for one in wordings)
    words = [word for word in (asking, prompts.marks.begin) if word]
    if not words:
        raise BenchError(
            f"prompts {prompts.variant}: nothing tells a summary from code in a packed row",
            hint="word the summarization prompts alike, or set early_stopping.metric to loss",
        )
    return lambda text: any(word in text for word in words)


def _shared(templates: Iterable[str]) -> str:
    """What templates of several languages begin with alike, before their first fields."""
    places = zip(*map(_fixed, templates), strict=False)
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, places)
    return "".join(letters[0] for letters in alike).strip()


def _fixed(template: str) -> str:
    """What a template begins with before its first field."""
    return template.partition("{")[0]


def _answered(text: str, marks: Marks) -> str:
    if marks.answered and marks.answered in text:
        return text.rpartition(marks.answered)[2].strip()
    return text


def _unwrapped(text: str, marks: Marks) -> str:
    """A summary without the words around it; a text without them as it is."""
    if not marks.begin or marks.begin not in text:
        return text
    inside = text.rpartition(marks.begin)[2]
    return (inside.partition(marks.end)[0] if marks.end else inside).strip()


def _guessed_language(text: str, tasks: tuple[str, ...]) -> str:
    """The language of a row by the scripts' words, which differ for single tasks."""
    alone = tasks[0] if len(tasks) == 1 else None
    if "public" in text or "private" in text:
        return "java"
    if alone == GENERATION and "class" in text[:50]:
        return "java"
    if alone != TRANSLATION and ("def " in text or "import " in text):
        return "python"
    if alone == GENERATION and "__" in text:
        return "python"
    if alone != GENERATION and ("namespace" in text or "using System" in text):
        return "csharp"
    return "java"


# isolated: documents


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """Where the answer of a document stands in the rows, and what it should be."""

    row: int
    start: int
    stop: int
    track: Track
    reference: str


def _answers(
    valid: PackedRows,
    tasks: Sequence[str],
    prompts: Prompts,
    tokenizer: Any,
    loss_on_prompt: bool,
) -> Iterator[_Answer]:
    """The answers that documents of the rows hold, at least in part."""
    heads = _heads(tasks, prompts, tokenizer)
    between = _between(tokenizer)
    for row in range(len(valid)):
        ids, targets = valid.input_ids[row], valid.labels[row] != IGNORED
        starts = np.flatnonzero(valid.position_ids[row] == 0).tolist()
        for begin, end in itertools.pairwise([*starts, len(ids)]):
            found = np.flatnonzero(targets[begin:end])
            if not found.size:  # padding
                continue
            text = tokenizer.decode(ids[begin:end])
            track = _track_of(text, heads)
            if track is None:
                continue
            start = begin + int(found[0])
            if loss_on_prompt:
                start = begin + _answer_start(ids[begin:end], text, between, tokenizer)
            stop = begin + int(found[-1]) + 1
            if start < stop:
                reference = _text(ids[start:stop], tokenizer)
                yield _Answer(row, start, stop, track, reference)


def _heads(tasks: Sequence[str], prompts: Prompts, tokenizer: Any) -> dict[str, Track]:
    """How the chats of each track begin, up to the first thing that differs within a track.

    Raises:
        BenchError: two tracks of these tasks begin alike.
    """
    heads: dict[str, Track] = {}
    for track in TRACKS:
        if track.task not in tasks:
            continue
        wording = prompts.wordings[track]
        system = _fixed(wording.system) + (_ASKED if "{" in wording.system else "")
        user = _fixed(wording.user) + _ASKED
        chat = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        text = str(tokenizer.apply_chat_template(chat, tokenize=False)).partition(_ASKED)[0]
        if text in heads:
            raise BenchError(
                f"prompts {prompts.variant}: {heads[text]} and {track} begin alike",
                hint="word their system turns apart, or set early_stopping.metric to loss",
            )
        heads[text] = track
    return heads


def _between(tokenizer: Any) -> str:
    """What the chat template writes between the user's text and the assistant's."""
    chat = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}]
    text = str(tokenizer.apply_chat_template(chat, tokenize=False))
    return text.partition(_ASKED)[2].partition(_ANSWERED)[0]


def _track_of(text: str, heads: dict[str, Track]) -> Track | None:
    """The track whose head a document begins with (the longest, where one begins another).

    None for a document that is cut off within its head.
    """
    fitting = [head for head in heads if text.startswith(head)]
    if not fitting and any(head.startswith(text) for head in heads):
        return None
    if not fitting:
        raise BenchError(
            "early stopping by similarity: a validation row begins like no prompt",
            hint="pack the rows with the prompts of the study, or watch the loss",
        )
    return heads[max(fitting, key=len)]


def _answer_start(ids: Ids, text: str, between: str, tokenizer: Any) -> int:
    """The first token of the answer in a document; its length where the prompt is cut off."""
    head, found, _ = text.partition(between)
    if not found:
        return len(ids)
    prompt = len(head) + len(between)
    return bisect.bisect_left(
        range(len(ids)), prompt, key=lambda count: len(tokenizer.decode(ids[:count]))
    )


def _of_answers(
    predictions: Ids, answers: Iterable[_Answer], tokenizer: Any, marks: Marks
) -> float:
    """The mean over the kinds, code and summaries, of the mean over their answers."""
    scores: dict[bool, list[float]] = {}
    for one in answers:
        # What stands before a token predicts it.
        predicted = predictions[one.row, one.start - 1 : one.stop - 1]
        said = _text(predicted[predicted != IGNORED], tokenizer)
        summary = one.track.task == SUMMARIZATION
        if summary:
            score = _bleu(_unwrapped(said, marks), _unwrapped(one.reference, marks))
        else:
            score = _code(said, one.reference, one.track.target_language, published=False)
        scores.setdefault(summary, []).append(score)
    return statistics.fmean(statistics.fmean(values) for values in scores.values())


# scores


def _text(ids: Ids, tokenizer: Any) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def _bleu(said: str, meant: str) -> float:
    score: float = BLEU(effective_order=True).sentence_score(said, [meant]).score
    return score


def _code(said: str, meant: str, language: str, *, published: bool) -> float:
    """CodeBLEU in percent; 0 for what it cannot measure, as in the scripts."""
    try:
        return 100 * codebleu.score(said, meant, language)[int(published)]
    except codebleu.Unmeasurable:
        return 0.0
