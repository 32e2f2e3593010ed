"""Grading Python: what is right passes, and nothing else can be made to pass."""

from __future__ import annotations

import dataclasses

import pytest

from bench.records import Sample
from bench.scoring.sandbox import python
from tests import grading
from tests.grading import cases, graded, outcomes

DOUBLE = [{"args": [2], "result": 4}, {"args": [5], "result": 10}]


@pytest.fixture(autouse=True)
def _needs():
    grading.need("python")


def double():
    return cases("python", DOUBLE, ["int"], "int")


def check(**fields):
    fields = {"kind": "python-check", "prompt": "", "entry": "f", "setup": ""} | fields
    return Sample("check", grading.TRACKS["python"], {}, "", None, fields)


def test_right_and_wrong():
    right, half, broken = graded(
        double(),
        "def f(x):\n    return 2 * x",
        "def f(x):\n    return 4",
        "def f(x):\n    return 2 *",
    )
    assert (right.outcome, right.cases_passed, right.cases) == ("passed", 2, 2)
    assert (half.outcome, half.cases_passed) == ("failed", 1)
    assert "returned 4, expected 10" in half.detail
    assert broken.outcome == "compile-error"


def test_what_does_not_parse_starts_no_process(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    outputs = ["def f(x):", "x = '\0'", "(" * 5000, "def f(x):\n\treturn 1\n        return 2"]
    assert outcomes(double(), *outputs) == ["compile-error"] * 4


def test_the_same_output_runs_once(monkeypatch):
    runs = []
    run = python.cases
    monkeypatch.setattr(python, "cases", lambda *args: runs.append(args[1]) or run(*args))
    verdicts = graded(double(), *["def f(x):\n    return 2 * x"] * 3)
    assert [verdict.outcome for verdict in verdicts] == ["passed"] * 3
    assert [verdict.id[-1] for verdict in verdicts] == ["0", "1", "2"]
    assert len(runs) == 1


FORGERIES = {
    "leaves": "import os\ndef f(x):\n    os._exit(0)",
    "leaves politely": "import sys\ndef f(x):\n    sys.exit(0)",
    "leaves at once": "import sys\nsys.exit(0)",
    "equals all": """
        class Any:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __bool__(self): return True
        def f(x): return Any()
        """,
    "equal number": """
        class Any(int):
            def __eq__(self, other): return True
            def __hash__(self): return 4
        def f(x): return Any(0)
        """,
    "patched built-ins": """
        import builtins, sys
        builtins.AssertionError = type('Quiet', (BaseException,), {})
        builtins.isinstance = lambda *_: True
        builtins.len = lambda _: 0
        def f(x): return None
        """,
    "writes answers": """
        import os
        for number in range(3, 20):
            try:
                os.write(number, b'{"value":null}\\n{"value":4}\\n{"value":4}\\n')
            except OSError:
                pass
        def f(x): return 0
        """,
    "writes a pass": """
        import os
        for number in range(3, 20):
            try:
                os.write(number, b'{"outcome":"passed","held":2,"detail":""}\\n')
            except OSError:
                pass
        os._exit(0)
        """,
    "looks for the expected": """
        import gc, sys
        seen = [o for o in gc.get_objects() if isinstance(o, dict) and 'cases' in o]
        frame, found = sys._getframe(), []
        while frame:
            found += [v for v in frame.f_locals.values() if isinstance(v, dict) and 'result' in v]
            frame = frame.f_back
        def f(x): return (seen + found)[0]['result']
        """,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_cases_do_not_pass(name):
    (verdict,) = graded(double(), FORGERIES[name])
    assert verdict.outcome in ("failed", "error")
    assert verdict.cases_passed < 2


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_checks_do_not_pass(name):
    test = "def check(candidate):\n    assert candidate(2) == 4\n    assert not candidate(5) != 10"
    both = [check(test=test), check(asserts=["assert f(2) == 4", "assert f(5) == 10"])]
    for problem in both:
        (verdict,) = graded(problem, FORGERIES[name])
        assert verdict.outcome in ("failed", "error"), verdict
        assert verdict.cases_passed < verdict.cases


def test_limits_have_their_outcomes(monkeypatch):
    for name in ("CASES_LIMITS", "SAMPLE_LIMITS"):
        limits = dataclasses.replace(getattr(python, name), cpu_s=1)
        monkeypatch.setattr(python, name, limits)
    endless = "def f(x):\n    while True: pass"
    greedy = "def f(x):\n    return len('x' * (1 << 31))"
    chatty = "import sys\ndef f(x):\n    while True: sys.stderr.write('x' * 65536)"
    expected = ["timeout", "memory", "output-limit"]
    assert outcomes(double(), endless, greedy, chatty) == expected
    assert outcomes(check(asserts=["assert f(2) == 4"]), endless, greedy, chatty) == expected


def test_typed_values_go_both_ways():
    problem = cases(
        "python",
        [
            {"args": [{"1": [2, 3]}, ["a", "b"], None, "é"], "result": {"1": ["a", "b", "é"]}},
            {"args": [{}, [], 2.5, ""], "result": {}},
        ],
        ["map[int,list[int]]", "set[str]", "optional[float]", "char"],
        "map[int,list[str]]",
    )
    output = """
        def f(table, names, factor, mark):
            assert factor is None or isinstance(factor, float)
            assert isinstance(names, set)
            return {key: sorted(names) + [mark] for key in table}
        """
    assert outcomes(problem, output) == ["passed"]


def test_errors_that_are_due():
    problem = cases(
        "python",
        [{"args": ["x"], "error": "value"}, {"args": ["1"], "result": 1}],
        ["str"],
        "int",
    )
    subclass = "class Bad(ValueError): pass\ndef f(x):\n    if x == 'x': raise Bad\n    return 1"
    mimic = subclass.replace("Bad(ValueError)", "ValueError(Exception)").replace(
        "Bad", "ValueError"
    )
    right, own, none, fake = graded(
        problem, "def f(x): return int(x)", subclass, "def f(x): return 1", mimic
    )
    assert (right.outcome, own.outcome) == ("passed", "passed")
    assert "where an error is due" in none.detail
    assert fake.outcome == "failed"


HELPED = '''from typing import List


def encode(text: str):
    """Shift every letter by one."""
    return "".join(chr(ord(letter) + 1) for letter in text)


def f(text: str):
    """Undo encode."""
'''
UNDO = "    return ''.join(chr(ord(letter) - 1) for letter in text)\n"


def test_completions_and_functions_stand_after_their_prompt():
    test = "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n"
    whole = "def f(text: List[str]):\n" + UNDO
    assert outcomes(check(prompt=HELPED, test=test), UNDO, whole, "    return text") == [
        "passed",
        "passed",
        "failed",
    ]


def test_a_helper_of_the_model_does_not_replace_the_tests_own():
    test = "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n"
    lie = "def encode(text): return text\ndef f(text): return text\n"
    assert outcomes(check(prompt=HELPED, test=test), lie) == ["failed"]


def test_objects_of_the_model_are_used_by_proxy():
    problem = check(
        setup="root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)",
        asserts=["assert f(root) == 3", "assert root.left.value == 2", "assert not f(None)"],
    )
    output = """
        class Node:
            def __init__(self, value):
                self.value, self.left = value, None
        def f(node):
            return 1 + f(node.left) if node else 0
        """
    assert outcomes(problem, output) == ["passed"]


def test_iterators_types_and_exceptions_cross():
    problem = check(
        asserts=[
            "assert list(f(3, int)) == [0, 1, 2]",
            "assert math.isclose(sum(f(2, float)), 1.0)",
            "try:\n    f(-1, int)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        ]
    )
    output = """
        def f(n, kind):
            if n < 0:
                raise ValueError(n)
            return (kind(i) for i in range(n))
        """
    assert graded(problem, output)[0].detail == ""


def test_modules_that_a_test_names_are_the_real_ones():
    output = """
        class math:
            isclose = staticmethod(lambda *_: True)
        def f(x): return 0
        """
    assert outcomes(check(asserts=["assert math.isclose(f(1), 5)"]), output) == ["failed"]


def test_a_test_that_cannot_be_run_is_nobodys_failure():
    problem = check(asserts=["assert f(lambda x: x) == 1"])
    (verdict,) = graded(problem, "def f(g): return 1")
    assert verdict.outcome == "not-run"
    assert "passes a function" in verdict.detail
    (verdict,) = graded(check(prompt="def f(", test="x"), "def f(): pass")
    assert verdict.outcome in ("not-run", "compile-error")


OWN = """
class Own:
    def __getitem__(self, key): return 1
    def __len__(self): return 2
    def sort(self, key=None): pass
def f(x):
    return Own()
"""
DEEP = """
def f(x):
    nested = []
    for _ in range(199):
        nested = [nested]
    return nested
"""
KIND = "def f(x): return bytearray(b'')"


@pytest.mark.parametrize(
    ("output", "test"),
    [
        (OWN, "assert f(1)[:2] == [1, 2]"),
        (OWN, "f(1).sort(key=lambda x: x)"),
        (DEEP, "assert f([f(1), 2]) == 1"),
        (KIND, "assert f(type(f(1))) == 1"),
    ],
)
def test_no_answer_makes_its_test_one_that_cannot_be_run(output, test):
    (verdict,) = graded(check(asserts=[test]), output)
    assert verdict.outcome == "error"


def test_a_test_that_hangs_on_an_answer_costs_its_own_sample(monkeypatch):
    monkeypatch.setattr(python, "TESTER_LIMITS", dataclasses.replace(python.TESTER_LIMITS, cpu_s=1))
    output = """
        def f(x):
            import sys
            return {((1 << 61) - 1) * number for number in range(1)} if x else 0
        import json, os
        text = '{"value":{"t":"set","v":[%s]}}' % ",".join(
            str(((1 << 61) - 1) * number) for number in range(100_000))
        for number in range(3, 20):
            try:
                os.write(number, b'{"value":null}\\n' + text.encode() + b'\\n')
            except OSError:
                pass
        """
    right = "def f(x): return {0}"
    problem = check(asserts=["assert f(1) == {0}"])
    assert outcomes(problem, right, output, right + " ") == ["passed", "timeout", "passed"]


def test_sets_have_the_same_order_in_every_run():
    names = [f"name{n}" for n in range(40)]
    problem = cases("python", [{"args": [names], "result": ""}], ["set[str]"], "str")
    output = "def f(names): return ' '.join(list(names) + list({'a', 'b', 'c'}))"
    first, second = graded(problem, output, output + "\n")
    assert first.detail == second.detail
    assert "name7" in first.detail
