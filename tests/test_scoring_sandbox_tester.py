"""The process that runs suites' own tests: its life, its socket, and who is blamed for its end."""

from __future__ import annotations

import os
import stat

import pytest

from bench.scoring.sandbox import python, tester
from bench.scoring.sandbox.jail import find_jail
from bench.scoring.sandbox.system import python_command
from bench.scoring.sandbox.tester import Program
from tests import grading

CHECK = {"prompt": "", "entry": "f", "setup": "", "asserts": ["assert f(2) == 4"]}
RIGHT = "def f(x): return 2 * x"


@pytest.fixture(autouse=True)
def _needs():
    grading.need("python")


def test_a_tester_that_is_gone_is_started_again():
    with python.tester(find_jail()) as running:
        assert python.run_check(running, "a", CHECK, RIGHT).outcome == "passed"
        first = running._running
        first._prisoner.kill()
        assert python.run_check(running, "b", CHECK, RIGHT).outcome == "passed"
        assert running._running is not first


def test_only_the_tester_can_open_its_socket_and_nothing_is_left():
    jail = find_jail()
    with python.tester(jail) as running:
        assert python.run_check(running, "a", CHECK, RIGHT).outcome == "passed"
        folder = running._running._folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.getuid() or jail.drop_first or jail.drop_inside
        assert folder.stat().st_uid != 0 or not jail.confines
    assert not folder.exists()


def test_a_sample_cannot_open_the_socket_of_the_tester():
    output = """
import os, socket, stat
def f(x):
    for top, folders, files in os.walk("/tmp"):
        for path in (os.path.join(top, name) for name in files):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                socket.socket(socket.AF_UNIX).connect(path)
                return 4
    return 0
"""
    with python.tester(find_jail()) as running:
        assert python.run_check(running, "a", CHECK, output).outcome == "failed"


def test_a_tester_that_does_not_start_judges_nobody():
    sample = Program(python.program("sample"), python.mounts(), python.SAMPLE_LIMITS)
    broken = Program(["/bin/sh", "-c", "echo no such thing >&2; exit 1"], [], python.TESTER_LIMITS)
    with tester.Tester(find_jail(), broken, sample) as running:
        verdict = python.run_check(running, "a", CHECK, RIGHT)
    assert verdict.outcome == "not-run"
    assert "no such thing" in verdict.detail


def test_a_tester_that_ends_on_every_answer_fails_the_sample():
    """It connects as one does, and ends as soon as the sample is there."""
    code = (
        "import socket, sys; control = socket.socket(fileno=0); control.recv(8);"
        "link = socket.socket(socket.AF_UNIX); link.connect(sys.argv[1]); link.recv(1)"
    )
    sample = Program(python.program("sample"), python.mounts(), python.SAMPLE_LIMITS)
    fickle = Program(python_command("-c", code), python.mounts(), python.TESTER_LIMITS)
    with tester.Tester(find_jail(), fickle, sample) as running:
        verdict = python.run_check(running, "a", CHECK, RIGHT)
    assert verdict.outcome == "error"
