"""How long a suite's prompts and references are, in tokens, before a model is loaded.

Counted with the tokenizer of a base that lies here. Otherwise estimated from characters, by
what Qwen2.5's tokenizer makes of such texts; every length says which of the two it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import hub
from bench.data.prompts import Message, Prompts
from bench.grid.study import HubBase, Study, Suite
from bench.records import Sample

COUNTED, ESTIMATED = "counted", "estimated from characters"
#: Characters that a token stands for, rather too few: memory is planned from it. Qwen2.5's
#: vocabulary makes 4.1 (Python to summarize) to 5.4 (Java to write) of the paper's prompts.
CHARACTERS_PER_TOKEN = 4.2
#: What the chat template adds to a prompt of two messages.
_MARKUP = "<|im_start|>{role}\n{content}<|im_end|>\n"
_OPENED = "<|im_start|>assistant\n"

#: Token counts of some texts.
Counter = Callable[[Sequence[str]], list[int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a track's prompts, as they are given to a model, and of its references.

    Those of the answers are None where a problem has no reference.
    """

    prompt_mean: float
    prompt_longest: int
    answer_mean: float | None
    answer_longest: int | None
    basis: str


def counter(study: Study, mirror: Path | None) -> tuple[Counter, str]:
    """What counts tokens for a study: the tokenizer of a base that is here, else characters."""
    for base in study.sizes:
        if not isinstance(base, HubBase):
            continue
        local = Path(base.repository)
        folder = (
            local if local.is_dir() else hub.find(hub.model(base.repository, base.revision), mirror)
        )
        file = folder / "tokenizer.json" if folder is not None else None
        if file is not None and file.is_file():
            try:
                from tokenizers import Tokenizer
            except ImportError:  # an installation that plans and does not compute
                break
            basis = f"{COUNTED} with the tokenizer of {base.name}"
            return _counting(Tokenizer.from_file(str(file))), basis
    return (
        lambda texts: [round(len(text) / CHARACTERS_PER_TOKEN) for text in texts],
        ESTIMATED,
    )


def _counting(tokenizer: Any) -> Counter:
    def count(texts: Sequence[str]) -> list[int]:
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in encoded]

    return count


def of_tracks(
    members: Sequence[Sample], suite: Suite, wording: Prompts, count: Counter, basis: str
) -> dict[str, Lengths]:
    """The lengths of a suite's problems by track."""
    tracks: dict[str, list[Sample]] = {}
    for one in members:
        tracks.setdefault(str(one.track), []).append(one)
    found = {}
    for track, samples in tracks.items():
        cut = suite.prompt_tokens.get(samples[0].track.task)  # type: ignore[call-overload]
        prompts = count([_text(one, wording) for one in samples])
        prompts = [min(one, cut) if cut else one for one in prompts]
        # And the token that ends an answer.
        answers = [one + 1 for one in count([one.reference for one in samples])]
        known = all(one.reference for one in samples)
        found[track] = Lengths(
            sum(prompts) / len(prompts),
            max(prompts),
            sum(answers) / len(answers) if known else None,
            max(answers) if known else None,
            basis,
        )
    return found


def _text(sample: Sample, wording: Prompts) -> str:
    """A prompt as a model is given it, by the chat template of Qwen2.5 and the kit's bases."""
    chat = wording.rendered(sample)
    if chat is None:
        chat = "".join(map(_turn, wording.messages(sample))) + _OPENED
    return f"{chat}{wording.opening(sample)}"


def _turn(message: Message) -> str:
    return _MARKUP.format(**message)


def as_mapping(lengths: Mapping[str, Lengths]) -> dict[str, dict[str, object]]:
    """The lengths as plain data."""
    return {track: dataclasses.asdict(one) for track, one in lengths.items()}
