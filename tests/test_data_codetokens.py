"""Tokens by CodeSearchNet's rule, against the tokens that its records have."""

from __future__ import annotations

import contextlib

import pytest

from bench.data.codetokens import joined_tokens
from bench.data.pythonsource import take_apart
from bench.data.readers import read_jsonl


@pytest.mark.parametrize(
    ("language", "code", "tokens"),
    [
        ("python", "def f(a, *b, **c):\n    return a ** 2  # squared", None),
        ("python", 'def f():\n    return "a b"', 'def f ( ) : return "a b"'),
        ("python", "    def f(self):\n        pass", "def f ( self ) : pass"),
        (
            "java",
            "List<String> l = new ArrayList<>();",
            "List < String > l = new ArrayList <> ( ) ;",
        ),
        ("java", "", ""),
    ],
)
def test_tokens(language, code, tokens):
    if tokens is None:
        tokens = "def f ( a , * b , * * c ) : return a ** 2 # squared"
    assert joined_tokens(code, language) == tokens


@pytest.mark.parametrize(("language", "equal", "of"), [("python", 250, 250), ("java", 552, 554)])
def test_the_records_of_codexglue_have_the_same_tokens(mirror, language, equal, of):
    folder = mirror / "codexglue" / "code-to-text" / language
    found = []
    for split in ("test", "valid"):
        fields = {"code": str, "code_tokens": list}
        for record in read_jsonl(folder / f"{split}_subset.jsonl", fields):
            code = record["code"]
            if language == "python":
                with contextlib.suppress(ValueError):  # Python 2
                    code = take_apart(code).code
            found.append(joined_tokens(code, language) == " ".join(record["code_tokens"]))
    assert (sum(found), len(found)) == (equal, of)
