"""From the answers of a jailed program to a verdict: the same for every language.

The program is told the arguments of each test case and states what it returned or raised;
the expected values stay on this side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bench.data import casetypes
from bench.records import Verdict
from bench.scoring.sandbox import values
from bench.scoring.sandbox.limits import JailResult

#: What ``"error": "value"`` means in each language.
VALUE_ERRORS = frozenset(
    {"ValueError", "java.lang.IllegalArgumentException", "System.ArgumentException"}
)
MEMORY_ERRORS = frozenset(
    {"MemoryError", "java.lang.OutOfMemoryError", "System.OutOfMemoryException"}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave: a value, or the names of the classes of what it raised."""

    value: Any = None
    raised: tuple[str, ...] | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What a program said once it was up: why its code did not load, if so, and its answers."""

    answers: list[Answer]
    refused: Answer | None = None


def arguments(check: Mapping[str, Any]) -> list[list[Any]]:
    """The arguments of every test case as Python values of the declared types."""
    kinds = [casetypes.parse(text) for text in check["types"]["args"]]
    return [
        [values.value(kind, data) for kind, data in zip(kinds, case["args"], strict=True)]
        for case in check["cases"]
    ]


def mismatch(
    kind: casetypes.CaseType,
    case: Mapping[str, Any],
    answer: Answer,
    relative: float = values.RELATIVE,
) -> str | None:
    """How an answer differs from what the case expects; None where it does not."""
    if "error" in case:
        if answer.raised is None:
            return f"returned {_brief(answer.value)} where an error is due"
        due = VALUE_ERRORS & set(answer.raised)
        return None if due else f"raised {answer.text:.120} where a value error is due"
    if answer.raised is not None:
        return f"raised {answer.text:.160}"
    expected = values.value(kind, case["result"])
    if values.same(kind, expected, answer.value, relative):
        return None
    return f"returned {_brief(answer.value)}, expected {_brief(expected)}"


def _brief(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of thousands of digits, deep nesting
        return f"a long {type(value).__name__}"


def verdict(id_: str, check: Mapping[str, Any], told: Told, end: JailResult) -> Verdict:
    """Judge a program that did start. Fewer answers than cases: it ended early.

    The answers are of unknown intent: called where a process may die of them (``referee``).
    """
    cases, answers = check["cases"], told.answers
    if told.refused is not None:
        return Verdict(id_, _outcome(told.refused), 0, len(cases), told.refused.text)
    kind = casetypes.parse(check["types"]["result"])
    relative = float(check.get("relative_tolerance", values.RELATIVE))
    problems = [mismatch(kind, *pair, relative) for pair in zip(cases, answers, strict=False)]
    held = problems.count(None)
    if held == len(cases):
        return Verdict(id_, "passed", held, len(cases))
    wrong = next((n for n, problem in enumerate(problems) if problem is not None), None)
    if len(answers) < len(cases) and end.outcome not in ("exited", "stopped"):
        detail = f"case {len(answers)}: {said(end)}"
        return Verdict(id_, end.outcome, held, len(cases), detail)
    if wrong is None:
        return Verdict(id_, "error", held, len(cases), f"ended after {len(answers)} cases")
    answer = answers[wrong]
    outcome = "failed"
    if answer.raised is not None and "error" not in cases[wrong]:
        outcome = _outcome(answer)
    return Verdict(id_, outcome, held, len(cases), f"case {wrong}: {problems[wrong]}")


def _outcome(raised: Answer) -> str:
    return "memory" if MEMORY_ERRORS & set(raised.raised or ()) else "error"


def said(end: JailResult) -> str:
    """How a program ended, and what it printed in short."""
    text = " ".join(end.printed.decode(errors="replace").split())
    if len(text) > 300:
        text = f"{text[:150]} … {text[-150:]}"
    return f"{end.outcome} (status {end.exit_code}) {text}".strip()
