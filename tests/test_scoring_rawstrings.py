"""C# whose interpolated raw strings the pinned grammar reads to their end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import Sample, Track
from bench.scoring import codebleu, members
from bench.scoring.answers import extract
from bench.scoring.quality import syntax
from bench.scoring.rawstrings import readable

CASES = [
    ('$"""a {x}"""', '$@" a {x}  "'),
    ('$$"""{{x}} {y} "z" }}"""', '$@"   {x}   y   z      "'),
    ('$"""\n  {F($"""{y}""")}\n  """', '$@" \n  {F($@" {y}  ")}\n    "'),
    ('$""""a """ {x:D2}""""', '$@"  a     {x:D2}   "'),
    ('$"""{ new[] { "}" }.Length }""" + "{"', '$@" { new[] { "}" }.Length }  " + "{"'),
    ('// $""" is one\n"""x"""', '//  """ is one\n"""x"""'),
    ('""" $""" + $"""{x}"""', '"""  """ + $@" {x}  "'),
    ('"$" + $"a {x}" + @"$"""', '"$" + $"a {x}" + @" """'),
    ('$"""a {x', ' """a {x'),
    ('""""a """ {b}""""', '@"  a      b    "'),
    ('""""a', '""" a'),
    ('@"a""""" + """"b"""" + @""""', '@"a""""" + @"  b   " + @""""'),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_string_keeps_its_holes_and_its_length(text, expected):
    assert readable(text.encode()).decode() == expected
    members.tree(f"var s = {text};".encode(), "csharp")


BODIES = st.lists(
    st.sampled_from(
        ["a", "é", "{x}", "{x:D2}", '{F("s")}', "{{", "}}", "{", "}", '"', '""', "\n", "\\",
         '{$"{y}"}', '{ $"""{y}""" }', "{{x}}", "/*", "//", "'"]
    ),
    max_size=6,
).map("".join)  # fmt: skip


@st.composite
def strings(draw):
    quotes = '"' * draw(st.integers(3, 5))
    closing = draw(st.sampled_from([quotes, quotes, quotes, quotes[1:], ""]))
    return f"{'$' * draw(st.integers(1, 3))}{quotes}{draw(BODIES)}{closing}"


@given(st.lists(st.one_of(strings(), BODIES), max_size=3).map(" + ".join))
def test_any_mixture_is_read_to_its_end(text):
    """The grammar's scanner loops for ever on one that is left: this test would not end."""
    content = f"var s = {text};\nint F() => 1;".encode()
    made = readable(content)
    assert b'$"""' not in made
    assert len(made) == len(content)
    assert made.count(b"\n") == content.count(b"\n")
    assert readable(made) == made
    members.tree(content, "csharp")


FUNCTION = 'static string F(int x) => $"""\n    <a>{G(x)}</a>{x}""";\n\nstatic int G(int x) => x;'


def test_code_with_such_a_string_is_parsed_compared_and_extracted():
    assert syntax.failure(FUNCTION, "csharp") is None
    assert codebleu.score(FUNCTION, FUNCTION, "csharp")[0] == pytest.approx(1.0)
    problem = Sample("a", Track("translation", "java_cs"), {}, "", None, {"entry": "F"})
    found = extract(problem, f"Yes:\n```csharp\n{FUNCTION}\n```\nint H() => 1;\n")
    assert found.text == FUNCTION


@pytest.mark.parametrize(
    "piece",
    ['$"""', '$"""{', '"', "/*", '$"""{"', "$", '$"""{$"""', "'", '@"', '$"""{x}', "//", '"a'],
)
def test_no_text_takes_long(piece):
    start = time.process_time()
    readable((piece * 40_000)[:40_000].encode() + b'$"""{x}"""')
    assert time.process_time() - start < 2
