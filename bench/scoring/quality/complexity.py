"""Size and cyclomatic complexity by Lizard, as a library: milliseconds for a batch."""

from __future__ import annotations

import dataclasses

import lizard

SUFFIXES = {"python": ".py", "java": ".java", "csharp": ".cs"}

#: Above this complexity Lizard lists a function a second time, in its warnings.
WARNING_CCN = 15


@dataclasses.dataclass(frozen=True, slots=True)
class Complexity:
    """Sums over the functions of a snippet.

    ``functions`` found, cyclomatic complexity ``ccn``, lines without comments ``nloc``
    and ``tokens``. The three ``published_`` sums count functions with a complexity above
    15 twice, as the study's parser of Lizard's listing does.
    """

    functions: int
    ccn: int
    nloc: int
    tokens: int
    published_ccn: int
    published_nloc: int
    published_tokens: int


def measure(code: str, language: str) -> Complexity:
    """Lizard's figures for a snippet as it stands (Java and C# without a class around it).

    Raises:
        RecursionError: a snippet nested too deeply for Lizard.
    """
    found = lizard.analyze_file.analyze_source_code(f"snippet{SUFFIXES[language]}", code)
    functions = found.function_list
    twice = [*functions, *(f for f in functions if f.cyclomatic_complexity > WARNING_CCN)]
    return Complexity(
        functions=len(functions),
        ccn=sum(f.cyclomatic_complexity for f in functions),
        nloc=sum(f.nloc for f in functions),
        tokens=sum(f.token_count for f in functions),
        published_ccn=sum(f.cyclomatic_complexity for f in twice),
        published_nloc=sum(f.nloc for f in twice),
        published_tokens=sum(f.token_count for f in twice),
    )
