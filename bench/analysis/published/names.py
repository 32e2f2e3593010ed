"""How the replication package names things: tools' columns, ids, and the places of files.

Its spelling varies (``0.5b``, ``0_5b``, ``qwen0_5``; ``mt-fft``, ``mt_fft``; ``Task ID``,
``TaskID``, ``instance_id``, ``target_id``), so names are matched, never listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, TASKS, TRANSLATION, Track

REPOSITORY = "alvi75/MultiTask-QLoRA-NFAnalysis"
FETCH_AGAIN = f"fetch the file again from github.com/{REPOSITORY}"

#: The columns of each tool's files, and what the kit calls them.
TOOLS: Mapping[str, Mapping[str, str]] = {
    "pass1": {"pass@1": "pass@1"},
    "codebleu": {"codebleu": "codebleu"},
    "similarity": {
        "BLEU": "bleu",
        "METEOR": "meteor",
        "Rouge-L": "rouge_l",
        "chrF": "chrf",
        "BERTScore": "bertscore",
        "SIDE": "side",
    },
    "judge": {
        "CA": "judge_adequacy",
        "Conciseness": "judge_conciseness",
        "Fluency": "judge_fluency",
    },
    "lizard": {
        "Detection_Rate": "lizard_detection",
        "Cyclomatic_Complexity": "lizard_ccn",
        "Lines_of_Code": "lizard_nloc",
        "Token_Count": "lizard_tokens",
    },
    "pylint": {
        "Error": "pylint_errors",
        "Warning": "pylint_warnings",
        "Convention": "pylint_conventions",
        "Refactor": "pylint_refactors",
    },
    "pmd": {
        "bestpractices": "pmd_bestpractices",
        "codestyle": "pmd_codestyle",
        "design": "pmd_design",
        "errorprone": "pmd_errorprone",
        "multithreading": "pmd_multithreading",
        "performance": "pmd_performance",
    },
    "roslyn": {
        "Syntax_Errors": "roslyn_syntax_errors",
        "Maintainability": "roslyn_maintainability",
    },
    "sonar": {
        "LoC": "sonar_loc",
        "Reliability": "sonar_reliability",
        "Maintainability": "sonar_maintainability",
        "Security_Hotspots": "sonar_hotspots",
        "CyC": "sonar_ccn",
        "CoC": "sonar_cognitive",
    },
}
#: Columns that only files of some languages have: SIDE has a model for Java alone.
OPTIONAL = ("SIDE",)

IDS = ("taskid", "instanceid", "targetid", "problemid", "id")
#: The package's abbreviations of the tasks.
TASKS_OF = {"cg": GENERATION, "cs": SUMMARIZATION, "ct": TRANSLATION}
_TASK_OF_TOOL = {
    "pass1": GENERATION,
    "pylint": GENERATION,
    "codebleu": TRANSLATION,
    "roslyn": TRANSLATION,
    "similarity": SUMMARIZATION,
    "judge": SUMMARIZATION,
}
_LANGUAGE_OF_TOOL = {"pylint": "python", "pmd": "java", "roslyn": "java_cs"}
_LANGUAGES = {"py": "python", "python": "python", "java": "java"} | {
    name: name for name in ("java_cs", "cs_java")
}
#: The end of a file's name: size, the tasks of a two-task mixture, method.
_MODEL = re.compile(
    r"(?:^|_)(?:qwen_?)?(?P<size>\d+(?:_\d+)?)b?_(?P<mixture>(?:c[gst]_){2})?"
    r"(?P<method>(?:st|mt)_(?:qlora|fft))$"
)


def tool_of(path: Path, header: Sequence[str], folder: str) -> str:
    """The tool whose columns these are; two tools share a column, so the most decide."""
    counts = {
        tool: sum(resolve(wanted, header) is not None for wanted in columns) / len(columns)
        for tool, columns in TOOLS.items()
    }
    best = max(counts, key=lambda tool: (counts[tool], folder.startswith(tool)))
    if not counts[best]:
        raise DataError(
            f"{path}: its columns {', '.join(header)} are none that the package's tools write",
            hint="take the file out of the folder, or " + FETCH_AGAIN,
        )
    return best


def resolve(wanted: str, header: Sequence[str]) -> str | None:
    """The column of that name, as R's ``$`` finds it: exactly, else by a unique prefix.

    Case and the characters that R replaces in names (``pass@1`` is ``pass.1``) do not count.
    """
    if wanted in header:
        return wanted
    name = plain(wanted)
    for matches in (
        [column for column in header if plain(column) == name],
        [column for column in header if len(name) > 2 and plain(column).startswith(name)],
        [column for column in header if len(plain(column)) > 2 and name.startswith(plain(column))],
    ):
        if len(matches) == 1:
            return matches[0]
    return None


def plain(name: str) -> str:
    """A column's name without case and signs."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def problem_id(text: str) -> str:
    """An id without the word that some tools put before a problem's number."""
    return re.sub(r"^[A-Za-z]+_?(?=\d+$)", "", text.strip())


def place(path: Path, relative: Path, tool: str = "") -> tuple[Track, str, str, str]:
    """Track, size, method and mixture, from the folders and the name of a file.

    Raises:
        DataError: neither the name nor its folder's ends in a size and a method.
    """
    stem, above = (
        re.sub(r"[-. ]", "_", name.lower()) for name in (relative.stem, relative.parent.name)
    )
    model = _MODEL.search(stem) or _MODEL.search(above)
    if model is None:
        raise DataError(
            f"{path}: its name does not end in a size and a method",
            hint="name it like r-lizard_cg_1_5b-mt-qlora.csv, or take it out of the folder",
        )
    folders = [part.lower() for part in relative.parts[:-1]]
    named = re.search(r"(?:^|_)(c[gst])_", stem)
    task = next((part for part in folders if part in TASKS), None)
    task = task or _TASK_OF_TOOL.get(tool) or (named and TASKS_OF[named[1]])
    language = next((_LANGUAGES[part] for part in folders if part in _LANGUAGES), None)
    language = language or _LANGUAGE_OF_TOOL.get(tool)
    if not task or not language:
        lacking = "task" if not task else "language"
        raise DataError(
            f"{path}: neither folder nor name says the {lacking}",
            hint=f"put it into a folder like {tool}/generation/java",
        )
    size = f"{model['size'].replace('_', '.')}b"
    mixture = "+".join((model["mixture"] or "").strip("_").upper().split("_"))
    return Track(task, language), size, model["method"].replace("_", "-"), mixture
