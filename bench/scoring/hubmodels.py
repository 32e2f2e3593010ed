"""The models that some metrics are made of: which they are, and where they lie here.

Nothing is fetched here and nothing imports torch, so that a plan can ask what there is.
Weights are safetensors, never pickles.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.data import hub, sources
from bench.errors import DataError
from bench.scoring.admission import NotRunError

WEIGHTS = "model.safetensors"
#: A tokenizer is one of these files.
TOKENIZERS = ("tokenizer.json", "vocab.txt")


@dataclasses.dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the hub that ``datasets/hub.toml`` pins, with its weights.

    ``former``: names that it had, under which a cache may hold it. ``variable``: the
    environment variable that names a folder with its files instead.
    """

    name: str
    former: tuple[str, ...]
    weights: hub.LockedFile
    variable: str

    @property
    def repository(self) -> hub.Repository:
        """The repository at the pinned revision."""
        return hub.repositories()[self.name]


#: BERTScore's model. The digest is the one that public lock files of many projects name for
#: the pinned revision.
BERT = HubModel(
    name="google-bert/bert-base-uncased",
    former=("bert-base-uncased",),
    weights=hub.LockedFile(
        440_449_768, "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3"
    ),
    variable="BENCH_BERT",
)

#: SIDE's checkpoints come from a shared drive (linked in the repository
#: antonio-mastropaolo/code-summarization-metric, MIT), so a folder is named instead.
SIDE_VARIABLE = "BENCH_SIDE"
#: Kind of a checkpoint (by its negative examples in training) to its step, as published.
SIDE_STEPS = {"hard-negatives": "141205", "baseline": "103080"}
SIDE_MISSING = (
    f"not run: SIDE's checkpoint is not on this machine; download its models (link in "
    f"github.com/antonio-mastropaolo/code-summarization-metric) and name their folder in "
    f"{SIDE_VARIABLE}"
)


def located(model: HubModel, mirror: Path | None) -> Path | None:
    """Where a pinned model lies, by its size alone; None where it is nowhere."""
    places = _candidates(model, mirror)
    return next((place for place in places if _looks_right(place, model)), None)


def folder(model: HubModel, mirror: Path | None) -> Path:
    """The folder of a pinned model, its weights verified.

    Raises:
        NotRunError: it is not on this machine, or its weights are not the pinned ones.
    """
    found = located(model, mirror)
    if found is None:
        named = os.environ.get(model.variable)
        if named:
            wanted = f"{model.name} ({WEIGHTS} of {model.weights.bytes} bytes)"
            raise NotRunError(f"not run: {model.variable}={named} does not hold {wanted}")
        raise NotRunError(
            f"not run: {model.name} is not on this machine; {sources.FETCH}; or name a folder "
            f"that holds it in {model.variable}"
        )
    try:
        hub.verify(found / WEIGHTS, model.weights)
    except DataError as error:
        raise NotRunError(f"not run: {error}") from error
    return found


def side_folder(kind: str) -> Path:
    """The folder of one of SIDE's checkpoints (a key of ``SIDE_STEPS``).

    The variable names the folder of the downloaded models or one checkpoint, which is
    taken as ``hard-negatives`` unless its path says ``baseline``.

    Raises:
        NotRunError: it is not there, there are several, or its weights are a pickle.
    """
    named = os.environ.get(SIDE_VARIABLE)
    if not named:
        raise NotRunError(SIDE_MISSING)
    root = Path(named).expanduser()
    found = [path for path in _checkpoints(root) if _kind(path, root) == kind]
    published = [path for path in found if path.name == SIDE_STEPS[kind]]
    found = published or found
    if not found:
        raise NotRunError(f"not run: {SIDE_VARIABLE}={named} holds no {kind} checkpoint of SIDE")
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        several = f"several {kind} checkpoints ({listed})"
        raise NotRunError(f"not run: {SIDE_VARIABLE}={named} holds {several}; name one")
    if not (found[0] / WEIGHTS).is_file():
        raise NotRunError(
            f"not run: {found[0]} holds its weights as a pickle; convert them once: python -c "
            f'"from transformers import AutoModel as M; p = {str(found[0])!r}; '
            'M.from_pretrained(p).save_pretrained(p)"'
        )
    return found[0]


def found(metrics: Iterable[str], mirror: Path | None = None) -> dict[str, str | None]:
    """What decides whether and how some metrics run here, for the key of scores.

    ``bertscore``: the pinned revision, ``side`` and ``side@published``: the weights'
    SHA-256; None where a model is not here. Metrics that are not asked for do not appear.
    """
    present: dict[str, str | None] = {}
    if "bertscore" in metrics:
        present["bertscore"] = BERT.repository.revision if located(BERT, mirror) else None
    if "side" in metrics:
        present["side"] = _side_digest("hard-negatives")
        present["side@published"] = _side_digest("baseline")
    return present


def _side_digest(kind: str) -> str | None:
    try:
        weights = side_folder(kind) / WEIGHTS
    except NotRunError:
        return None
    return _digest(weights, weights.stat().st_mtime_ns)


@functools.cache
def _digest(path: Path, _changed_ns: int) -> str:
    return sources.sha256_of(path)


def _candidates(model: HubModel, mirror: Path | None) -> Iterator[Path]:
    """Where a pinned model may lie: the named folder, else the data folder or the hub's cache."""
    named = os.environ.get(model.variable)
    if named:
        yield Path(named).expanduser()
        return
    for name in (model.name, *model.former):
        place = hub.find(dataclasses.replace(model.repository, name=name), mirror)
        if place is not None:
            yield place


def _looks_right(place: Path, model: HubModel) -> bool:
    try:
        whole = (place / WEIGHTS).stat().st_size == model.weights.bytes
    except OSError:
        return False
    tokenizer = any((place / name).is_file() for name in TOKENIZERS)
    return whole and tokenizer and (place / "config.json").is_file()


def _checkpoints(root: Path) -> Sequence[Path]:
    """Folders with a model's configuration and weights, at most four levels down."""
    patterns = ["/".join(["*"] * depth + ["config.json"]) for depth in range(5)]
    configured = (path.parent for pattern in patterns for path in root.glob(pattern))
    names = (WEIGHTS, "pytorch_model.bin")
    return sorted(one for one in configured if any((one / name).is_file() for name in names))


def _kind(checkpoint: Path, root: Path) -> str:
    """``baseline`` or ``hard-negatives``, by the folders below the named one."""
    parts = (checkpoint if checkpoint == root else checkpoint.relative_to(root)).parts
    named = [kind for kind in SIDE_STEPS if kind in parts or SIDE_STEPS[kind] in parts]
    return named[-1] if named else "hard-negatives"
