"""Shapes that models give their answers: consoles, quotes, templates, steps, tests, versions.

``cases/answers.jsonl`` holds a text a line and what of it is right; what goes with every
language or mark is made here.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.records import Sample, Track
from bench.scoring.answers import extract

CASES = Path(__file__).parent / "cases" / "answers.jsonl"
ASKED = {
    "python": Sample("a", Track("generation", "python"), {}, "", None, {"entry": "f"}),
    "java": Sample(
        "a", Track("generation", "java"), {"signature": "static int f(int x)"}, "", None,
        {"entry": "f"},
    ),
    "csharp": Sample(
        "a", Track("translation", "java_cs"), {"signature": "static int F(int x)"}, "", None,
        {"entry": "F"},
    ),
}  # fmt: skip
CODE = {
    "python": "def f(x):\n    return x",
    "java": "static int f(int x) {\n    return x;\n}",
    "csharp": "static int F(int x)\n{\n    return x;\n}",
}
#: The same in a language that was not asked for, and that parses.
OTHER = {"python": "f = 3", "java": "static int f(int x) { return 0; }",
         "csharp": "static int F(int x) { return 0; }"}  # fmt: skip
LANGUAGES = sorted(CODE)


def found(language, text):
    return extract(ASKED[language], text).text


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(one, id=f"{one['language']}: {one['name']}")
        for one in map(json.loads, CASES.read_text(encoding="utf-8").splitlines())
    ],
)
def test_the_answer_is_found(case):
    assert found(case["language"], case["text"]) == case["right"]


TAGS = {
    "python": [
        'python title="x"', "py3", "{.python}", "{.python .numberLines}", "Python 3", "python2",
        "python:main.py", "python{1,3}", "python3.11", "{python}", "python=", "Python code",
        "ipython", "PYTHON3", "src/f.py", "py title=a", "python #1", "  python",
    ],
    "java": [
        "Java 17", "java17", "java title=x", "{.java}", "JAVA", "java,linenos", "Solution.java",
        "java:Solution.java", "openjdk", "jdk-21", "src/main/java/A.java",
    ],
    "csharp": [
        "csharp", "cs", "c#", "C# 12", "c#10", 'csharp title="a"', "{.cs}", "Program.cs", "csx",
        "dotnet", "C-Sharp", "c_sharp", "c sharp", "csharp,editable",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "tag"), [(language, tag) for language, tags in TAGS.items() for tag in tags]
)
@pytest.mark.parametrize("other", ["javascript", "c", "go"])
def test_a_fence_says_its_language_in_many_ways(language, tag, other):
    text = f"Not\n```{other}\n{OTHER[language]}\n```\nbut\n```{tag}\n{CODE[language]}\n```\n"
    assert found(language, text) == CODE[language]


ENDS = [
    "<|im_end|>", "</s>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "<eos>", "<|EOT|>",
    "<｜end▁of▁sentence｜>", "<|end|>", "</answer>", "</code>", "[/PYTHON]", "<|fim_middle|>",
]  # fmt: skip
BEGINS = [
    "<|im_start|>", "<s>", "<|assistant|>", "[PYTHON]", "[/INST]", "<answer>", "<code>", "<pre>",
    "<s> [/INST] ", "<|start_header_id|>assistant<|end_header_id|>", "<|channel|>final<|message|>",
    "Answer: ", "1. ", "pythonCopy code",
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mark", ENDS)
def test_what_a_template_leaves_behind_code_goes(language, mark):
    code = CODE[language]
    again = code.replace("return x", "return 2")
    for text in (
        f"{code}{mark}",
        f"{code} {mark}{mark}\n",
        f"{code}\n{mark}\nmore",
        f"```{language}\n{code}\n```{mark}",
        f"{code}{mark}\nuser\nAgain.{mark}\nassistant\n{again}{mark}",
    ):
        assert found(language, text) == code


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mark", BEGINS)
def test_what_a_template_leaves_before_code_goes(language, mark):
    code = CODE[language]
    if language == "csharp" and mark == "[PYTHON]":
        pytest.skip("an attribute of the method")
    for text in (f"{mark}{code}", f"{mark}\n{code}", f"{mark}```{language}\n{code}\n```"):
        assert found(language, text) == code


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        *((f"<{word}>", f"</{word}>") for word in ("think", "Thinking", "reasoning", "thought")),
        *((f"<{word}>", f"</{word}>") for word in ("reflection", "scratchpad", "analysis")),
        ("<seed:think>", "</seed:think>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|channel|>analysis<|message|>", "<|end|>"),
        ("analysis", "assistantfinal"),
        ("<think>a <think>b</think>", "</think>"),
    ],
)
def test_thoughts_go(language, begin, end):
    code = CODE[language]
    thought = code.replace("return x", "return 2")
    for text in (f"{begin}\n{thought}\n{end}\n{code}", f"{begin}{thought}{end}{code}"):
        assert found(language, text) == code


LONG = {
    "blanks": " " * 40_000,
    "marks": "</s>" * 10_000 + "x",
    "starts": "<s " * 13_000,
    "quotes": "\"'" * 20_000,
    "colons": "a: " * 13_000,
    "prompts": ">>> f(\n" * 5_000,
    "numbers": "1. f(\n" * 6_000,
    "escapes": "&lt;" * 10_000,
    "thoughts": "<think>" * 5_000,
    "ticks": "` " * 20_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_mark_takes_long(language, name):
    start = time.process_time()
    found(language, LONG[name])
    assert time.process_time() - start < 60
