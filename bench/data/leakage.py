"""What the embedded corpus' test split shares with what training sees: nothing, or it is told.

Code is compared with its layout and comments removed and the names that it declares itself
replaced by their order of appearance, so that a renamed copy is still a copy.
"""

from __future__ import annotations

import builtins
import dataclasses
import itertools
import json
import keyword
import re
from collections.abc import Callable, Iterator, Sequence

from bench.data.embedded import LANGUAGES, Function

_TOKEN = re.compile(
    r"""(?P<text>[rbfuRBFU$@]{0,2}(?:\"\"\".*?\"\"\"|\'\'\'.*?\'\'\'
          |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
      | (?P<number>\d[\w.]*)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>->|=>|::|\S)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = {
    language: re.compile(pattern + r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""", re.S)
    for language, pattern in {
        "python": r"#[^\n]*",
        "java": r"//[^\n]*|/\*.*?\*/",
        "csharp": r"//[^\n]*|/\*.*?\*/",
    }.items()
}
_DOCSTRING = re.compile(r"(:\s*\n\s*)(\"\"\".*?\"\"\"|\'\'\'.*?\'\'\')", re.DOTALL)
_KEYWORD = re.compile(
    "abstract|as|base|bool|boolean|break|byte|case|catch|char|class|const|continue|decimal|"
    "default|delegate|do|double|else|enum|explicit|extends|false|final|finally|fixed|float|for|"
    "foreach|goto|if|implements|implicit|import|in|instanceof|int|interface|internal|is|lock|long|"
    "new|null|object|operator|out|override|params|private|protected|public|readonly|ref|return|"
    "sealed|short|static|string|struct|super|switch|this|throw|throws|true|try|typeof|uint|ulong|"
    "unchecked|ushort|using|var|virtual|void|volatile|when|where|while|yield"
)
_PYTHON = frozenset(keyword.kwlist) | frozenset(dir(builtins))


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Leak:
    """Something of a test function (``test_id``) that training sees in ``other_id``."""

    kind: str
    test_id: str
    other_id: str
    what: str


def leakage(functions: Sequence[Function]) -> list[Leak]:
    """Every leak between the test split and the train and valid splits, sorted.

    Kinds: ``name`` (an id or an entry name, whatever its case), ``summary``,
    ``code-<language>``, ``case`` (same argument and result types, arguments and result),
    ``near-family`` (a near function whose family training has not seen) and
    ``far-family`` (a far function whose family it has).
    """
    seen = [function for function in functions if function.split != "test"]
    tested = [function for function in functions if function.split == "test"]
    views: dict[str, Callable[[Function], set[str]]] = {
        "name": _names,
        "summary": lambda function: {_words(function.summary)},
        "case": _cases,
    }
    for language in LANGUAGES:
        views[f"code-{language}"] = lambda function, language=language: {  # type: ignore[misc]
            normalized(function.code[language], language, function.entry[language])
        }
    leaks = []
    for kind, view in views.items():
        owners: dict[str, str] = {}
        for function in seen:
            for value in view(function):
                owners.setdefault(value, function.id)
        leaks += [
            Leak(kind, function.id, owners[value], value)
            for function in tested
            for value in view(function)
            if value in owners
        ]
    return sorted([*leaks, *_families(seen, tested)])


def _families(seen: Sequence[Function], tested: Sequence[Function]) -> Iterator[Leak]:
    trained = {function.family: function.id for function in seen if function.split == "train"}
    known = {function.family: function.id for function in seen}
    for function in tested:
        if function.part == "near" and function.family not in trained:
            yield Leak("near-family", function.id, "", function.family)
        if function.part == "far" and function.family in known:
            yield Leak("far-family", function.id, known[function.family], function.family)


def _names(function: Function) -> set[str]:
    names = {function.id, *(function.entry[language] for language in LANGUAGES)}
    return {name.replace("_", "").lower() for name in names}


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _cases(function: Function) -> set[str]:
    types = function.types.model_dump()
    return {
        json.dumps([types, case.plain()], sort_keys=True, ensure_ascii=False)
        for case in function.cases
    }


def normalized(code: str, language: str, entry: str = "") -> str:
    """Code as its tokens, without layout and comments, its own names as ``v0``, ``v1``, ….

    A name counts as the code's own when it starts in lower case, is no keyword or builtin,
    follows no dot and is not called; the ``entry`` and the functions that Python code
    defines are renamed even where they are called.
    """
    bare = _COMMENT[language].sub(lambda match: match.group("text") or " ", code)
    if language == "python":
        bare = _DOCSTRING.sub(r"\1", bare, count=1)
    tokens = [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(bare)]
    words = ["", *(text for _, text in tokens), ""]
    defined = {entry} | {
        name for before, name in itertools.pairwise(words) if before in ("def", "lambda")
    }
    names: dict[str, str] = {}
    output = []
    for index, (kind, text) in enumerate(tokens, 1):
        fixed = text in _PYTHON if language == "python" else _KEYWORD.fullmatch(text)
        local = text in defined or (text[0].islower() and words[index + 1] != "(")
        own = kind == "name" and local and not fixed and words[index - 1] != "."
        output.append(names.setdefault(text, f"v{len(names)}") if own else text)
    return " ".join(output)
