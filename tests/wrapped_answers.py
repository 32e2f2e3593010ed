"""Right answers with what models write around them: strategies for the tests of extraction."""

from __future__ import annotations

import textwrap

from hypothesis import strategies as st

#: What stands before and behind code in models' answers; none of it is code.
PROSE = [
    "Sure! Here's the function you asked for:",
    "Here is the translated method `sum(a, b)` (see below).",
    "# Solution",
    "**Explanation:**",
    "1. First we check the input; then we loop.",
    "- it's O(n), don't worry",
    "using a loop, as before, this is:",
    "import statements are not needed.",
    "class names follow the usual style",
    "for example, f(3) gives 9",
    "return the sum of both, if any",
    "The text \"a {b}\" is left alone; so is 'c'",
    "Note: it throws an error (when x < 0",
    "Done",
    "Output: 42",
    "> quoted",
    "| a | b |",
    "x == y, roughly }",
    "$ run it",
    "e.g. if (a) then b;",
]
_FREE = st.text("abc XYZ.,;:!?'\"(){}[]<>=+-*/\\`@$%&|_0123", max_size=30)
#: Blocks in other languages, or with what a program prints.
BLOCKS = [
    "```bash\npip install x\n```",
    "```\n42\n```",
    '```json\n{"a": 1}\n```',
    "~~~\n>>> 1\n~~~",
]
_AROUND = st.lists(
    st.one_of(st.sampled_from(PROSE), st.just(""), st.sampled_from(BLOCKS), _FREE), max_size=5
)
#: Usage that follows an answer, per language.
USAGE = {
    "python": ["print(f(1))", "n = 4\nprint(n)", 'if __name__ == "__main__":\n    f(2)', "f(3)"],
    "java": ["System.out.println(f(1));", "int n = f(2);\nn++;", "assert f(1) == 2;"],
    "csharp": ["Console.WriteLine(F(1));", "var n = F(2);\nn++;", "Debug.Assert(F(1) == 2);"],
}
_TAGS = {
    "python": ["python", "py", "Python", "python3", "{.python}", 'python title="a.py"'],
    "java": ["java", "Java", "java title=x"],
    "csharp": ["csharp", "cs", "C#", "c#", "CSharp"],
}


@st.composite
def wrapped(draw, code: str, language: str) -> str:
    """A text with ``code`` in it as an answer: fenced or bare, with prose and usage around it."""
    inner = code
    if draw(st.booleans()):
        inner += "\n\n" + draw(st.sampled_from(USAGE[language]))
    fence = draw(st.sampled_from(["", "```", "````", "~~~"]))
    if fence:
        tag = draw(st.sampled_from(["", *_TAGS[language]]))
        closing = draw(st.sampled_from([f"\n{fence}", f"\n{fence}\n", ""]))
        inner = f"{fence}{tag}\n{inner}{closing}"
        inner = textwrap.indent(inner, draw(st.sampled_from(["", "  ", "    "])))
        behind = draw(_AROUND) if closing else []
    else:
        behind = draw(_AROUND)
    before = draw(_AROUND)
    text = "\n".join([*before, "", inner, "", *behind])
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
