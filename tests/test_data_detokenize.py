"""Detokenizing changes spaces only."""

from __future__ import annotations

import re

import pytest

from bench.data.detokenize import TOKEN, detokenize

LEXEME = re.compile(
    r"""[$@]*"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\w+(?:\.\d\w*)?"""
    r"""|\+\+|--|&&|\|\||->|=>|::|[-+*/%<>=!]=|\S"""
)


@pytest.mark.parametrize(
    "code",
    [
        "List<Integer> f(int[] a, char c) { return new ArrayList<>(); }",
        "Map<String, List<Integer>> m = new HashMap<String, List<Integer>>();",
        "if (i < n && j > m) { x = a < b ? -1 : +y; }",
        "for (int i = 0; i < s.length() - 1; i++) { --k; a[i + 1] = -a[i]; }",
        "return (int) Math.round(x) == -1 || !ok(\" a < b ( \", '(');",
        "int[][] m = new int[3][]; m[0] = new int[] { 1, 2 };",
        "xs.stream().map(x -> x * 2).mapToInt(Integer::intValue).sum();",
        'var d = xs.ToDictionary(g => g.Key, g => g.ToList()); char t = "ab"[0];',
        "List<string> r = new List<string> { a, b };",
        "foreach (var k in m.Keys) { f(k); } return (a + b) * c;",
        "while (n > 0) { s += n % 10; n /= 10; } return a - -b;",
    ],
)
def test_code_comes_back_as_people_write_it(code):
    assert detokenize(" ".join(LEXEME.findall(code))) == code


def test_literals_keep_their_spaces():
    assert TOKEN.findall("f ( \" a  b \" , ' ' )") == ["f", "(", '" a  b "', ",", "' '", ")"]


def test_every_line_of_g_transeval_keeps_its_tokens(mirror):
    lines = 0
    for path in sorted(mirror.glob("g-transeval/Type*/*.test")):
        for line in path.read_text().splitlines():
            assert LEXEME.findall(detokenize(line)) == LEXEME.findall(line)
            bare = re.sub(r'"[^"]*"|\'.\'', '""', detokenize(line))
            assert not re.search(r" [,.\]]|\w \[|[(\[.] (?!;)", bare)
            lines += 1
    assert lines == 800
