"""What methods, models and stages are called for people, the same in every room.

Ids (``mt-qlora-2m``, ``cells/mt-qlora-2m/multi-task/train``) are what a user types and what
folders are named after; what is read says ``MT-QLoRA 2m train``.
"""

from __future__ import annotations

import itertools
import re

from bench.records import METHODS, TASKS, series

METHOD_LABELS = {"st-qlora": "ST-QLoRA", "mt-qlora": "MT-QLoRA", "mt-fft": "MT-FFT"}
#: How the methods are called that were trained on some of the tasks (see ``Cell.series``).
MIXTURE_LABELS = {
    f"{method}-{'-'.join(tasks)}": f"{label}, {' + '.join(tasks)}"
    for method, label in METHOD_LABELS.items()
    for tasks in itertools.combinations(TASKS, 2)
}
SERIES_LABELS = METHOD_LABELS | MIXTURE_LABELS

#: A method that trains a model for each task, so that its models are told by theirs.
_SINGLE = "st-qlora"
_STAGE_ID = re.compile(
    r"(?<![\w/])(?:bases/(?P<base>[^/\s]+)|cells/(?P<cell>[^/\s]+)/(?P<model>[^/\s]+))/(?P<stage>\w+)"
)


def model(cell: str | None, method: str | None, size: str, name: str | None = None) -> str:
    """A model, or without a cell a base: ``MT-QLoRA 2m``, ``ST-QLoRA 2m generation``, ``base 2m``.

    ``name`` is the model's id within its cell.
    """
    if cell is None or method is None:
        return f"base {size}"
    label, comma, tasks = SERIES_LABELS.get(series(cell, method, size), method).partition(", ")
    of = f" {name}" if method == _SINGLE and name else ""
    return f"{label} {size}{of}{comma}{tasks}"


def stages(text: str) -> str:
    """A text in which the ids of stages are put as people call them."""
    return _STAGE_ID.sub(_named, text)


def _named(found: re.Match[str]) -> str:
    if found["base"]:
        return f"base {found['base']} {found['stage']}"
    cell = found["cell"]
    method = next((one for one in METHODS if cell.startswith(f"{one}-")), None)
    if method is None:
        return found[0]
    size, *tasks = cell.removeprefix(f"{method}-").split("-")
    if tasks and set(tasks) - set(TASKS):  # a size with a dash in its name
        return found[0]
    return f"{model(cell, method, size, found['model'])} {found['stage']}"
