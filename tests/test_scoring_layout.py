"""One line again: what the study's layout broke is put back, a line stays a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring.layout import one_line


@pytest.mark.parametrize(
    ("laid_out", "line"),
    [
        ("int f() {\n    return 1;\n}", "int f() {return 1;}"),
        ("for (int i = 0;\ni < n;\ni++) {\n    a();\n}", "for (int i = 0; i < n; i++) {a();}"),
        ("for (;\n;\n) {\n    a();\n}", "for (; ; ) {a();}"),
        ("if (a) {\n    b();\n}\nelse {\n    c();\n}", "if (a) {b();} else {c();}"),
        ("try {\n    a();\n}\ncatch (E e) {\n}", "try {a();} catch (E e) {}"),
        ("do {\n    a();\n}\nwhile (b);", "do {a();} while (b);"),
        ("if (a) {\n}\nwhile (b) {\n    c();\n}", "if (a) {}while (b) {c();}"),
        ('return "a;\n    b";', 'return "a; b";'),
        ('a("\\";");\nb();', 'a("\\";");b();'),
        ("new A() {\n    int b;\n}\n);", "new A() {int b;});"),
        ("int forward(\nint a) {\n}", "int forward(int a) {}"),
        ("", ""),
    ],
)
def test_the_layout_is_taken_back(laid_out, line):
    assert one_line(laid_out) == line


@given(st.text(st.characters(exclude_characters="\n")))
def test_one_line_stays_as_it_is(text):
    assert one_line(text) == text.strip()


@given(st.text('for(;){}" \n\\a'))
def test_nothing_but_white_space_changes(text):
    assert "".join(one_line(text).split()) == "".join(text.split())


def test_references_of_the_suite_are_one_line(mirror):
    folder = mirror / "codexglue" / "code-to-code-trans"
    for path in folder.glob("test.java-cs.txt.*"):
        for reference in path.read_text(encoding="utf-8").split("\n"):
            assert one_line(reference) == reference.strip()
