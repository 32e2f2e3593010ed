"""The metrics: ``evaluate.Metric`` modules beside this file, loaded by path, offline.

Each module's ``compute`` returns the mean of every column under the column's name, the
per-instance values under ``rows`` and, per instance, why it has no value under
``reasons``; see ``compute`` here for the call that also takes hostile texts.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import cgroups
from bench.errors import unknown
from bench.scoring.admission import NOT_INSTALLED, NotRunError, Rows, mean, of_admitted

if TYPE_CHECKING:
    import evaluate

FOLDER = Path(__file__).parent

#: Columns of each metric, in the order of the tables; ``@published`` names a variant.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "codebleu": ("codebleu", "codebleu@published"),
    "sentence_bleu": ("bleu", "bleu@published"),
    "chrf": ("chrf",),
    "rouge_l": ("rouge_l", "rouge_l@published"),
    "meteor": ("meteor",),
    "meteor_wordnet": ("meteor@published",),
    "embedding_similarity": ("embedding_similarity",),
    "lizard": (
        "lizard_ccn",
        "lizard_nloc",
        "lizard_tokens",
        "lizard_detection",
        "lizard_ccn@published",
        "lizard_nloc@published",
        "lizard_tokens@published",
        "parse_failures",
    ),
    "pylint": (
        "pylint_errors",
        "pylint_warnings",
        "pylint_conventions",
        "pylint_refactors",
        "pylint_errors@published",
        "pylint_warnings@published",
        "pylint_conventions@published",
        "pylint_refactors@published",
    ),
    "flake8": ("flake8_violations",),
    "pmd": (
        "pmd_bestpractices",
        "pmd_codestyle",
        "pmd_design",
        "pmd_errorprone",
        "pmd_multithreading",
        "pmd_performance",
        "pmd_bestpractices@published",
        "pmd_codestyle@published",
        "pmd_design@published",
        "pmd_errorprone@published",
        "pmd_multithreading@published",
        "pmd_performance@published",
    ),
    "checkstyle": ("checkstyle_violations",),
    "cognitive": ("cognitive_complexity",),
    "roslyn": (
        "roslyn_syntax_errors",
        "roslyn_maintainability",
        "roslyn_syntax_errors@published",
        "roslyn_maintainability@published",
    ),
    "sonar": (
        "sonar_loc",
        "sonar_reliability",
        "sonar_maintainability",
        "sonar_hotspots",
        "sonar_ccn",
        "sonar_cognitive",
    ),
    "bertscore": ("bertscore", "bertscore@published"),
    "side": ("side", "side@published"),
    "judge": (
        "judge_adequacy",
        "judge_conciseness",
        "judge_fluency",
        "judge_parse_failures",
    ),
}

#: Metrics of the output alone, or of the output and what it was made from.
WITHOUT_REFERENCE = (
    *("lizard", "pylint", "flake8", "pmd", "checkstyle", "cognitive", "roslyn"),
    *("sonar", "side", "judge"),
)

NOT_IN_IMAGE = "not run: {package} is not in the image score; score with --executor venv"
#: evaluate names what a module lacks in a sentence of several lines.
_LACKING = re.compile(r"dependencies\['([^']+)'")


@functools.cache
def _cache() -> Path:
    """Where evaluate may write: its own cache, or a temporary folder where it may not."""
    import evaluate.config

    folder = Path(evaluate.config.HF_MODULES_CACHE)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    temporary = tempfile.TemporaryDirectory(prefix="bench-metrics-")
    weakref.finalize(evaluate, temporary.cleanup)
    return Path(temporary.name)


def _import_evaluate() -> None:
    """Import the library without its evaluators: they are not used, and bring torch.

    It does without them where transformers cannot be imported; five seconds of CPU for
    every stage that scores.
    """
    if "transformers" in sys.modules:
        import evaluate.config
    else:
        sys.modules["transformers"] = None  # type: ignore[assignment]
        try:
            import evaluate.config
        finally:
            del sys.modules["transformers"]
    # Set on the module, not in the environment: other stages may well go to the hub.
    evaluate.config.HF_EVALUATE_OFFLINE = True
    evaluate.config.HF_MODULES_CACHE = _cache()


@functools.cache
def load(name: str) -> evaluate.Metric:
    """The metric of that name, ready to compute; nothing is fetched from a hub.

    Raises:
        BenchError: no such metric.
        NotRunError: it cannot run on this machine (the reason says how to change that).
    """
    if name not in COLUMNS:
        raise unknown("metric", name, COLUMNS)
    try:
        _import_evaluate()
        import evaluate
    except ImportError as error:
        raise _lacks(error) from error
    folder = name.removesuffix("_wordnet")
    try:
        return evaluate.load(
            str(FOLDER / folder),
            config_name="wordnet" if name != folder else None,
            cache_dir=str(_cache().parent / "metrics"),
            keep_in_memory=True,
        )
    except ImportError as error:
        raise _lacks(error) from error


def _lacks(error: ImportError) -> NotRunError:
    """The reason for a package that is missing, with what to do about it here."""
    lacking = _LACKING.search(str(error))
    package = error.name or (lacking.group(1) if lacking else str(error))
    inside = bool(os.environ.get(cgroups.VARIABLE))
    return NotRunError((NOT_IN_IMAGE if inside else NOT_INSTALLED).format(package=package))


def result(rows: Rows) -> dict[str, Any]:
    """What a metric module's ``compute`` returns."""
    means = {name: mean(values) for name, values in rows.columns.items()}
    return {**means, "rows": rows.columns, "reasons": rows.reasons, "remark": rows.remark}


def compute(
    name: str,
    predictions: Sequence[str],
    references: Sequence[str] | None = None,
    **options: Any,
) -> Rows:
    """Score ``predictions`` (against ``references``); both lists have one text per instance.

    Texts that no metric takes (``admission.refusal``) have no value and a reason. Options
    that are lists hold one value per instance.

    Raises:
        NotRunError: the metric cannot run on this machine.
    """
    metric = load(name)

    def measure(keep: Callable[[Any], Any]) -> Rows:
        inputs: dict[str, Any] = {"predictions": keep(list(predictions))}
        if references is not None:
            inputs["references"] = keep(list(references))
        found = metric.compute(**inputs, **{key: keep(value) for key, value in options.items()})
        return Rows(found["rows"], found["reasons"], found["remark"])

    return of_admitted(COLUMNS[name], predictions, references, measure)
