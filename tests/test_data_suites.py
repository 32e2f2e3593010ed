"""The public suites: the study's counts, and references that pass their own tests."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import warnings

import pytest

from bench.data import suites
from bench.data.sources import locate
from bench.data.suites import JAVA, PYTHON, SUITES
from bench.errors import DataError
from bench.records import TRACKS, Track

COUNTS = {
    "codereval": {
        "generation/python": 190,
        "generation/java": 184,
        "summarization/python": 100,
        "summarization/java": 99,
    },
    "codexglue-trans": {"translation/java_cs": 1000, "translation/cs_java": 1000},
    "g-transeval": {"translation/java_cs": 400, "translation/cs_java": 400},
    "humaneval": {"generation/python": 164},
    "humaneval-x": {"generation/java": 164},
    "mbpp": {"generation/python": 500},
}


@pytest.fixture
def find(mirror):
    return lambda path: locate(path, mirror)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_unique_ids(find, name):
    suite = SUITES[name]
    read = []

    def recorded(path):
        read.append(path)
        return find(path)

    problems = [p for track in suite.files for p in suite.problems(track, recorded)]
    found = {str(track): sum(p.track == track for p in problems) for track in suite.files}
    assert found == COUNTS[name]
    assert len({(p.id, p.track) for p in problems}) == len(problems)
    assert len({p.id for p in problems}) == len(problems)
    # The digests of a study are those of the files that are really read.
    assert set(read) == {path for paths in suite.files.values() for path in paths}


def test_suites_and_counts_name_the_same():
    assert set(SUITES) == set(COUNTS)
    tracks = {track for suite in SUITES.values() for track in suite.files}
    assert tracks == set(TRACKS)


def test_no_python_code_to_summarize_holds_its_docstring(find):
    for problem in suites.codereval(Track("summarization", "python"), find):
        (function,) = ast.parse(problem.inputs["code"]).body
        assert ast.get_docstring(function) is None


def run(source):
    """Execute a trusted reference and its own tests."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(source, "reference", "exec"), {"__name__": "reference"})


def test_every_humaneval_reference_passes(find):
    for problem in suites.humaneval(PYTHON, find):
        check = problem.check
        call = f"check({check['entry']})"
        run("\n".join([check["setup"], problem.reference, check["test"], call]))
        assert '"""' not in problem.inputs["summary"]
        assert problem.inputs["signature"].endswith(":")


@pytest.mark.slow
def test_mbpp_references_pass_but_one(find):
    failed = {}
    for problem in suites.mbpp(PYTHON, find):
        check = problem.check
        assert re.match(rf"def {check['entry']} ?\(", problem.inputs["signature"])
        assert "\r" not in problem.reference
        try:
            run("\n".join([check["setup"], problem.reference, *check["asserts"]]))
        except (AssertionError, NameError) as error:
            failed[problem.id] = str(error)
    # Its setup builds trees of a class that the reference itself defines.
    assert failed == {"MBPP/367": "name 'Node' is not defined"}


def test_humaneval_x_references_close_their_braces(find):
    for problem in suites.humaneval_x(JAVA, find):
        whole = problem.check["prelude"] + problem.reference + problem.check["epilogue"]
        assert whole.count("class Solution {") == 1
        assert problem.reference.startswith(problem.inputs["signature"])
        assert problem.reference.rstrip().endswith("}")


def test_a_filter_that_keeps_another_number_is_told():
    with pytest.raises(DataError, match="suite mbpp: 0 problems of none, expected 500"):
        suites._counted("mbpp", [], 500)
