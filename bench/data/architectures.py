"""The shapes of a study's base models, known before anything is downloaded.

A tiny base has its shape in the study, a hub model of the kit in ``datasets/hub.toml``. Once
a model's ``config.json`` is here it is what counts, and the two have to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.costs import Shape
from bench.data import hub, readers
from bench.errors import DataError
from bench.grid.study import HubBase, TinyBase

CONFIG = "config.json"
#: The only architecture that the analytic model knows.
_KNOWN = "qwen2"
_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
)
_LARGEST = 10**8


def shape(base: TinyBase | HubBase, mirror: Path | None) -> Shape | str:
    """A base's shape, or why it is not known.

    Raises:
        DataError: the kit's manifest says otherwise than the model's own ``config.json``.
    """
    if isinstance(base, TinyBase):
        return Shape(
            base.hidden_size,
            base.layers,
            base.heads,
            base.kv_heads,
            base.intermediate_size,
            base.embedding_rows or base.vocabulary,
            tied=True,
        )
    repository = hub.model(base.repository, base.revision)
    listed = Shape(**repository.shape) if repository.shape else None  # type: ignore[arg-type]
    local = Path(base.repository)
    folder = local if local.is_dir() else hub.find(repository, mirror)
    if folder is None:
        return listed or f"the shape of {base.repository} is known once its {CONFIG} is fetched"
    try:
        config = readers.read_object(folder / CONFIG)
    except DataError as error:
        return error.problem
    found = _of_config(config, folder / CONFIG)
    if isinstance(found, Shape) and listed not in (None, found):
        raise DataError(
            f"{base.repository}: its {CONFIG} has the shape {found}, {hub.MANIFEST.name} {listed}",
            hint=f"correct `shape` in {hub.MANIFEST}",
        )
    return found


def _of_config(config: Mapping[str, Any], path: Path) -> Shape | str:
    """A shape from the content of ``config.json``, or why it has none."""
    if config.get("model_type") != _KNOWN:
        return (
            f"{path}: an architecture ({str(config.get('model_type'))[:40]}) that is not {_KNOWN}"
        )
    try:
        sizes = [readers.require(config, name, int, str(path)) for name in _SIZES]
    except DataError as error:
        return error.problem
    if min(sizes) < 1 or max(sizes) > _LARGEST:
        return f"{path}: no shape of a model: {', '.join(map(str, sizes))[:80]}"
    hidden, layers, heads, kv_heads, intermediate, vocabulary = sizes
    tied = bool(config.get("tie_word_embeddings", False))
    return Shape(hidden, layers, heads, kv_heads, intermediate, vocabulary, tied=tied)
