"""Hundreds of hostile programs in batches: each fails, and its honest neighbour passes.

The programs are made from the tables in ``tests/hostile``. Each stands in a batch between honest
ones; a verdict of ``passed`` would be forged, and one of ``not-run`` would hide a failure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import pytest

from bench.records import Sample, Verdict
from bench.scoring.sandbox import csharp, java, python, referee
from tests import grading
from tests.hostile import csharps, javas, pythons

pytestmark = pytest.mark.slow

FAILURES = {"failed", "error", "timeout", "memory", "output-limit", "compile-error"}
DOUBLE = [{"args": [2], "result": 4}, {"args": [5], "result": 10}]
MAIN = """public class Main { public static void main(String[] args) {
    Solution s = new Solution();
    List<Boolean> correct = Arrays.asList(s.f(2) == 4, !(s.f(5) == 4), s.f(5) == 10);
    if (correct.contains(false)) { throw new AssertionError(); }
} }"""


def cases(language: str) -> Sample:
    return grading.cases(language, DOUBLE, ["int"], "int")


def checked() -> Sample:
    asserts = ["assert f(2) == 4", "assert not f(5) != 10"]
    check = {"kind": "python-check", "prompt": "", "entry": "f", "setup": "", "asserts": asserts}
    return Sample("check", grading.TRACKS["python"], {}, "", None, check)


def main() -> Sample:
    prelude = "import java.util.*;\nimport java.util.stream.*;\n\nclass Solution {\n"
    check = {"kind": "java-main", "prelude": prelude, "epilogue": "\n}\n", "test": MAIN}
    return Sample("main", grading.TRACKS["java"], {}, "", None, check)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to be graded: the problem, an honest output and the hostile ones.

    ``bombs`` are texts beside the honest output; what compiles in time may pass.
    """

    language: str
    problem: Callable[[], Sample]
    honest: str
    programs: Mapping[str, str]
    bombs: Mapping[str, str] = dataclasses.field(default_factory=dict)


_PYTHON = "def f(x): return 2 * x"
KINDS = {
    "python-cases": Kind("python", lambda: cases("python"), _PYTHON, pythons.programs()),
    "python-check": Kind("python", checked, _PYTHON, pythons.programs()),
    "java-cases": Kind("java", lambda: cases("java"), javas.HONEST, javas.programs(), javas.BOMBS),
    "java-main": Kind("java", main, javas.HONEST, javas.programs()),
    "csharp-cases": Kind(
        "csharp", lambda: cases("csharp"), csharps.HONEST, csharps.programs(), csharps.BOMBS
    ),
}
ALL = [(kind, name) for kind, one in KINDS.items() for name in one.programs]


@pytest.fixture(scope="module", autouse=True)
def _short_limits() -> Iterator[None]:
    """As short as the honest ones bear on a busy machine: CPU time decides, not the clock."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, cpu_s in (
            (python, "CASES_LIMITS", 1),
            (python, "SAMPLE_LIMITS", 1),
            (python, "TESTER_LIMITS", 1),
            (java, "SAMPLE_LIMITS", 2),
            (csharp, "SAMPLE_LIMITS", 2),
        ):
            limits = dataclasses.replace(getattr(module, name), cpu_s=cpu_s, wall_s=6)
            patch.setattr(module, name, limits)
        patch.setattr(referee, "CPU_S", 1)
        patch.setattr(java, "TEST_CPU_S", 3)
        yield


@pytest.fixture(scope="module")
def verdicts(_short_limits: None) -> Callable[[str], dict[str, Verdict]]:
    """The verdicts of a kind: of each program by its name, and of its neighbour by ``next to``."""
    known: dict[str, dict[str, Verdict]] = {}

    def of(kind: str) -> dict[str, Verdict]:
        if kind not in known:
            known[kind] = _graded(KINDS[kind])
        return known[kind]

    return of


def _graded(kind: Kind) -> dict[str, Verdict]:
    grading.need(kind.language)
    mark = "#" if kind.language == "python" else "//"
    bombs = {name: f"{kind.honest}\n{text}" for name, text in kind.bombs.items()}
    asked = {}
    for name, text in (kind.programs | bombs).items():
        asked[name] = (kind.problem(), text)
        asked[f"next to {name}"] = (kind.problem(), f"{kind.honest}\n{mark} {len(asked)}\n")
    return grading.together(asked)


def test_there_are_enough_of_them():
    assert len(ALL) + sum(len(kind.bombs) for kind in KINDS.values()) >= 250


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_hostile_program_fails(verdicts, kind, name):
    verdict = verdicts(kind)[name]
    assert verdict.outcome in FAILURES, verdict
    assert verdict.cases_passed < verdict.cases
    assert len(verdict.detail) < 1500


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_its_neighbour_passes(verdicts, kind, name):
    verdict = verdicts(kind)[f"next to {name}"]
    assert verdict.outcome == "passed", verdict


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, one in KINDS.items() for name in one.bombs]
)
def test_a_bomb_takes_only_itself_along(verdicts, kind, name):
    found = verdicts(kind)
    assert found[name].outcome in {"compile-error", "passed"}, found[name]
    assert found[f"next to {name}"].outcome == "passed"
