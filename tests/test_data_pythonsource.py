"""Taking Python functions apart: nothing but the docstring goes."""

from __future__ import annotations

import pytest

from bench.data.pythonsource import take_apart

SOURCE = '''import math


def helper(x):
    return x


@cached
def area(
    r: float,  # metres
) -> float:
    """Area of a circle.

        >>> area(0)
    """
    # round?
    return math.pi * r**2
'''


def test_the_parts_of_a_function():
    found = take_apart(SOURCE, "area")
    assert found.preamble == "import math\n\n\ndef helper(x):\n    return x"
    assert found.signature == "def area(\n    r: float,  # metres\n) -> float:"
    assert found.docstring == "Area of a circle.\n\n>>> area(0)"
    assert '"""' not in found.code
    assert found.code.startswith("@cached\ndef area(")
    assert found.code.endswith("    # round?\n    return math.pi * r**2")


def test_the_first_function_is_the_default_and_one_line_will_do():
    found = take_apart(SOURCE)
    assert (found.signature, found.docstring) == ("def helper(x):", "")
    assert take_apart("def f(x): return 'text'").signature == "def f(x):"
    assert take_apart("def f(x): return 'text'").code == "def f(x): return 'text'"


def test_a_docstring_after_an_import_counts():
    found = take_apart("def f(x):\n    import re\n    '''What.'''\n    return re")
    assert found.docstring == "What."
    assert found.signature == "def f(x):"
    assert found.code == "def f(x):\n    import re\n    return re"


def test_a_comment_under_the_signature_is_no_part_of_it():
    assert take_apart("def f(x):\n    # why\n\n    return 1").signature == "def f(x):"


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("def f(:", None, "not valid Python: .* in line 1"),
        ("x = 1", None, "no function"),
        ("def f(): pass", "g", "no function g"),
    ],
)
def test_what_cannot_be_taken_apart(source, name, message):
    with pytest.raises(ValueError, match=message):
        take_apart(source, name)
