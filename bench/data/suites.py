"""The public evaluation suites: their files, their filters, and what becomes of a problem.

Every suite asks as the training data does (summary and signature, or code), so that a model
is evaluated on the wording that it learned; the row counts of the study are asserted.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence

from bench.data import codexglue, transeval
from bench.data.codetokens import joined_tokens
from bench.data.codexglue import Locate
from bench.data.pythonsource import take_apart
from bench.data.readers import read_json, read_jsonl
from bench.errors import DataError
from bench.records import GENERATION, SUMMARIZATION, TRANSLATION, Sample, Track

PYTHON, JAVA = Track(GENERATION, "python"), Track(GENERATION, "java")
_DIRECTIONS = (Track(TRANSLATION, "java_cs"), Track(TRANSLATION, "cs_java"))


@dataclasses.dataclass(frozen=True, slots=True)
class PublicSuite:
    """A suite of a mirror: per track the files it reads, and how they become problems."""

    files: Mapping[Track, Sequence[str]]
    problems: Callable[[Track, Locate], list[Sample]]


_CODEREVAL = "paper_package/codereval"
_DISCARDED = f"{_CODEREVAL}/generation/ids_to_discard.json"
_HUMANEVAL = "humaneval/HumanEval.jsonl.gz"
_HUMANEVAL_X = "humaneval-x/humaneval_java.jsonl.gz"
_MBPP = "mbpp/mbpp.jsonl"
#: Problems of a track after the filters (protocol, "Tasks, data, evaluation sets").
_PROMPTS = {
    PYTHON: (f"{_CODEREVAL}/generation/CEPythonHumanLabel.jsonl", 190),
    JAVA: (f"{_CODEREVAL}/generation/CEJavaHumanLabel.jsonl", 184),
}
_SUMMARIES = {
    Track(SUMMARIZATION, language): (
        f"{_CODEREVAL}/summarization/cs_codereval_eval_dataset_{stem}_v2.jsonl",
        count,
    )
    for language, stem, count in (("python", "py", 100), ("java", "java", 99))
}


def codereval(track: Track, locate: Locate) -> list[Sample]:
    """CoderEval: prompts less the package's unreliable ones, and the curated summaries.

    Prompts have no reference and no tests here (CoderEval's live in its docker image, where
    ``check`` finds them by the task's id, see ``bench.scoring.codereval``). Python
    code to summarize has its docstring removed: in 99 of 100 the published input holds it,
    often with the reference in it (protocol, "Found in the published package", 6). What the
    published wording asks with is beside: ``input`` and ``source`` as they are in the files,
    and ``code_tokens`` of the code without docstring, as its models were trained.
    """
    if track.task == SUMMARIZATION:
        return _codereval_summaries(track, locate)
    path, expected = _PROMPTS[track]
    fields = {"question_id": str, "signature": str, "docstring": str, "input": str}
    records = read_jsonl(locate(path), fields)
    lists = read_json(locate(_DISCARDED))
    discarded = {name for names in lists.values() for name in names}
    problems = [
        Sample(
            f"{record['question_id']}@{track}",
            track,
            {
                "summary": " ".join(record["docstring"].split()),
                "signature": record["signature"].strip().removesuffix("{").rstrip(),
                "input": record["input"],
            },
            "",
            None,
            {"kind": "codereval", "task": record["question_id"]},
        )
        for record in records
        if record["question_id"] not in discarded
    ]
    return _counted("codereval", problems, expected)


def _codereval_summaries(track: Track, locate: Locate) -> list[Sample]:
    path, expected = _SUMMARIES[track]
    fields = {"id": str, "code": str, "reference_summary": str}
    problems = []
    for record in read_jsonl(locate(path), fields):
        code = record["code"].strip("\n").rstrip()
        if track.language == "python":
            code = take_apart(textwrap.dedent(code)).code
        reference = record["reference_summary"].strip()
        inputs = {
            "code": code,
            "source": record["code"],
            "code_tokens": joined_tokens(code, track.language),
        }
        problems.append(Sample(f"{record['id']}@{track}", track, inputs, reference))
    return _counted("codereval", problems, expected)


def codexglue_trans(track: Track, locate: Locate) -> list[Sample]:
    """CodeXGLUE's code-to-code-trans test split: 1,000 pairs each way, no tests."""
    problems, _ = codexglue.samples(track, "test", locate)
    return _counted("codexglue-trans", problems, 1000)


def humaneval(track: Track, locate: Locate) -> list[Sample]:
    """HumanEval: the prompt's docstring (with its examples) and signature; 164 problems.

    Imports and helpers that the prompt gives before the function go into ``setup``, and
    helpers into the signature too, since the function may have to call them.
    """
    fields = {"task_id": str, "prompt": str, "entry_point": str, "canonical_solution": str}
    problems = []
    for record in read_jsonl(locate(_HUMANEVAL), fields | {"test": str}):
        entry = record["entry_point"]
        asked = take_apart(record["prompt"] + "    pass\n", entry)
        solved = take_apart(record["prompt"] + record["canonical_solution"], entry)
        helpers = f"{asked.preamble}\n\n" if "def " in asked.preamble else ""
        check = {
            "kind": "python-check",
            "prompt": record["prompt"],
            "entry": entry,
            "test": record["test"],
            "setup": asked.preamble,
        }
        inputs = {"summary": asked.docstring, "signature": helpers + asked.signature}
        problems.append(Sample(record["task_id"], track, inputs, solved.code, None, check))
    return _counted("humaneval", problems, 164)


#: MBPP's test split; the other ids are for few-shot prompts, validation and fine-tuning.
MBPP_TEST = range(11, 511)


def mbpp(track: Track, locate: Locate) -> list[Sample]:
    """MBPP's test split (ids 11 to 510): its text, and the signature of its solution.

    The text does not name the function that its assertions call, so the signature is given.
    """
    fields = {"task_id": int, "text": str, "code": str, "test_list": list, "test_setup_code": str}
    path = locate(_MBPP)
    problems = []
    for record in read_jsonl(path, fields):
        if record["task_id"] not in MBPP_TEST:
            continue
        code = record["code"].replace("\r\n", "\n").strip()
        entry = _called(record["test_list"], code)
        check = {
            "kind": "python-check",
            "prompt": "",
            "entry": entry,
            "asserts": record["test_list"],
            "setup": record["test_setup_code"].replace("\r\n", "\n"),
        }
        inputs = {"summary": record["text"].strip(), "signature": take_apart(code, entry).signature}
        problems.append(Sample(f"MBPP/{record['task_id']}", track, inputs, code, None, check))
    return _counted("mbpp", problems, len(MBPP_TEST))


def _called(assertions: Sequence[str], code: str) -> str:
    """The function of ``code`` that the assertions call."""
    defined = re.findall(r"^(?:async )?def (\w+)", code, flags=re.MULTILINE)
    called = [name for name in re.findall(r"(\w+)\s*\(", assertions[0]) if name in defined]
    return str((called or defined)[0])


#: The name in the head of a method that ends with its opening brace.
_METHOD = re.compile(r"(\w+)\s*\([^()]*\)\s*(?:throws [\w., ]+)?\{\s*$", re.MULTILINE)


def humaneval_x(track: Track, locate: Locate) -> list[Sample]:
    """HumanEval-X in Java: the docstring and the method's signature; 164 problems.

    Helpers that the declaration gives before the method stay in the signature and in the
    reference; where an output does not repeat them they are added.
    Methods stand between ``prelude`` (imports, the opening of ``class Solution``) and
    ``epilogue`` (its closing brace) when they are compiled; ``entry`` is the one that is called.
    """
    fields = {"task_id": str, "declaration": str, "canonical_solution": str, "test": str}
    path = locate(_HUMANEVAL_X)
    problems = []
    for record in read_jsonl(path, fields | {"text": str}):
        head, opening, method = record["declaration"].partition("class Solution {")
        solution = record["canonical_solution"].rstrip().removesuffix("}").rstrip()
        signature = inspect.cleandoc(method.rstrip().removesuffix("{")).rstrip()
        check = {
            "kind": "java-main",
            "entry": _METHOD.findall(method)[-1],
            "signature": signature,
            "prelude": f"{head}{opening}\n",
            "epilogue": "\n}\n",
            "test": record["test"],
        }
        inputs = {
            "summary": inspect.cleandoc(record["text"]),
            "signature": signature,
        }
        reference = inspect.cleandoc(f"{method.strip(chr(10))}\n{solution}")
        problems.append(Sample(record["task_id"], track, inputs, reference, None, check))
    return _counted("humaneval-x", problems, 164)


def _counted(suite: str, problems: list[Sample], expected: int) -> list[Sample]:
    """The problems, asserted to be as many as the study has."""
    if len(problems) != expected:
        track = problems[0].track if problems else "none"
        raise DataError(
            f"suite {suite}: {len(problems)} problems of {track}, expected {expected}",
            hint="the files are as listed, so the filter in bench/data/suites.py is wrong",
        )
    return problems


SUITES: Mapping[str, PublicSuite] = {
    "codereval": PublicSuite(
        {
            **{track: (path, _DISCARDED) for track, (path, _) in _PROMPTS.items()},
            **{track: (path,) for track, (path, _) in _SUMMARIES.items()},
        },
        codereval,
    ),
    "codexglue-trans": PublicSuite(
        {track: codexglue.files(track, "test") for track in _DIRECTIONS}, codexglue_trans
    ),
    "g-transeval": PublicSuite(
        {track: transeval.files(track) for track in _DIRECTIONS},
        lambda track, locate: _counted("g-transeval", transeval.problems(track, locate), 400),
    ),
    "humaneval": PublicSuite({PYTHON: (_HUMANEVAL,)}, humaneval),
    "humaneval-x": PublicSuite({JAVA: (_HUMANEVAL_X,)}, humaneval_x),
    "mbpp": PublicSuite({PYTHON: (_MBPP,)}, mbpp),
}
